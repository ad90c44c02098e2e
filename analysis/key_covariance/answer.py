"""The page: what the covariance of the keys does, in words computed from stored rows."""

from analysis.key_covariance.checks import check_table
from analysis.key_covariance.memories import (
    BEST,
    CENTRED,
    DELTA,
    LEAST,
    LINEAR,
    OTHERS,
    RIDGE,
    RIDGES,
    STEPS,
    UNIT,
    WHITENED,
)
from analysis.key_covariance.recall import REAL_VALUES
from analysis.key_covariance.rotary_figure import rotary_figure
from analysis.key_covariance.rows import at_ends, described, mean_error, ratio
from analysis.key_covariance.spectra_figures import law_figure, spectrum_figure, spread_figure
from analysis.key_covariance.tables import (
    description_table,
    halves_table,
    recall_table,
    tracking_table,
)
from analysis.key_covariance.tracking import ANNEALED, DELTA_FIXED
from analysis.key_covariance.tracking_figure import tracking_figure
from analysis.rows import Rows, chosen
from analysis.sources import left_out, stored_names
from analysis.words import short, span
from ttr_numerics.report import Section

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    tables = [description_table(rows), recall_table(rows), tracking_table(rows), check_table(rows)]
    if chosen(rows, part="halves"):
        tables.insert(2, halves_table(rows))
    return Section(
        name="key_covariance",
        title="What the covariance of the keys does to recall",
        question="How does the covariance of the keys decide what a memory recalls, and how far are real keys from "
        "isotropic?",
        answer=" ".join(filter(None, (_real(rows), _out_of_sample(rows), _tracking(rows)))),
        compared="The same pairs as they are, centred, and through Σ^-1/2 in sample, of the population and of other "
        "tokens; linear attention and the delta rule with least squares, which is what recursive least squares ends "
        "at; closed forms over all of them.",
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
            _ends(rows),
            "One text a model, and the heads of a layer are not independent: bars over heads say how alike they are.",
            "Tracking is measured on a map that stays; maps that drift are another analysis. The best steps and the "
            "prior's ridge know the noise, which a layer would have to learn.",
            *left_out(rows),
        ),
    )


def _real(rows: Rows) -> str:
    """What the mean key is of the first stored source, and what whitening and centring it do to recall."""
    keys = chosen(rows, part="keys")
    name = next(iter(stored_names(keys)), None)
    if name is None:
        return ""
    share, rank = (described(keys, name, UNIT, m) for m in ("mean-key share", "participation ratio"))
    assert share is not None
    assert rank is not None
    text = (
        f"The mean key carries {share['value']:.0%} of the squared length of the unit keys of {name}, whose "
        f"{share['d']} channels count as {rank['value']:.1f} (participation ratio)."
    )
    error = {
        (treatment, layer): found.value
        for treatment in (UNIT, CENTRED, WHITENED)
        for layer in (LINEAR, DELTA, LEAST)
        if (found := mean_error(keys, name, treatment, layer, REAL_VALUES)) is not None
    }
    if (WHITENED, LINEAR) in error:
        text += (
            f" Whitening in sample takes linear attention's squared error on them from {error[UNIT, LINEAR]:.2f} to "
            f"{error[WHITENED, LINEAR]:.2f} and the delta rule's from {error[UNIT, DELTA]:.2f} to "
            f"{error[WHITENED, DELTA]:.2f}."
        )
    if (CENTRED, LEAST) in error:
        before, after = error[UNIT, LEAST], error[CENTRED, LEAST]
        because = ": the mean key is also the memory's constant term" if after > before else ""
        text += (
            f" Removing the mean key alone takes the error of least squares from {before:.2f} to {after:.2f}{because}."
        )
    return text


def _out_of_sample(rows: Rows) -> str:
    """What a metric of other tokens does on the first stored source."""
    own = chosen(rows, part="halves")
    name = next(iter(stored_names(own)), None)
    if name is None or not all(chosen(own, source=name, treatment=metric) for metric in (WHITENED, OTHERS)):
        return ""
    error = {
        (treatment, asked, row["layer"]): row["value"]
        for treatment in (UNIT, WHITENED, OTHERS)
        for asked in ("stored", "unseen")
        for row in chosen(own, source=name, treatment=treatment, queries=asked)
    }
    helped = [error[OTHERS, "unseen", layer] < error[UNIT, "unseen", layer] for layer in (LINEAR, BEST)]
    does = "does so too" if all(helped) else "does so in part" if any(helped) else "does not do this"
    return (
        f"A metric from other tokens of the same text {does}: with {chosen(own, source=name)[0]['pairs']} stored, "
        f"linear attention's error is {error[UNIT, 'stored', LINEAR]:.2f} without, "
        f"{error[OTHERS, 'stored', LINEAR]:.2f} with it ({error[WHITENED, 'stored', LINEAR]:.2f} in sample), and on "
        f"unseen tokens {error[UNIT, 'unseen', LINEAR]:.2f} becomes {error[OTHERS, 'unseen', LINEAR]:.2f}, the delta "
        f"rule's {error[UNIT, 'unseen', BEST]:.2f} becomes {error[OTHERS, 'unseen', BEST]:.2f} (ridge without any "
        f"metric: {error[UNIT, 'unseen', RIDGE]:.2f})."
    )


def _tracking(rows: Rows) -> str:
    own = [row for row in chosen(rows, part="unseen") if row["noise"] and row["ratio"] is not None]
    n, d, noise = max(row["n"] for row in own), own[0]["d"], max(row["noise"] for row in own)
    constant, falling = (chosen(own, layer=layer) for layer in (DELTA_FIXED, ANNEALED))
    above = sum(row["ratio_low"] > 1 for row in falling)
    late = {row["cond"]: row for row in chosen(falling, n=n, noise=noise)}
    narrow, wide = min(late), max(late)
    return (
        "Does tracking the uncertainty of the solution help beyond a fixed metric Σ^-1/2? On unseen queries of a "
        "noisy map the best constant step through the population's metric leaves "
        f"{span(row['ratio'] for row in constant)} times the error of recursive least squares with the prior's ridge, "
        f"a falling step {span(row['ratio'] for row in falling)} times (its 95 % interval lies above 1 in {above} of "
        f"{len(falling)} cells). After {n} pairs of {d} channels with noise {noise:g} the falling step is at "
        f"{ratio(late[narrow])} for cond(Σ) = {short(narrow)}, where one falling number is all that is left to track, "
        f"and at {ratio(late[wide])} for {short(wide)}, where the metric also forgets which directions the map is "
        "expected in."
    )


def _ends(rows: Rows) -> str:
    """How many of the numbers chosen from a list are an end of it: a longer list might have done better."""
    once = [row for row in rows if row.get("shift", 0) == 0]
    steps, least, most = at_ends([row for row in once if row.get("layer") != RIDGE])
    ridges, small, large = at_ends(chosen(once, layer=RIDGE))
    return (
        f"Best numbers are those of lists: β of {len(STEPS)} from {STEPS[0]:g} to {STEPS[-1]:g} (all the way) is the "
        f"least in {least} and the greatest in {most} of {steps} choices; λ of {len(RIDGES)} from {RIDGES[0]:g} to "
        f"{RIDGES[-1]:g} of the mean eigenvalue of K'K the least, almost least squares, in {small} and the greatest in "
        f"{large} of {ridges}."
    )
