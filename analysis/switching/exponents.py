"""The exponents of local fits: fitted, in the limit of many keys, and expected at the numbers of keys measured."""

import numpy as np

from analysis.drift.drawing import count
from analysis.drift.drawing import measured as intervals
from analysis.rows import Rows, chosen, values
from analysis.switching import rates
from ttr_numerics.measure import bounds
from ttr_numerics.measure.fits import power_law
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Panel, Theory

__all__ = ["bandwidths_said", "compared", "exponent_figure", "rate_exponent"]


def exponent_figure(rows: Rows) -> Figure:
    """Exponent against dimension, one panel a local fit."""
    found = [case for case in compared(rows) if case[0] != rates.GLOBAL]
    sizes = sorted(values(chosen(rows, part="rates"), "n"))
    return Figure(
        name="exponents",
        panels=tuple(_panel(layer, [case for case in found if case[0] == layer]) for layer in rates.DEGREES),
        finding=_finding(found),
        caption="The exponent r of an error n^-r, least squares through the logarithms of the errors above.",
        grid=f"n {sizes[0]} to {sizes[-1]}; {count(chosen(rows, part='rates'))} draws a point",
        interval="95 %, Student's t of the slope.",
        theory="n → ∞: 3/(d+3), 4/(d+4) and 7/(d+7), squared bias of order 3, 4 and 7 in the bandwidth, proved in its "
        "order. At these n: the slope through the errors that bias and variance give, as above.",
    )


Case = tuple[str, int, tuple[float, float], Interval]


def compared(rows: Rows) -> list[Case]:
    """Fit, d, (exponent as n → ∞, exponent at these n), fitted exponent."""
    found = chosen(rows, part="rates")
    return [
        (layer, d, (_limit(layer, d), rate_exponent(rows, d, layer, "expected").value), rate_exponent(rows, d, layer))
        for d in values(found, "d")
        for layer in values(found, "layer")
    ]


def rate_exponent(rows: Rows, d: int, layer: str, column: str = "value") -> Interval:
    """r in (error) ~ n^-r, least squares in logarithms."""
    mine = chosen(rows, part="rates", d=d, layer=layer)
    fitted = power_law(*(np.array([row[name] for row in mine], dtype=float) for name in ("n", column))).exponent
    return Interval(-fitted.value, -fitted.high, -fitted.low, fitted.trials)


def bandwidths_said(rows: Rows) -> str:
    """How often the best bandwidth is at an end of its grid."""
    units = [row["units"] for row in chosen(rows, part="rates") if row["units"] is not None]
    at_end = sum(c in (rates.BANDWIDTHS[0], rates.BANDWIDTHS[-1]) for c in units)
    return f"The best bandwidth is at an end of its grid in {at_end} of {len(units)} cases."


def _limit(layer: str, d: int) -> float:
    return 0.0 if layer == rates.GLOBAL else bounds.local_polynomial_exponent(rates.DEGREES[layer], d)


def _panel(layer: str, cases: list[Case]) -> Panel:
    dims = [d for _, d, _, _ in cases]
    limit, here = ([expected[which] for _, _, expected, _ in cases] for which in (0, 1))
    lines = (
        intervals("fitted", [(d, fitted) for _, d, _, fitted in cases], layer),
        Theory("n → ∞", dims, limit, of="fitted"),
        Theory("at these n", dims, here, of="fitted"),
    )
    return Panel(layer, "dimension d", "exponent r", lines)


def _finding(found: list[Case]) -> str:
    inside = [[of.low <= r <= of.high for r in expected] for _, _, expected, of in found]
    limit, here = (sum(case[which] for case in inside) for which in (0, 1))
    widest = max((of.high - of.low) / 2 for *_, of in found)
    gaps = [here - limit for _, _, (limit, here), _ in found]
    return (
        f"The exponents expected at these n lie in the fitted intervals, at most ±{widest:.2f}, in {here} of "
        f"{len(found)} cases, those of the limit in {limit}: at these n theory itself is {min(gaps):+.2f} to "
        f"{max(gaps):+.2f} from its limit."
    )
