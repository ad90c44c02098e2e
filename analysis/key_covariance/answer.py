"""The page: what the covariance of the keys does, in words computed from stored rows."""

from analysis.key_covariance.checks import check_table
from analysis.key_covariance.memories import BEST, CENTRED, DELTA, LEAST, LINEAR, OTHERS, RIDGE, UNIT, WHITENED
from analysis.key_covariance.recall import REAL_VALUES
from analysis.key_covariance.rotary_figure import rotary_figure
from analysis.key_covariance.rows import Row, Rows, described, mean_error, part, sources
from analysis.key_covariance.spectra_figures import law_figure, spectrum_figure, spread_figure
from analysis.key_covariance.tables import (
    description_table,
    halves_table,
    recall_table,
    tracking_table,
)
from analysis.key_covariance.tracking import ANNEALED, DELTA_FIXED
from analysis.key_covariance.tracking_figure import tracking_figure
from analysis.rows import chosen
from ttr_numerics.report import Section

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    tables = [description_table(rows), recall_table(rows), tracking_table(rows), check_table(rows)]
    if part(rows, "halves"):
        tables.insert(2, halves_table(rows))
    return Section(
        name="key_covariance",
        title="What the covariance of the keys does to recall",
        question="How does the covariance of the keys decide what a memory recalls, and how far are real keys from "
        "isotropic?",
        answer=" ".join(filter(None, (_real(rows), _out_of_sample(rows), _tracking(rows)))),
        compared="The same pairs as they are, centred, and through Σ^-1/2 in sample, of the population and of other "
        "tokens; linear attention and the delta rule with least squares, which is what recursive least squares ends "
        "at; "
        "closed forms over all of them.",
        figures=(
            spectrum_figure(rows),
            law_figure(rows),
            spread_figure(rows),
            rotary_figure(rows),
            tracking_figure(rows),
        ),
        tables=tuple(tables),
        limits=(
            "Centred and whitened keys in the first tables take mean and metric from the very tokens that are stored; "
            "the table of halves and the estimated metric do not.",
            "Treated keys are scaled to unit norm again, which the delta rule with β = 1 needs; this reweights the "
            "tokens, so that whitened keys are only nearly white and least squares changes a little.",
            "Centring removes the direction of the mean key as a constant feature: least squares then has no "
            "intercept.",
            "One text; the heads of a layer are not independent samples.",
            "Tracking is measured on a map that stays; maps that drift are another analysis. The best steps and the "
            "prior's ridge know the noise, which a layer would have to learn.",
        ),
    )


def _real(rows: Rows) -> str:
    keys = part(rows, "keys")
    name = next(iter(sources(keys)), None)
    if name is None:
        return ""
    found = {
        t: {layer: mean_error(keys, name, t, layer, REAL_VALUES) for layer in (LINEAR, DELTA, LEAST)}
        for t in (UNIT, CENTRED, WHITENED)
    }
    share, rank = (described(keys, name, UNIT, m) for m in ("mean-key share", "participation ratio"))
    assert share is not None
    assert rank is not None
    text = (
        f"The mean key carries {share['value']:.0%} of the squared length of the unit keys of {name}, whose "
        f"{share['d']} channels count as {rank['value']:.1f} (participation ratio)."
    )
    values = {(t, layer): f.value for t, own in found.items() for layer, f in own.items() if f is not None}
    if (WHITENED, LINEAR) in values:
        text += (
            f" Whitening in sample takes linear attention's squared error on them from {values[UNIT, LINEAR]:.2f} to "
            f"{values[WHITENED, LINEAR]:.2f} and the delta rule's from {values[UNIT, DELTA]:.2f} to "
            f"{values[WHITENED, DELTA]:.2f}; removing the mean key alone takes that of least squares from "
            f"{values[UNIT, LEAST]:.2f} to {values[CENTRED, LEAST]:.2f}: the mean key is also the memory's constant "
            f"term."
        )
    return text


def _out_of_sample(rows: Rows) -> str:
    own = part(rows, "halves")
    name = next(iter(sources(own)), None)
    if name is None or not chosen(own, source=name, treatment=OTHERS):
        return ""
    at = {
        (t, q, r["layer"]): r["value"]
        for t in (UNIT, WHITENED, OTHERS)
        for q in ("stored", "unseen")
        for r in chosen(own, source=name, treatment=t, queries=q)
    }
    return (
        f"A metric from other tokens of the same text does not do this: on {own[0]['pairs']} pairs linear attention's "
        f"error is {at[UNIT, 'stored', LINEAR]:.2f} without, {at[OTHERS, 'stored', LINEAR]:.2f} with it "
        f"({at[WHITENED, 'stored', LINEAR]:.2f} in sample), and on unseen tokens {at[UNIT, 'unseen', LINEAR]:.2f} "
        f"becomes "
        f"{at[OTHERS, 'unseen', LINEAR]:.2f}, the delta rule's {at[UNIT, 'unseen', BEST]:.2f} becomes "
        f"{at[OTHERS, 'unseen', BEST]:.2f} (ridge without any metric: {at[UNIT, 'unseen', RIDGE]:.2f})."
    )


def _tracking(rows: Rows) -> str:
    own = [row for row in part(rows, "unseen") if row["noise"] and row["ratio"] is not None]
    n, d, noise = max(row["n"] for row in own), own[0]["d"], max(row["noise"] for row in own)
    constant, falling = (chosen(own, layer=layer) for layer in (DELTA_FIXED, ANNEALED))
    above = sum(row["ratio_low"] > 1 for row in falling)
    late = {row["cond"]: row for row in chosen(falling, n=n, noise=noise)}
    narrow, wide = min(late), max(late)
    return (
        "Does tracking the uncertainty of the solution help beyond a fixed metric Σ^-1/2? On unseen queries of a noisy "
        f"map the best constant step through the population's metric leaves {_range(constant)} times the error of "
        f"recursive least squares, a falling step {_range(falling)} times (its 95 % interval lies above 1 in {above} "
        f"of "
        f"{len(falling)} cells). After {n} pairs of {d} channels with noise {noise:g} the falling step is at "
        f"{_interval(late[narrow])} for cond(Σ) = {narrow:g}, where one falling number is all that is left to track, "
        f"and "
        f"at {_interval(late[wide])} for {wide:g}, where the metric also forgets which directions the map is expected "
        f"in."
    )


def _range(own: Rows) -> str:
    found = [row["ratio"] for row in own]
    return f"{min(found):.2f} to {max(found):.2f}"


def _interval(row: Row) -> str:
    return f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
