"""Cells of dense associative memories: binary keys and values, kernel (k·k')^p, the signs of the output read.

(x)^p = (x)₊^p + (-1)^p (-x)₊^p: two sums with the rectified kernel, `exact.kernel_sum_prefixes` at q and at -q.
Degree 1 is linear attention.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.capacity.notions import ALL, SIGNS
from ttr_numerics import exact
from ttr_numerics.measure import proportion_interval

__all__ = ["dense_rows", "polynomial_sum"]

PATTERNS = 2048  # asked for over all draws, about
ITEMS = 256


def dense_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Share of patterns without a wrong sign, and of draws whose patterns have none (where all are asked for)."""
    n, d, degree = cell["n"], cell["d"], cell["degree"]
    items = min(n, ITEMS)
    draws = max(6, min(48, PATTERNS // n))
    right = [_right(n, d, degree, items, rng) for _ in range(draws)]
    rows = [{"notion": SIGNS, "items": items, **proportion_interval(np.array(right), items)._asdict()}]
    if items == n:
        every = np.array([float(share == 1.0) for share in right])
        rows.append({"notion": ALL, "items": n, **proportion_interval(every, 1)._asdict()})
    return rows


def polynomial_sum(q: np.ndarray, K: np.ndarray, V: np.ndarray, degree: int) -> np.ndarray:
    """Σ_j (q·k_j)^p v_j (m, d_v) for queries q (m, d)."""
    kernel, memory = exact.kernels.Rectified(0.0, degree), exact.WeightedCache(K, V, np.zeros(len(K)))
    unseen = np.full(len(q), -np.inf)  # the queries bring no pairs of their own
    nothing = np.zeros((len(q), V.shape[-1]))
    ahead, behind = (
        exact.kernel_sum_prefixes(x, x, nothing, kernel=kernel, log_weights=unseen, initial_state=memory).o
        for x in (q, -q)
    )
    return ahead + (-1) ** degree * behind


def _right(n: int, d: int, degree: int, items: int, rng: np.random.Generator) -> float:
    """The share of the first `items` of n patterns whose d signs all come back; keys ±1/√d, values ±1."""
    K, V = (rng.choice([-1.0, 1.0], (n, d)) for _ in range(2))
    K = K / d**0.5
    signs = polynomial_sum(K[:items], K, V, degree) * V[:items]
    return float(np.mean(np.all(signs > 0, axis=-1)))
