"""The page of the drift study."""

from analysis.chance import BEYOND
from analysis.drift import figures, layer_figures, tables
from analysis.drift.edges import Grids, edges, said
from analysis.drift.excess import BETAS, METHODS, NATURAL_ENDS
from analysis.drift.found import METRICS, coloured_ratio, deviations, filter_ratio
from analysis.rows import Rows, chosen, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Section

__all__ = ["render"]

RULE = "gated delta rule"


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    return Section(
        name="drift",
        title="Maps that drift: the gated delta rule and the Kalman filter",
        question="How much does a memory lose that follows a drifting map by the gated delta rule, and not by the "
        "Kalman filter, which is the best there is?",
        answer=_answer(rows),
        compared="The gated delta rule with its closed form and, at its best, with the Kalman filter; recursive least "
        "squares and Mesa with forgetting, the delta rule and decaying linear attention, each at its best; the "
        "constants of an unpublished study with ours.",
        figures=_figures(rows),
        tables=(
            *((tables.claims_table(rows),) if chosen(rows, part="closed form") and chosen(rows, part="filter") else ()),
            *((tables.layers_table(rows),) if chosen(rows, part="other layers") else ()),
        ),
        limits=(
            "Regressors are independent Gaussian vectors, except where stored keys take their place.",
            "The filter is told the drift, the noise and the law of the first map; the gated delta rule has the gate "
            "and the step that are best for them. Neither has to learn these.",
            "The limit d → ∞ replaces quadratic forms by their means: derived, and met by simulation, but no theorem.",
            "Gates and steps are constant in time; steps that depend on data may do better.",
            _edges(rows),
            "On stored keys maps drift at random: nothing is said of the values that these keys had.",
        ),
    )


def _figures(rows: Rows) -> tuple[Figure, ...]:
    """Those for which there are rows."""
    drawn = (
        figures.formula_figure(rows) if chosen(rows, part="closed form") else None,
        figures.filter_figure(rows) if chosen(rows, part="filter", noise=0.0) else None,
        layer_figures.coloured_figure(rows) if _whole(rows) else None,
        layer_figures.layers_figure(rows) if chosen(rows, part="other layers", noise=0.0) else None,
        layer_figures.stored_figure(rows),
    )
    return tuple(figure for figure in drawn if figure is not None)


def _edges(rows: Rows) -> str:
    tuned = [(row["method"], row["parameters"]) for row in rows if "parameters" in row]
    steps: Grids = {name: (None, {"beta": BETAS}) for name in (RULE, f"{RULE}, metric Σ^-1/2")}
    return said(edges(tuned, {**METHODS, **steps}, NATURAL_ENDS), NATURAL_ENDS)


def _whole(rows: Rows) -> bool:
    """Whether the isotropic case and every metric were measured."""
    conds = values(chosen(rows, part="coloured keys"), "cond")
    return bool(conds) and all(coloured_ratio(rows, cond, power) is not None for cond in conds for power in METRICS)


def _answer(rows: Rows) -> str:
    sentences = []
    found = chosen(rows, part="filter", noise=0.0)
    if found:
        slow, last = min(values(found, "qd")), max(values(found, "d"))
        most = max(filter_ratio(row).value for row in chosen(found, d=last, qd=slow))
        sentences.append(
            f"Without noise and under slow drift the best gated delta rule's excess is {most:.3f} times the Kalman "
            f"filter's (d = {last}, qd = {slow:g}); the constant behind it is 4/e = "
            f"{bounds.noiseless_drift_constant():.4f}, derived here (no proof) for d → ∞ and then qd → 0, and "
            "fast drift or noise make the gap small."
        )
    coloured = coloured_ratio(rows, 1000.0, 0.0), coloured_ratio(rows, 1000.0, 0.5)
    if coloured[0] and coloured[1]:
        sentences.append(
            f"On keys of condition 1000 it is {coloured[0].value:.2f} times, through the fixed metric Σ^-1/2 "
            f"{coloured[1].value:.2f}."
        )
    z = abs(deviations(rows))
    if len(z):
        sentences.append(
            f"{int(sum(z <= BEYOND))} of {len(z)} settings of the gated delta rule are within 3 standard errors of its "
            "closed form."
        )
    stored = layer_figures.stored_figure(rows)
    return " ".join(sentences) or (stored.finding if stored else "Nothing was asked that leaves an error.")
