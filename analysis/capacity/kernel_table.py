"""Table: what memories in a kernel's space recall of their most pairs, and their halves over the law of each."""

from itertools import pairwise
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from analysis.capacity.kernel_laws import feature_dimension, harmonics, resolved_degree
from analysis.capacity.kernels import GAINS, READ
from analysis.capacity.notions import (
    ARGMAX,
    CLOSE,
    EXACT,
    KERNEL_RIDGE,
    KERNELS,
    LIST,
    QUADRATIC,
    THRESHOLD,
    TOLERANCE,
    list_length,
)
from analysis.capacity.transitions import Rows, chosen, half, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Table

__all__ = ["ROUNDING", "kernels_table", "over_law", "over_typical", "quadratic_predicted", "typical_error"]

ROUNDING = 2.0**-50  # an error below it is rounding
NODES, SHARES = special.roots_legendre(200)


def kernels_table(rows: Rows) -> tuple[Table, ...]:
    """What is recalled of the most pairs asked, by layer and d, and where a half is reached, over its law."""
    own = chosen(rows, part=KERNELS)
    cells: list[tuple[Any, ...]] = []
    for layer in READ:
        for d in values(chosen(own, layer=layer), "d"):
            found = chosen(own, layer=layer, d=d)
            last = {row["notion"]: row["value"] for row in found if row["n"] == found[-1]["n"]}
            notion = ARGMAX if layer == QUADRATIC else EXACT
            n = _half_by_error(found) if layer in GAINS else half(chosen(found, notion=notion))
            shares = (last.get(notion) for notion in (EXACT, CLOSE, ARGMAX, LIST))
            cells.append((layer, d, found[-1]["n"], *shares, notion, n, over_law(layer, d, n)))
    columns = (
        *("memory", "d", "most pairs n", "exact", f"within {TOLERANCE:g}", "ranked first", "in the best 5 %"),
        *("half of", "is at n =", "over its law"),
    )
    note = (
        "Shares of the most pairs that were asked. Half is reached inside the grid where an n is given; for softmax, "
        "where the median error is the threshold. Laws: softmax, typical weights with that error; kernel ridge, N; "
        "degree 2, the load 2 n ln n/(D d), D = d(d+2)/3. None of them is a bound."
    )
    return (Table("What memories in a kernel's space recall", columns, cells, note),) if cells else ()


def typical_error(n: float, d: int, gain: float) -> float:
    """√(L² + W)/(1 + L), about the median ‖o_i - v_i‖ of softmax attention at n unit keys and unit values.

    L = (n-1) ∫_{-1}^{x*} e^{β(x-1)} f(x) dx is the weight of the others, W that at 2β, f the law of a coordinate of a
    unit vector, and x* the median similarity of the nearest key, (n-1) P(x > x*) = ln 2. Without that end it is the
    error of `bounds.softmax_error_half`, whose means at a gain in proportion to d are those of nearer neighbours than
    n keys have. An *approximation*. Source: derived here.
    """
    law = stats.beta((d - 1) / 2, (d - 1) / 2)  # of (1 + x)/2
    nearest = 2 * law.isf(np.log(2) / (n - 1)) - 1
    x = (nearest + 1) / 2 * (NODES + 1) - 1
    mass = (nearest + 1) / 4 * SHARES * law.pdf((1 + x) / 2)
    L, W = ((n - 1) * float(np.sum(mass * np.exp(beta * (x - 1)))) for beta in (gain, 2 * gain))
    return (L * L + W) ** 0.5 / (1 + L)


def over_typical(rows: Rows, layer: str) -> list[float]:
    """The median error over `typical_error`, of each cell of softmax attention where it is more than rounding."""
    return [
        row["median_error"] / typical_error(row["n"], row["d"], GAINS[layer](row["d"]))
        for row in chosen(rows, part=KERNELS, layer=layer, notion=EXACT)
        if row["median_error"] > ROUNDING
    ]


def quadratic_predicted(n: int, d: int, notion: str) -> float:
    """`list_recall_probability` of keys with 1/E(k·k')² replaced by 1/E(k·k')⁴."""
    length = 1 if notion == ARGMAX else list_length(n)
    return bounds.list_recall_probability(n, length, round(feature_dimension(d)), d)


def over_law(layer: str, d: int, n: float | None) -> float | None:
    """The number of pairs over that of the memory's law, which the table says."""
    if n is None:
        return None
    if layer == QUADRATIC:
        return 2 * n * float(np.log(n)) / (feature_dimension(d) * d)
    if layer in GAINS:
        return n / _softmax_half(d, GAINS[layer](d))
    return n / _resolved(layer, d)


def _half_by_error(rows: Rows) -> float | None:
    """The n at which the median error is the threshold of exact recall, interpolated in logarithms."""
    own = chosen(rows, notion=EXACT)
    points = [(np.log(row["n"]), np.log(max(row["median_error"], ROUNDING) / THRESHOLD)) for row in own]
    for (x, y), (later, above) in pairwise(points):
        if y <= 0 < above:
            return float(np.exp(x - y * (later - x) / (above - y)))
    return None


def _softmax_half(d: int, gain: float) -> float:
    """The n at which `typical_error` is the threshold of exact recall."""
    log_n = optimize.brentq(lambda x: np.log(typical_error(float(np.exp(x)), d, gain) / THRESHOLD), 1.0, 60.0)
    return float(np.exp(log_n))


def _resolved(layer: str, d: int) -> int:
    return harmonics(d, next(resolved_degree(h) for h, name in KERNEL_RIDGE.items() if name == layer))
