"""The figure of rates: how the error of local fits falls with the number of keys."""

from collections.abc import Callable

import numpy as np

from analysis.drift.found import Rows, own, values
from analysis.switching import rates
from analysis.switching.drawing import count, measured
from ttr_numerics.measure import bounds
from ttr_numerics.measure.fits import power_law
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["STATED", "rate_exponent", "rate_figure"]

LOCAL_FITS = (rates.SMOOTHER, rates.LINEAR)
STATED: dict[str, Callable[[int], float]] = {
    rates.SMOOTHER: bounds.kernel_smoother_exponent,
    rates.LINEAR: bounds.local_linear_exponent,
    rates.GLOBAL: lambda d: 0.0,
}


def rate_figure(rows: Rows) -> Figure:
    """Error against the number of keys, one panel a dimension."""
    found = own(rows, part="rates")
    panels = []
    for d in values(found, "d"):
        lines: list[Series] = []
        for layer in values(found, "layer"):
            mine = own(found, d=d, layer=layer)
            lines.append(measured(layer, mine, "n"))
            n, error = (np.array([row[name] for row in mine], dtype=float) for name in ("n", "value"))
            slope = STATED[layer](d)
            level = float(np.exp(np.mean(np.log(error) + slope * np.log(n))))
            lines.append(
                Theory(f"n^-{slope:.2f}" if slope else "constant", n.tolist(), (level * n**-slope).tolist(), of=layer)
            )
        panels.append(Panel(f"d = {d}", "keys n", "mean squared error", tuple(lines), x_log=True, y_log=True))
    fits = [(STATED[layer](d), rate_exponent(rows, d, layer)) for d in values(found, "d") for layer in LOCAL_FITS]
    agree = [of.low <= stated <= of.high for stated, of in fits]
    widest = max((of.high - of.low) / 2 for _, of in fits)
    last = own(found, layer=rates.GLOBAL)[-1]
    return Figure(
        name="rates",
        panels=tuple(panels),
        finding=f"The stated exponents lie in the fitted intervals, at most ±{widest:.2f}, in {sum(agree)} of "
        f"{len(agree)} cases (the table has them); the global linear fit stays at {last['value']:.3f}, its misfit "
        f"4/45 = {4 / 45:.3f}.",
        caption="Mean squared error at uniform queries for a quadratic function on [-1, 1]^d whose gradient does not "
        "vanish at the boundary, values with noise of variance 0.25, bandwidth at its best for each n and d.",
        grid=f"d {', '.join(map(str, values(found, 'd')))}; n {', '.join(map(str, values(found, 'n')))}; "
        f"{count(found)} draws, {rates.QUERIES} queries each, {len(rates.BANDWIDTHS)} bandwidths",
        interval="95 %, Student's t over draws.",
        theory="Slopes -3/(d+3) and -4/(d+4), anchored at the mean of the measured points: proved as n → ∞, and here n "
        "is at most 2048; the global fit's constant.",
    )


def rate_exponent(rows: Rows, d: int, layer: str) -> Interval:
    """r in (error) ~ n^-r, least squares in logarithms."""
    mine = own(rows, part="rates", d=d, layer=layer)
    fitted = power_law(*(np.array([row[name] for row in mine], dtype=float) for name in ("n", "value"))).exponent
    return Interval(-fitted.value, -fitted.high, -fitted.low, fitted.trials)
