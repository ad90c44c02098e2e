"""Cells of dense associative memories: binary keys and values, kernel (k·k')^p, the signs of the output read.

(x)^p = (x)₊^p + (-1)^p (-x)₊^p: two sums with the rectified kernel, `exact.kernel_sum_prefixes` at q and at -q.
Degree 1 is linear attention.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.capacity.notions import ALL, SIGNS
from ttr_numerics import exact
from ttr_numerics.arrays import Array, like, namespace, to_numpy, zeros
from ttr_numerics.measure import proportion_interval
from ttr_numerics.study import placed

__all__ = ["dense_rows", "polynomial_sum"]

PATTERNS = 2048  # asked for over all draws, about
ITEMS = 256


def dense_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Share of patterns without a wrong sign, and of draws whose patterns have none (where all are asked for)."""
    n = cell["n"]
    items = min(n, ITEMS)
    draws = max(6, min(48, PATTERNS // n))
    right = [_right(cell, items, rng) for _ in range(draws)]
    rows = [{"notion": SIGNS, "items": items, **proportion_interval(np.array(right), items)._asdict()}]
    if items == n:
        every = np.array([float(share == 1.0) for share in right])
        rows.append({"notion": ALL, "items": n, **proportion_interval(every, 1)._asdict()})
    return rows


def polynomial_sum(q: Array, K: Array, V: Array, degree: int) -> Array:
    """Σ_j (q·k_j)^p v_j (m, d_v) for queries q (m, d)."""
    xp, m = namespace(q, K, V), q.shape[0]
    kernel, memory = exact.kernels.Rectified(0.0, degree), exact.WeightedCache(K, V, zeros(K, (K.shape[0],)))
    unseen = xp.full((m,), -xp.inf, **like(q))  # the queries bring no pairs of their own
    nothing = zeros(q, (m, V.shape[-1]))
    ahead, behind = (
        exact.kernel_sum_prefixes(x, x, nothing, kernel=kernel, log_weights=unseen, initial_state=memory).o
        for x in (q, -q)
    )
    return ahead + (-1) ** degree * behind


def _right(cell: Mapping[str, Any], items: int, rng: np.random.Generator) -> float:
    """The share of the first `items` of n patterns whose d signs all come back; keys ±1/√d, values ±1.

    Sums Σ_j (k_i·k_j)^p v_j are whole multiples of d^-p, often 0: from half of one on a sign is right, and a sum of 0
    has none, so that a tie counts against recall as in `measure.ranks`, and rounding decides nothing.
    """
    n, d = cell["n"], cell["d"]
    K, V = (rng.choice([-1.0, 1.0], (n, d)) for _ in range(2))
    K, V = placed(cell, K / d**0.5, V)
    whole = polynomial_sum(K[:items, :], K, V, cell["degree"]) * V[:items, :] * d ** cell["degree"]
    return float(np.mean(to_numpy(namespace(whole).all(whole > 0.5, axis=-1))))
