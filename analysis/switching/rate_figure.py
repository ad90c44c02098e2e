"""The figure of rates: how the error of local fits falls with the number of keys."""

import numpy as np

from analysis.drift.drawing import count
from analysis.rows import Rows, chosen, values
from analysis.switching import rates
from analysis.switching.drawing import FLOOR, measured
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["rate_figure"]

LABELS = "keys n", "mean squared error"


def rate_figure(rows: Rows) -> Figure:
    """Error against the number of keys, one panel a dimension."""
    found = chosen(rows, part="rates")
    dims, sizes = values(found, "d"), sorted(values(found, "n"))
    return Figure(
        name="rates",
        panels=tuple(Panel(f"d = {d}", *LABELS, _over_keys(chosen(found, d=d)), x_log=True, y_log=True) for d in dims),
        finding=_finding(found),
        caption=f"Mean squared error at uniform queries for f(x) = Σ sin({rates.FREQUENCY:g}x_a + π/4)/√d on "
        f"[-1, 1]^d, no derivative of which vanishes at the ends, values with noise of variance {rates.NOISE:g}, "
        "bandwidth at its best for each fit, n and d.",
        grid=f"d {', '.join(map(str, dims))}; n {', '.join(map(str, sizes))}, the largest for few d; "
        f"{count(found)} draws of the keys, {rates.QUERIES} queries and {rates.VALUES} draws of the noise each, "
        f"{len(rates.BANDWIDTHS)} bandwidths",
        interval=f"95 %, Student's t over draws; {FLOOR}.",
        theory="Squared bias and variance of each local fit at these n, no constant fitted: leading order in 1/n, "
        "integrated exactly in the bandwidth, at its best of the same grid; too low where few keys surround a query. "
        "The best linear function's misfit, its limit.",
    )


def _over_keys(rows: Rows) -> tuple[Series, ...]:
    """Every fit with the error that theory gives it."""
    lines: list[Series] = []
    for layer in values(rows, "layer"):
        own = sorted(chosen(rows, layer=layer), key=lambda row: row["n"])
        n, expected = ([row[name] for row in own] for name in ("n", "expected"))
        label = "misfit" if layer == rates.GLOBAL else f"expected, degree {rates.DEGREES[layer]}"
        lines += [measured(layer, own, "n"), Theory(label, n, expected, of=layer)]
    return tuple(lines)


def _finding(found: Rows) -> str:
    local = [row for row in found if row["layer"] != rates.GLOBAL]
    far = [row for row in local if abs(row["value"] - row["expected"]) > 3 * row["error"]]
    where = f"; the others at d = {', '.join(map(str, sorted(values(far, 'd'))))}" if far else ""
    ratios = np.array([row["value"] / row["expected"] for row in local])
    n = max(row["n"] for row in found)
    last = {row["layer"]: row["value"] for row in chosen(found, d=1, n=n)}
    order = ", ".join(f"{layer} {value:.2g}" for layer, value in last.items() if layer != rates.GLOBAL)
    return (
        "Bias and variance at finite n foretell the error of local fits within three standard errors in "
        f"{len(local) - len(far)} of {len(local)} cases (ratios {ratios.min():.2f} to {ratios.max():.2f}{where}); at "
        f"d = 1, n = {n}: {order}. The global linear fit stays at {last[rates.GLOBAL]:.3f}, its misfit "
        f"{rates.misfit():.3f}."
    )
