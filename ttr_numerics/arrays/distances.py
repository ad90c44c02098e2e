"""Squared distances between rows, from formed differences: ‖x‖² - 2x'y + ‖y‖² would cancel for near rows."""

from math import prod

import array_api_compat
import numpy as np
from scipy.spatial.distance import cdist

from ttr_numerics.arrays.library import Array, concat

__all__ = ["square_distances"]

TILE = 1 << 16  # entries of the differences formed at a time, all batch slices together: they stay in cache


def square_distances(X: Array, Y: Array) -> Array:
    """‖x_i - y_j‖² (..., n, m) for the rows of X (..., n, d) and Y (..., m, d); batch axes broadcast.

    SciPy's loop where it takes the dtype (NumPy in float64), elsewhere in tiles of rows against rows.
    """
    if array_api_compat.is_numpy_array(X) and X.dtype == Y.dtype == np.float64:
        return _by_slices(X, Y)
    (n, d), m = X.shape[-2:], Y.shape[-2]
    pair = max(1, d * prod(X.shape[:-2]), d * prod(Y.shape[:-2]))
    across = max(1, min(128, m, TILE // pair))
    down = max(1, TILE // (pair * across))
    rows = [X[..., i : min(i + down, n), None, :] for i in range(0, n, down)] or [X[..., :, None, :]]
    columns = [Y[..., None, j : min(j + across, m), :] for j in range(0, m, across)] or [Y[..., None, :, :]]
    return concat([concat([_squares(x - y) for y in columns], -1) for x in rows], -2)


def _by_slices(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    batch = np.broadcast_shapes(X.shape[:-2], Y.shape[:-2])
    X, Y = (np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (X, Y))
    distances = np.empty((*batch, X.shape[-2], Y.shape[-2]))
    for i in np.ndindex(batch):
        distances[i] = cdist(X[i], Y[i], "sqeuclidean")
    return distances


def _squares(x: Array) -> Array:
    """‖x‖² of every row, as a matrix product: faster than the sum of a product over a short axis."""
    return (x[..., None, :] @ x[..., :, None])[..., 0, 0]
