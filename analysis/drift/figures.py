"""The figures of the drift study, from stored rows."""

from collections.abc import Iterable

import numpy as np

from analysis.drift.found import (
    METRICS,
    Rows,
    coloured_ratio,
    deviations,
    filter_ratio,
    formula_ratios,
    own,
    ratio,
    values,
)
from ttr_numerics.measure import bounds
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["coloured_figure", "filter_figure", "formula_figure", "layers_figure", "stored_figure"]

INTERVAL = "95 %, Student's t over draws"
LOST = "excess over the Kalman filter's"


def _measured(label: str, points: Iterable[tuple[float, Interval]], layer: str = "") -> Measured:
    found = list(points)
    ends = ([getattr(interval, end) for _, interval in found] for end in ("value", "low", "high"))
    return Measured(label, [x for x, _ in found], *ends, layer=layer)


def formula_figure(rows: Rows) -> Figure:
    """Measured over closed form, every setting."""
    found, z = formula_ratios(rows), deviations(rows)
    worst = max(abs(interval.value - 1) for _, interval in found)
    panels = [
        Panel(
            f"noise {noise:g}",
            "excess by the closed form",
            "measured / closed form",
            (
                *(
                    _measured(rule, sorted((row["value"] / i.value, i) for row, i in found if _is(row, noise, rule)))
                    for rule in values([row for row, _ in found], "rule")
                ),
                Theory("closed form", (1e-3, 3.0), (1.0, 1.0)),
            ),
            x_log=True,
        )
        for noise in values([row for row, _ in found], "noise")
    ]
    return Figure(
        name="closed_form",
        panels=tuple(panels),
        finding=f"The closed form of the gated delta rule holds: {int(np.sum(np.abs(z) <= 3))} of {len(z)} settings "
        f"lie "
        f"within 3 standard errors, the farthest at {np.max(np.abs(z)):.1f}, and the largest deviation is "
        f"{100 * worst:.1f} %.",
        caption="Excess of the guess of the next value before it is seen, measured over the closed form, against the "
        "closed form. The value itself has variance 1 without noise.",
        grid=_grid(own(rows, part="closed form"), ("d", "q", "noise", "rule")),
        interval=INTERVAL,
        theory="exact for Gaussian regressors: second moments close",
    )


def _is(row: dict[str, object], noise: float, rule: str) -> bool:
    return row["noise"] == noise and row["rule"] == rule


def filter_figure(rows: Rows) -> Figure:
    """Best gated delta rule over filter, against qd and against d."""
    found = own(rows, part="filter")
    noises, dims = values(found, "noise"), values(own(found, noise=0.0), "d")
    x = np.geomspace(min(values(found, "qd")) / 3, max(values(found, "qd")), 60)
    panels = []
    for noise in noises:
        many = [d for d in dims if len(own(found, d=d, noise=noise)) > 1]
        lines: list[Series] = [
            _measured(f"d = {d}", [(row["qd"], filter_ratio(row)) for row in own(found, d=d, noise=noise)])
            for d in many
        ]
        lines.append(Theory("d → ∞, derived", x.tolist(), [limit(float(qd), noise) for qd in x]))
        panels.append(Panel(f"noise {noise:g}", "drift qd", LOST, tuple(lines), x_log=True))
    slow = min(values(found, "qd"))
    points = [(row["d"], filter_ratio(row)) for row in own(found, qd=slow, noise=0.0)]
    ends = (float(dims[0]), float(dims[-1]))
    panels.append(
        Panel(
            f"noise 0, qd = {slow:g}",
            "dimension d",
            LOST,
            (
                _measured("measured", points),
                Theory("d → ∞ at this qd", ends, (limit(slow, 0.0),) * 2, of="measured"),
                Theory("4/e, then qd → 0", ends, (bounds.noiseless_drift_constant(),) * 2),
            ),
            x_log=True,
            x_ticks=dims,
        )
    )
    last, of_last = points[-1]
    return Figure(
        name="filter",
        panels=tuple(panels),
        finding="Without noise the best gated delta rule's excess is up to "
        f"{max(filter_ratio(row).value for row in own(found, noise=0.0)):.3f} times the Kalman filter's: "
        f"{of_last.value:.3f} at qd = {slow:g} and d = {last}, on the way to the derived limit {limit(slow, 0.0):.3f}, "
        f"and to 4/e = {bounds.noiseless_drift_constant():.4f} for ever slower drift. Noise closes the gap: at most "
        + ", ".join(f"{_most(rows, noise):.3f} at noise {noise:g}" for noise in noises if noise)
        + ".",
        caption="Closed form of the best gated delta rule over the Kalman filter's measured excess, isotropic Gaussian "
        "keys, against the drift qd (q the share of a map that a token renews), and, without noise, against d.",
        grid=_grid(found, ("d", "qd", "noise")),
        interval=INTERVAL + ", of the filter's variance; the closed form has none",
        theory="the limit d → ∞, derived here in closed form with quadratic forms replaced by their means: not a "
        f"theorem. Measurements approach it like 1/d; at the largest d of each line they are within {_gap(rows)} %",
    )


