"""Figures of the drift study: coloured keys, other layers, stored keys; all over the Kalman filter."""

import numpy as np

from analysis.drift.drawing import LOST, grid, measured
from analysis.drift.found import METRICS, Rows, coloured_ratio, own, ratio, values
from analysis.drift.measured import COLOURED, SLOW
from ttr_numerics.measure import bounds
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Panel, Theory

__all__ = ["coloured_figure", "layers_figure", "stored_figure"]


def coloured_figure(rows: Rows) -> Figure:
    """The three metrics against the condition number."""
    found = own(rows, part="coloured keys")
    conds = values(found, "cond")
    ratios = {power: [(cond, coloured_ratio(rows, cond, power)) for cond in conds] for power in METRICS}
    drawn = {power: [(x, i) for x, i in points if i is not None] for power, points in ratios.items()}
    penalty = [
        (cond, drawn[0.5][0][1].value * bounds.metric_penalty(np.geomspace(1, 1 / cond, COLOURED).tolist(), 0.0))
        for cond in conds
    ]
    panel = Panel(
        f"d = {COLOURED}, qd = {SLOW:g}, noise 0",
        "condition number of the keys' covariance",
        LOST,
        (
            *(measured(name, drawn[power], "gated delta rule") for power, name in METRICS.items()),
            Theory(
                "isotropic × penalty law",
                [x for x, _ in penalty],
                [y for _, y in penalty],
                of=METRICS[1.0],
                layer="gated delta rule",
            ),
        ),
        x_log=True,
    )
    at, plain = drawn[0.0][-1][0], drawn[0.0][0][1]
    words = [f"{drawn[power][-1][1].value:.2f} ({name})" for power, name in METRICS.items()]
    return Figure(
        name="coloured",
        panels=(panel,),
        finding=f"The gated delta rule's excess over the filter's on keys of condition {at:g}: {', '.join(words)}; on "
        f"isotropic ones it is {plain.value:.2f}.",
        caption="Excess of the gated delta rule, gate √(1-q), step at its best, over the Kalman filter's; keys N(0, Σ) "
        "with a log-uniform spectrum; the drift is isotropic in the map.",
        grid=grid(found, ("cond",)) + "; three metrics and the filter.",
        interval="95 %, of both means together.",
        theory="Dashed: (E λ^s)(E λ^(1-s))/(E √λ)² at s = 0 or 1, times the isotropic ratio measured here: the limit "
        "of slow drift, norms replaced by their means. Weak channels, which the drift itself bounds, lie below it.",
    )


def layers_figure(rows: Rows) -> Figure:
    """All layers at their best, over the filter."""
    found = own(rows, part="other layers")
    panels = [
        Panel(
            f"noise {noise:g}",
            "drift qd",
            LOST,
            tuple(
                measured(
                    name,
                    [(row["qd"], _over_filter(found, row)) for row in own(found, noise=noise, method=name)],
                )
                for name in values(found, "method")
                if name != "Kalman filter"
            ),
            x_log=True,
            y_log=True,
        )
        for noise in values(found, "noise")
    ]
    first = own(found, noise=0.0, qd=min(values(found, "qd")))
    order = sorted((row for row in first if row["method"] != "Kalman filter"), key=lambda row: row["value"])
    words = [f"{row['method']} {_over_filter(found, row).value:.3g}" for row in order]
    return Figure(
        name="layers",
        panels=tuple(panels),
        finding=f"Slow drift without noise (qd = {first[0]['qd']:g}), each layer at the best of its grid, times the "
        f"filter's excess: {'; '.join(words)}.",
        caption="Excess of each layer with the parameters and the output scale that did best on other draws, over the "
        "Kalman filter's on the same draws; d = 16. Least squares weighs all its past keys together, where the delta "
        "rules take one at a time.",
        grid=grid(found, ("qd", "noise")),
        interval="95 %, of both means as if apart: wider than it need be.",
    )


def stored_figure(rows: Rows) -> Figure | None:
    """All layers on stored keys; None without any."""
    found = own(rows, part="stored keys")
    if not found:
        return None
    panels = []
    for source in values(found, "source"):
        of_source = own(found, source=source)
        lines = [
            measured(name, [(row["qd"], _over_filter(of_source, row)) for row in own(of_source, method=name)])
            for name in values(of_source, "method")
            if name != "Kalman filter"
        ]
        panels.append(Panel(source, "drift qd", LOST, tuple(lines), x_log=True, y_log=True))
    plain, metric = (
        [_over_filter(found, row).value for row in own(found, method=name)]
        for name in ("gated delta rule", "gated delta rule, metric Σ^-1/2")
    )
    return Figure(
        name="stored",
        panels=tuple(panels),
        finding=f"On stored keys the gated delta rule's excess is {min(plain):.2f} to {max(plain):.2f} times the "
        f"filter's, "
        f"with the metric Σ^-1/2 {min(metric):.2f} to {max(metric):.2f} times.",
        caption="Stored keys as regressors, scaled as a whole, maps that drift anew in every draw; the second half "
        "of the "
        "tokens is scored. Σ and its metric are those of the head's own keys, in-sample.",
        grid=grid(found, ("source", "qd", "noise")),
        interval="95 % over draws of the maps, keys given.",
    )


def _over_filter(rows: Rows, row: dict[str, object]) -> Interval:
    same = {name: row[name] for name in ("qd", "noise", "source") if name in row}
    return ratio(row, own(rows, method="Kalman filter", **same)[0])
