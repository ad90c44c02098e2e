"""Figures of the drift study: coloured keys, other layers, stored keys; all over the Kalman filter."""

from collections.abc import Sequence

import numpy as np

from analysis.drift.drawing import LOST, grid, measured
from analysis.drift.found import METRICS, coloured_ratio, over_filter
from analysis.drift.measured import COLOURED, FILTER, SIZE, SLOW
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from analysis.words import span
from ttr_numerics.measure import bounds
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Panel, Theory

__all__ = ["coloured_figure", "layers_figure", "stored_figure"]


RULE = "gated delta rule"
PAIRED = "95 %, Student's t on logarithms, paired by draw"


def coloured_figure(rows: Rows) -> Figure:
    """The three metrics against the condition number."""
    found = chosen(rows, part="coloured keys")
    ratios = {
        power: [(cond, of) for cond in values(found, "cond") if (of := coloured_ratio(rows, cond, power)) is not None]
        for power in METRICS
    }
    words = [f"{ratios[power][-1][1].value:.2f} ({name})" for power, name in METRICS.items()]
    lines = [measured(name, ratios[power], RULE) for power, name in METRICS.items()]
    label = "condition number of the keys' covariance"
    return Figure(
        name="coloured",
        panels=(
            Panel(f"d = {COLOURED}, qd = {SLOW:g}, noise 0", label, LOST, (*lines, _penalty(ratios[0.5])), x_log=True),
        ),
        finding=f"The gated delta rule's excess over the filter's on keys of condition {ratios[0.0][-1][0]:g}: "
        f"{', '.join(words)}; on isotropic ones it is {ratios[0.0][0][1].value:.2f}.",
        caption="Excess of the gated delta rule, gate √(1-q), step at its best, over the Kalman filter's; keys N(0, Σ) "
        "with a log-uniform spectrum; the drift is isotropic in the map.",
        grid=f"condition{grid(found, ('cond',)).removeprefix('cond')}; {len(METRICS)} metrics and the filter.",
        interval="95 %, of both means together.",
        theory="Dashed: (E λ^s)(E λ^(1-s))/(E √λ)² at s = 0 or 1, times the isotropic ratio measured here: the limit "
        "of slow drift, norms replaced by their means. Weak channels, which the drift itself bounds, lie below it.",
    )


def _penalty(isotropic: Sequence[tuple[float, Interval]]) -> Theory:
    """The penalty law of plain and of whitened keys, from the ratio measured on isotropic ones."""
    conds, start = [cond for cond, _ in isotropic], isotropic[0][1].value
    law = [bounds.metric_penalty(np.geomspace(1, 1 / cond, COLOURED).tolist(), 0.0) for cond in conds]
    return Theory("isotropic × penalty law", conds, [start * x for x in law], of=METRICS[1.0], layer=RULE)


def layers_figure(rows: Rows) -> Figure:
    """All layers at their best, over the filter."""
    found = chosen(rows, part="other layers")
    first = chosen(found, noise=0.0, qd=min(values(found, "qd")))
    order = sorted((of.value, row["method"]) for row in first if (of := over_filter(row)) and row["method"] != FILTER)
    return Figure(
        name="layers",
        panels=tuple(_over_drift(chosen(found, noise=noise), f"noise {noise:g}") for noise in values(found, "noise")),
        finding=f"Slow drift without noise (qd = {first[0]['qd']:g}), each layer at the best of its grid, times the "
        f"filter's excess: {'; '.join(f'{name} {ratio:.3g}' for ratio, name in order)}.",
        caption="Excess of each layer with the parameters and the output scale that did best on other draws, over the "
        f"Kalman filter's on the same draws; d = {SIZE}. Least squares weighs all its past keys together, where the "
        "delta rules take one at a time.",
        grid=grid(found, ("qd", "noise")),
        interval=f"{PAIRED}.",
        theory="None drawn: the filter is the least that any estimator loses (1 on this axis); the gated delta rule's "
        "closed form has a figure of its own.",
    )


def _over_drift(rows: Rows, title: str) -> Panel:
    """A line a layer; where the filter errs by nothing, as on keys that are zero, there is no ratio."""
    lines = []
    for name in (name for name in values(rows, "method") if name != FILTER):
        points = [(row["qd"], of) for row in chosen(rows, method=name) if (of := over_filter(row))]
        lines += [measured(name, points)] if points else []
    return Panel(title, "drift qd", LOST, tuple(lines), x_log=True, y_log=True)


def stored_figure(rows: Rows) -> Figure | None:
    """All layers on stored keys; None where none were asked, or none left an error."""
    found = [row for row in chosen(rows, part="stored keys") if over_filter(row)]
    if not found:
        return None
    plain, metric = (
        span([row["over"] for row in chosen(found, method=name)]) for name in (RULE, f"{RULE}, metric Σ^-1/2")
    )
    return Figure(
        name="stored",
        panels=tuple(_over_drift(chosen(found, source=source), source) for source in values(found, "source")),
        finding=f"On stored keys the gated delta rule's excess is {plain} times the filter's, with the metric Σ^-1/2 "
        f"{metric} times.",
        caption="Stored keys as regressors, scaled as a whole, maps that drift anew in every draw; the second half "
        f"of the tokens is scored. Σ and its metric are those of the head's own keys, in-sample.{quantised(found)}",
        grid=grid(found, ("source", "qd", "noise")),
        interval=f"{PAIRED} of the maps, keys given.",
        theory="None: the closed forms are of Gaussian regressors; 1 is the filter, which loses least.",
    )