def limit(qd: float, noise: float) -> float:
    """The ratio for d → ∞."""
    return bounds.best_gated_delta_rule_limit(qd, noise) / bounds.kalman_drift_limit(qd, noise)


def _most(rows: Rows, noise: float) -> float:
    return max(filter_ratio(row).value for row in own(rows, part="filter", noise=noise))


def _gap(rows: Rows) -> str:
    found = own(rows, part="filter")
    last = max(row["d"] for row in found if row["noise"] > 0 or row["qd"] != min(values(found, "qd")))
    gaps = [abs(filter_ratio(row).value / limit(row["qd"], row["noise"]) - 1) for row in own(found, d=last)]
    return f"{100 * max(gaps):.1f}"


def coloured_figure(rows: Rows) -> Figure:
    """The three metrics against the condition number."""
    found = own(rows, part="coloured keys")
    conds = values(found, "cond")
    ratios = {power: [(cond, coloured_ratio(rows, cond, power)) for cond in conds] for power in METRICS}
    drawn = {power: [(x, i) for x, i in points if i is not None] for power, points in ratios.items()}
    penalty = [
        (cond, drawn[0.5][0][1].value * bounds.metric_penalty(np.geomspace(1, 1 / cond, 64).tolist(), 0.0))
        for cond in conds
    ]
    panel = Panel(
        "d = 64, qd = 0.01, noise 0",
        "condition number of the keys' covariance",
        LOST,
        (
            *(_measured(name, drawn[power]) for power, name in METRICS.items()),
            Theory("isotropic × penalty law", [x for x, _ in penalty], [y for _, y in penalty], of=METRICS[1.0]),
        ),
        x_log=True,
    )
    at = drawn[0.0][-1][0]
    words = [f"{name} {drawn[power][-1][1].value:.2f}" for power, name in METRICS.items()]
    return Figure(
        name="coloured",
        panels=(panel,),
        finding=f"Coloured keys cost the gated delta rule more: at condition {at:g} its excess over the filter's is, "
        f"{'; '.join(words)}. A fixed metric Σ^-1/2 takes that back; full whitening makes it no better than doing "
        f"nothing.",
        caption="Excess of the gated delta rule, gate √(1-q), step at its best, over the Kalman filter's; keys N(0, Σ) "
        "with a log-uniform spectrum; the drift is isotropic in the map.",
        grid=f"condition {', '.join(f'{c:g}' for c in conds)}; three metrics and the filter",
        interval="95 %, of both means together",
        theory="(E λ^s)(E λ^(1-s))/(E √λ)² at s = 0 or 1, times the isotropic ratio measured here: the limit of slow "
        "drift, norms replaced by their means. Weak channels, which the drift itself bounds, lie below it",
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
                _measured(
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
        finding=f"Slow drift without noise (qd = {first[0]['qd']:g}), each layer at its best, times the filter's "
        f"excess: "
        f"{'; '.join(words)}.",
        caption="Excess of each layer with the parameters and the output scale that did best on other draws, over the "
        "Kalman filter's on the same draws; d = 16. Least squares weighs all its past keys together, where the delta "
        "rules take one at a time.",
        grid=_grid(found, ("qd", "noise")),
        interval="95 %, of both means as if apart: wider than it need be",
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
            _measured(name, [(row["qd"], _over_filter(of_source, row)) for row in own(of_source, method=name)])
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
        grid=_grid(found, ("source", "qd", "noise")),
        interval="95 % over draws of the maps, keys given",
    )


def _over_filter(rows: Rows, row: dict[str, object]) -> Interval:
    same = {name: row[name] for name in ("qd", "noise", "source") if name in row}
    return ratio(row, own(rows, method="Kalman filter", **same)[0])


def _grid(rows: Rows, names: tuple[str, ...]) -> str:
    """Values of each parameter, and the least and largest number of draws."""
    axes = [f"{name} {', '.join(_word(value) for value in values(rows, name))}" for name in names]
    trials = sorted({row["trials"] for row in rows})
    count = f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
    return f"{'; '.join(axes)}; {count} draws"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
