"""Figures of the drift study: the closed form, and the gated delta rule over the Kalman filter."""

import numpy as np

from analysis.chance import BEYOND, expected_beyond
from analysis.drift.drawing import LOST, grid, measured
from analysis.drift.found import approaches, deviations, filter_ratio, formula_ratios, limit
from analysis.rows import Rows, chosen, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Cloud, Figure, Panel, Series, Theory

__all__ = ["filter_figure", "formula_figure"]

RULE = "gated delta rule"
INTERVAL = "95 %, Student's t over draws"


def formula_figure(rows: Rows) -> Figure:
    """How far every setting lies from the closed form, in its own standard errors."""
    found, z = formula_ratios(rows), deviations(rows)
    worst = max(abs(interval.value - 1) for _, interval in found)
    points = [(row, row["value"] / of.value, float(off)) for (row, of), off in zip(found, z, strict=True)]
    ends = (min(x for _, x, _ in points), max(x for _, x, _ in points))
    top = max(4.0, 1.1 * float(np.max(np.abs(z))))
    panels, span = [], (-top, top)
    for noise in values([row for row, _ in found], "noise"):
        clouds: list[Series] = []
        for rule in values([row for row, _ in found], "rule"):
            mine = [(x, off) for row, x, off in points if row["noise"] == noise and row["rule"] == rule]
            clouds.append(Cloud(rule, [x for x, _ in mine], [off for _, off in mine], layer=RULE))
        law = Theory("closed form", ends, (0.0, 0.0))
        title, label = f"noise {noise:g}", "standard errors apart"
        panels.append(Panel(title, "excess by the closed form", label, (*clouds, law), x_log=True, y_range=span))
    chance = expected_beyond(row["trials"] for row, _ in found)
    return Figure(
        name="closed_form",
        panels=tuple(panels),
        finding=f"The closed form of the gated delta rule: {int(np.sum(np.abs(z) <= BEYOND))} of {len(z)} settings lie "
        f"within 3 standard errors of it ({chance:.1f} would lie beyond by chance), the farthest at "
        f"{np.max(np.abs(z)):.1f}; the largest deviation is {100 * worst:.1f} %.",
        caption="Excess of the guess of the next value before it is seen, less the closed form, in standard errors of "
        "the setting, against the closed form. The value itself has variance 1 without noise.",
        grid=grid(chosen(rows, part="closed form"), ("d", "q", "noise", "rule")),
        interval="None: a point is one setting, and its own standard error over draws is the unit.",
        theory="Exact for Gaussian regressors: second moments close. Derived here.",
    )


def filter_figure(rows: Rows) -> Figure:
    """Best gated delta rule over filter, against qd and against d."""
    found = chosen(rows, part="filter")
    noises, slow = values(found, "noise"), min(values(found, "qd"))
    return Figure(
        name="filter",
        panels=(*(_over_drift(found, noise) for noise in noises), _over_dimension(chosen(found, qd=slow, noise=0.0))),
        finding=_filter_finding(rows),
        caption="Closed form of the best gated delta rule over the Kalman filter's measured excess, isotropic Gaussian "
        "keys, against the drift qd (q the share of a map that a token renews), and, without noise, against d.",
        grid=grid(found, ("d", "qd", "noise")),
        interval=INTERVAL + ", of the filter's variance; the closed form has none.",
        theory="The limit d → ∞, derived here in closed form with quadratic forms replaced by their means: not a "
        f"theorem. At the largest d of each line measurements are within {_gap(rows)} % of it.{_rate(rows)}",
    )


def _over_drift(found: Rows, noise: float) -> Panel:
    """A line for each d that was measured at more than one drift, and the limit."""
    own = chosen(found, noise=noise)
    x = np.geomspace(min(values(found, "qd")) / 3, max(values(found, "qd")), 60)
    lines: list[Series] = [
        measured(f"d = {d}", [(row["qd"], filter_ratio(row)) for row in chosen(own, d=d)], RULE)
        for d in values(own, "d")
        if len(chosen(own, d=d)) > 1
    ]
    lines.append(Theory("d → ∞, derived", x.tolist(), [limit(float(qd), noise) for qd in x], layer=RULE))
    return Panel(f"noise {noise:g}", "drift qd", LOST, tuple(lines), x_log=True)


def _over_dimension(found: Rows) -> Panel:
    """The slowest drift without noise over d, its limit, and the limit of ever slower drift."""
    slow, dims = found[0]["qd"], values(found, "d")
    ends = (float(dims[0]), float(dims[-1]))
    lines = (
        measured("measured", [(row["d"], filter_ratio(row)) for row in found], RULE),
        Theory("d → ∞ at this qd", ends, (limit(slow, 0.0),) * 2, of="measured"),
        Theory("4/e, then qd → 0", ends, (bounds.noiseless_drift_constant(),) * 2),
    )
    return Panel(f"noise 0, qd = {slow:g}", "dimension d", LOST, lines, x_log=True, x_ticks=dims)


def _filter_finding(rows: Rows) -> str:
    found = chosen(rows, part="filter")
    slow = min(values(found, "qd"))
    last = chosen(found, qd=slow, noise=0.0)[-1]
    most = {
        noise: max(filter_ratio(row).value for row in chosen(found, noise=noise)) for noise in values(found, "noise")
    }
    noisy = ", ".join(f"{ratio:.3f} at noise {noise:g}" for noise, ratio in most.items() if noise)
    return (
        f"Without noise the best gated delta rule's excess is up to {most[0.0]:.3f} times the Kalman filter's: "
        f"{filter_ratio(last).value:.3f} at qd = {slow:g} and d = {last['d']}, on the way to the derived limit "
        f"{limit(slow, 0.0):.3f}, and to 4/e = {bounds.noiseless_drift_constant():.4f} for ever slower drift."
        + (f" Noise narrows the gap: at most {noisy}." if noisy else "")
    )


def _rate(rows: Rows) -> str:
    """How fast the filter approaches its limit, where it was measured at three d."""
    found = approaches(rows)
    if not found:
        return ""
    agree = sum(of.low <= 1 <= of.high for of in found)
    return (
        " The filter's excess approaches its limit like 1/d: fitted as d^-r, r is "
        f"{min(of.value for of in found):.2f} to {max(of.value for of in found):.2f}, and 1 lies in its 95 % interval "
        f"in {agree} of {len(found)} settings of drift and noise."
    )


def _gap(rows: Rows) -> str:
    found = chosen(rows, part="filter")
    last = max(row["d"] for row in found if row["noise"] > 0 or row["qd"] != min(values(found, "qd")))
    gaps = [abs(filter_ratio(row).value / limit(row["qd"], row["noise"]) - 1) for row in chosen(found, d=last)]
    return f"{100 * max(gaps):.1f}"
