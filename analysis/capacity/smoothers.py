"""Cells of softmax attention with gain β on n random unit keys: recall within ε and by argmax, and its bounds.

The outputs are those of `exact.kernel_smoother` with the exponential kernel, which is softmax attention read at some
of its keys (the layers ask all n).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.capacity.matrices import ranks_among
from analysis.capacity.notions import ARGMAX, CLOSE, TOLERANCE
from ttr_numerics import exact, tasks
from ttr_numerics.measure import bounds, list_recall, proportion_interval

__all__ = ["GAINS", "WIDTH", "gain_rows", "softmax_rows", "theorem_rows"]

WIDTH = 64  # d_v: so wide that n random values do not crowd, whatever d
ITEMS = 128
DRAWS, MANY = 6, 4096  # half as many draws of more keys than that
MOST = 2**15  # patterns
FAILURE = 0.001  # Ramsauer et al.: all patterns are stored but with this probability
RADIUS = 3.0
GAINS = tuple(float(g) for g in np.geomspace(1.0, 64.0, 13))


def softmax_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """n keys of d channels at gain β = c d: a row a notion."""
    n, d = cell["n"], cell["d"]
    return _rows(n, d, cell["gain"] * d, [_keys(rng, n, d) for _ in range(DRAWS if n <= MANY else DRAWS // 2)])


def gain_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The same at 1/√d and every gain of `GAINS`, on the same keys; with what the bound asks for at the median gap."""
    n, d = cell["n"], cell["d"]
    draws = [_keys(rng, n, d) for _ in range(2)]
    gap = float(np.median([_gaps(K, items) for K, _, items in draws]))
    sufficient = bounds.sufficient_gain(n, TOLERANCE, gap)
    rows = []
    for gain in (d**-0.5, *GAINS):
        close = [row for row in _rows(n, d, gain, draws) if row["notion"] == CLOSE]
        rows += [row | {"beta": gain, "sufficient": sufficient} for row in close]
    return rows


def theorem_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """As many patterns as the theorem promises to store, at most `MOST`, K = 3 and β = 1: unit keys at gain 9(d-1)."""
    d = cell["d"]
    n = int(np.clip(bounds.ramsauer_capacity(d, 1.0, RADIUS, FAILURE), 2, MOST))
    rows = _rows(n, d, RADIUS**2 * (d - 1), [_keys(rng, n, d) for _ in range(DRAWS)])
    return [row | {"n": n} for row in rows]


def _keys(rng: np.random.Generator, n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit keys (n, d), unit values (n, d_v), and the items that are asked for."""
    K, V = tasks.isotropic_unit_keys(rng, (n, d)), tasks.isotropic_unit_keys(rng, (n, WIDTH))
    return K, V, rng.choice(n, min(n, ITEMS), replace=False)


def _gaps(K: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Δ_i = 1 - max_{j≠i} k_i·k_j of the items."""
    similar = K[items] @ K.T
    similar[np.arange(len(items)), items] = -np.inf
    return 1 - np.max(similar, axis=-1)


def _rows(n: int, d: int, gain: float, draws: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    close, first, errors, broken, tightest = [], [], [], 0, 0.0
    for K, V, items in draws:
        O = exact.kernel_smoother(K[items], K, V, kernel=exact.kernels.Exponential(gain**-0.5))
        error = np.linalg.norm(O - V[items], axis=-1)
        # A logit is off by β(d+2)u, a weight relatively by as much, a mean of n unit values by 2(n+1)u more.
        rounding = 2 * (gain * (d + 2) + n + 1 + WIDTH) * 2.0**-53
        allowed = bounds.softmax_recall_bound(n, gain, _gaps(K, items)) + rounding
        broken += int(np.count_nonzero(~(error <= allowed)))
        tightest = max(tightest, float(np.max(error / allowed)))
        errors.append(error)
        close.append(float(np.mean(error <= TOLERANCE)))
        first.append(float(list_recall(ranks_among(O, items, V), 1)))
    asked = len(draws[0][2])
    of_close = {"bound_broken": broken, "bound_tightest": tightest, "median_error": float(np.median(errors))}
    return [
        {"notion": notion, "items": asked, **more, **proportion_interval(np.array(shares), asked)._asdict()}
        for notion, shares, more in ((CLOSE, close, of_close), (ARGMAX, first, {}))
    ]
