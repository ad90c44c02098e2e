"""Cells of softmax attention with gain β on n random unit keys: recall within ε and by argmax, and its bounds.

Keys and values are drawn by NumPy; the outputs are computed in the library of the cell, by `exact.kernel_smoother` with
the exponential kernel, which is softmax attention read at some of its keys (the layers ask all n).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.capacity.matrices import ranks_among
from analysis.capacity.notions import ARGMAX, CLOSE, TOLERANCE
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import Array, namespace, to_numpy
from ttr_numerics.measure import bounds, list_recall, proportion_interval
from ttr_numerics.study import placed

__all__ = ["GAINS", "WIDTH", "gain_rows", "gaps", "rounding", "softmax_rows", "theorem_rows"]

WIDTH = 64  # d_v: so wide that n random values do not crowd, whatever d
ITEMS = 128
DRAWS, MANY = 6, 4096  # half as many draws of more keys than that
MOST = 2**15  # patterns
FAILURE = 0.001  # Ramsauer et al.: all patterns are stored but with this probability
RADIUS = 3.0
GAINS = tuple(float(g) for g in np.geomspace(1.0, 64.0, 13))


class _Draw(NamedTuple):
    """Unit keys (n, d), unit values (n, d_v), the items that are asked for, and their gaps Δ_i."""

    K: Array
    V: Array
    items: Array
    gaps: np.ndarray


def softmax_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """n keys of d channels at gain β = c d: a row a notion."""
    n, d = cell["n"], cell["d"]
    return _rows(cell["gain"] * d, _draws(cell, rng, n, DRAWS if n <= MANY else DRAWS // 2))


def gain_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The same at 1/√d and every gain of `GAINS`, on the same keys; with what the bound asks for at the median gap."""
    n, d = cell["n"], cell["d"]
    draws = _draws(cell, rng, n, 2)
    sufficient = bounds.sufficient_gain(n, TOLERANCE, float(np.median([draw.gaps for draw in draws])))
    rows = []
    for gain in (d**-0.5, *GAINS):
        close = [row for row in _rows(gain, draws) if row["notion"] == CLOSE]
        rows += [row | {"beta": gain, "sufficient": sufficient} for row in close]
    return rows


def theorem_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """As many patterns as the theorem promises to store, at most `MOST`, K = 3 and β = 1: unit keys at gain 9(d-1)."""
    d = cell["d"]
    n = int(np.clip(bounds.ramsauer_capacity(d, 1.0, RADIUS, FAILURE), 2, MOST))
    return [row | {"n": n} for row in _rows(RADIUS**2 * (d - 1), _draws(cell, rng, n, DRAWS))]


def _draws(cell: Mapping[str, Any], rng: np.random.Generator, n: int, draws: int) -> list[_Draw]:
    """So many draws of n pairs of d channels, and up to `ITEMS` of them."""
    found = []
    for _ in range(draws):
        K, V = tasks.isotropic_unit_keys(rng, (n, cell["d"])), tasks.isotropic_unit_keys(rng, (n, WIDTH))
        asked = rng.choice(n, min(n, ITEMS), replace=False)
        K, V, items = placed(cell, K, V, asked)
        found.append(_Draw(K, V, items, gaps(K, items, asked.tolist())))
    return found


def gaps(K: Array, items: Array, places: Sequence[int]) -> np.ndarray:
    """Δ_i = 1 - max_{j≠i} k_i·k_j of the items, which `places` has as whole numbers."""
    xp = namespace(K)
    similar = xp.take(K, items, axis=0) @ xp.matrix_transpose(K)
    for row, place in enumerate(places):
        similar[row, place] = -xp.inf
    return 1 - to_numpy(xp.max(similar, axis=-1))


def _rows(gain: float, draws: Sequence[_Draw]) -> list[dict[str, Any]]:
    close, first, errors, broken, tightest = [], [], [], 0, 0.0
    n, asked = draws[0].K.shape[0], len(draws[0].gaps)
    for draw in draws:
        error, rank = _read(gain, draw)
        allowed = bounds.softmax_recall_bound(n, gain, draw.gaps) + rounding(gain, n, draw.K.shape[-1], WIDTH)
        broken += int(np.count_nonzero(~(error <= allowed)))
        tightest = max(tightest, float(np.max(error / allowed)))
        errors.append(error)
        close.append(float(np.mean(error <= TOLERANCE)))
        first.append(float(list_recall(rank, 1)))
    of_close = {"bound_broken": broken, "bound_tightest": tightest, "median_error": float(np.median(errors))}
    return [
        {"notion": notion, "items": asked, **more, **proportion_interval(np.array(shares), asked)._asdict()}
        for notion, shares, more in ((CLOSE, close, of_close), (ARGMAX, first, {}))
    ]


def _read(gain: float, draw: _Draw) -> tuple[np.ndarray, np.ndarray]:
    """‖o_i - v_i‖ and the rank of every item that is asked for."""
    K, V, items, _ = draw
    xp = namespace(K)
    kernel = exact.kernels.Exponential(gain**-0.5)
    O = exact.kernel_smoother(xp.take(K, items, axis=0), K, V, kernel=kernel)
    error = xp.linalg.vector_norm(O - xp.take(V, items, axis=0), axis=-1)
    return to_numpy(error), to_numpy(ranks_among(O, items, V))


def rounding(gain: float, n: int, d: int, d_v: int) -> float:
    """A logit is off by β(d+2)u, a weight relatively by as much, a mean of n unit values by 2(n+1)u more."""
    return 2 * (gain * (d + 2) + n + 1 + d_v) * 2.0**-53
