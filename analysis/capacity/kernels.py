"""Cells of memories in a kernel's space on n random unit keys and unit values of d channels each, read at the keys.

They keep the n pairs, or the features of the kernel, and not d × d numbers. Keys and values are drawn by NumPy; outputs
and ranks are computed in the library of the cell.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from analysis.capacity.dense import polynomial_sum
from analysis.capacity.matrices import ranks_among
from analysis.capacity.notions import (
    ARGMAX,
    BANDWIDTHS,
    CLOSE,
    EXACT,
    KERNEL_RIDGE,
    KERNEL_RIDGE_PENALTY,
    LIST,
    QUADRATIC,
    SMOOTHER,
    SMOOTHER_ROOT,
    THRESHOLD,
    TOLERANCE,
    list_length,
)
from analysis.capacity.smoothers import gaps, rounding
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import Array, eye, namespace, solve_posdef, to_numpy
from ttr_numerics.measure import bounds, proportion_interval
from ttr_numerics.study import placed

__all__ = ["GAINS", "READ", "kernel_ridge", "kernel_rows"]

ITEMS = 128  # asked for in each draw
DRAWS = 4
BUDGET, CUBES = 2**21, 2**31  # numbers of keys over all draws, and n³ of the memories that solve
GAINS: dict[str, Callable[[int], float]] = {SMOOTHER_ROOT: lambda d: d**0.5, SMOOTHER: lambda d: d / 2}

Reader = Callable[[Array, Array, Array], Array]


def kernel_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row a notion: the shares of the items that are recalled, over draws, and the median ‖o_i - v_i‖."""
    n, d, layer = cell["n"], cell["d"], cell["layer"]
    items = min(n, ITEMS)
    found = [_answers(cell, layer, items, rng) for _ in range(_draws(n, d, layer))]
    rows = []
    for notion in (EXACT, CLOSE, ARGMAX, LIST) if layer in GAINS else (EXACT, ARGMAX, LIST):
        shares = np.array([np.mean(_recalled(each, notion, n)) for each in found])
        rows.append({"notion": notion, "items": items, **proportion_interval(shares, items)._asdict()})
    rows[0]["median_error"] = float(np.median([each.error for each in found]))
    if layer in GAINS:
        over = np.concatenate([each.error / each.allowed for each in found])
        rows[1] |= {"bound_broken": int(np.count_nonzero(~(over <= 1))), "bound_tightest": float(np.max(over))}
    return rows


class _Answers(NamedTuple):
    """‖o_i - v_i‖ and ranks of the items, and what `softmax_recall_bound` allows the first (0 where none is stated)."""

    error: np.ndarray
    rank: np.ndarray
    allowed: np.ndarray | float


def _draws(n: int, d: int, layer: str) -> int:
    solved = CUBES // n**3 if layer in KERNEL_RIDGE.values() else DRAWS
    return max(1, min(DRAWS, solved, max(2, BUDGET // (n * d))))


def _answers(cell: Mapping[str, Any], layer: str, items: int, rng: np.random.Generator) -> _Answers:
    n, d = cell["n"], cell["d"]
    drawn = [tasks.isotropic_unit_keys(rng, (n, d)) for _ in range(2)]
    asked = rng.choice(n, items, replace=False)
    K, V, places = placed(cell, *drawn, asked)
    xp = namespace(K)
    O = READ[layer](xp.take(K, places, axis=0), K, V)
    error = to_numpy(xp.linalg.vector_norm(O - xp.take(V, places, axis=0), axis=-1))
    rank = to_numpy(ranks_among(O, places, V))
    if layer not in GAINS:
        return _Answers(error, rank, 0.0)
    gain = GAINS[layer](d)
    allowed = bounds.softmax_recall_bound(n, gain, gaps(K, places, asked.tolist())) + rounding(gain, n, d, d)
    return _Answers(error, rank, allowed)


def _recalled(answers: _Answers, notion: str, n: int) -> np.ndarray:
    error, rank, _ = answers
    return {
        EXACT: error <= THRESHOLD,
        CLOSE: error <= TOLERANCE,
        ARGMAX: rank < 1,
        LIST: rank < list_length(n),
    }[notion]


def _softmax(gain: Callable[[int], float]) -> Reader:
    def read(q: Array, K: Array, V: Array) -> Array:
        return exact.kernel_smoother(q, K, V, kernel=exact.kernels.Exponential(gain(K.shape[-1]) ** -0.5))

    return read


def kernel_ridge(q: Array, K: Array, V: Array, bandwidth: float, ridge: float) -> Array:
    """κ(q, K) (κ(K, K) + λI)⁻¹ V (m, d_v), κ(x, y) = exp(-‖x - y‖²/2h²), for unit rows q (m, d) and K (n, d).

    On unit rows κ is e^{-1/h²} times `exact.kernels.Exponential`: the ridge is divided by that instead. The prefixes
    of `exact.kernel_ridge_prefixes` end with this one.
    """
    kernel = exact.kernels.Exponential(bandwidth)
    penalty = ridge * float(np.exp(bandwidth**-2))
    return kernel(q, K) @ solve_posdef(kernel(K, K) + penalty * eye(K, K.shape[-2]), V, "κ(K, K) + λI")


def _ridge(bandwidth: float) -> Reader:
    def read(q: Array, K: Array, V: Array) -> Array:
        return kernel_ridge(q, K, V, bandwidth, KERNEL_RIDGE_PENALTY)

    return read


def _quadratic(q: Array, K: Array, V: Array) -> Array:
    return polynomial_sum(q, K, V, 2)


READ: dict[str, Reader] = {
    **{layer: _softmax(gain) for layer, gain in GAINS.items()},
    **{KERNEL_RIDGE[bandwidth]: _ridge(bandwidth) for bandwidth in BANDWIDTHS},
    QUADRATIC: _quadratic,
}
