"""What a ridge trades on given keys: recall of stored pairs against pairs not stored, and the condition number.

Least squares with ridge λ stores S = (K'K + λI)⁻¹ K'V. Its error on its own pairs rises with λ, whatever the keys, so
recall alone always asks for the least λ; the error on a pair that it has not stored and cond(K'K + λI) do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ttr_numerics import exact
from ttr_numerics.measure import relative_squared_error

__all__ = ["Ridged", "ridged"]


@dataclass(frozen=True)
class Ridged:
    """Each (heads,): recall error, the error of each pair by the other pairs (exact), and cond(K'K + λI)."""

    ridge: float
    error: tuple[float, ...]
    leave_one_out: tuple[float, ...]
    condition: tuple[float, ...]


def ridged(K: np.ndarray, V: np.ndarray, ridges: Sequence[float]) -> tuple[Ridged, ...]:
    """One entry for each of `ridges`, above 0, of keys K (heads, n, d_k) and values V (heads, n, d_v) none all zero.

    >>> (one,) = ridged(np.eye(4)[None], np.eye(4)[None], [1.0])
    >>> [round(float(x[0]), 12) for x in (one.error, one.leave_one_out, one.condition)]
    [0.25, 1.0, 1.0]
    """
    powers = np.zeros((len(K), K.shape[-1]))
    powers[:, : min(K.shape[1:])] = np.linalg.svd(K, compute_uv=False) ** 2
    found = []
    for x in ridges:
        fit = exact.ridge(K, V, x)
        left = np.asarray(V - fit.leave_one_out)
        condition = (np.max(powers, axis=-1) + x) / (np.min(powers, axis=-1) + x)
        columns = (relative_squared_error(K @ fit.S, V), relative_squared_error(left, V), condition)
        found.append(Ridged(x, *(tuple(map(float, column)) for column in columns)))
    return tuple(found)
