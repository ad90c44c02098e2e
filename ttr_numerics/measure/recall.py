"""How well outputs O (..., n, d_v) give back values V (..., n, d_v): three notions that must not be mixed.

Exact recall asks for the value itself, argmax recall for the nearest word of a codebook, list recall for a place
among the nearest few. All answer in the array library of O and V.
"""

from ttr_numerics.arrays import Array, concat, namespace

__all__ = ["best_scale", "exact_recall", "list_recall", "ranks", "relative_squared_error"]

BLOCK = 512  # outputs ranked together: memory BLOCK times n a batch entry


def relative_squared_error(O: Array, V: Array) -> Array:
    """Σ_i‖o_i - v_i‖² / Σ_i‖v_i‖² (...), dimensionless; 0 is perfect, 1 is what the output 0 would leave.

    >>> import numpy as np
    >>> float(relative_squared_error(np.array([[1.0, 0.0], [0.0, 0.0]]), np.eye(2)))
    0.5
    """
    xp = namespace(O, V)
    return xp.sum((O - V) ** 2, axis=(-2, -1)) / xp.sum(V**2, axis=(-2, -1))


def best_scale(O: Array, V: Array) -> Array:
    """c = Σ o_i·v_i / Σ‖o_i‖² (...), the minimiser of Σ‖c o_i - v_i‖²: one number fitted to the n pairs themselves.

    Of outputs whose squares add up to 0 every c is a minimiser: it is 1, which leaves them as they are.

    >>> import numpy as np
    >>> float(best_scale(np.array([[4.0, 0.0]]), np.array([[1.0, 1.0]])))
    0.25
    >>> float(best_scale(np.array([[0.0, 0.0]]), np.array([[1.0, 1.0]])))
    1.0
    """
    xp = namespace(O, V)
    shared, size = xp.sum(O * V, axis=(-2, -1)), xp.sum(O**2, axis=(-2, -1))
    one = xp.ones_like(size)
    return xp.where(size == 0, one, shared / xp.where(size == 0, one, size))


def exact_recall(O: Array, V: Array, threshold: float) -> Array:
    """Share (...) of pairs with ‖o_i - v_i‖ ≤ threshold ‖v_i‖."""
    xp = namespace(O, V)
    off, size = xp.linalg.vector_norm(O - V, axis=-1), xp.linalg.vector_norm(V, axis=-1)
    return xp.mean(xp.astype(off <= threshold * size, V.dtype), axis=-1)


def ranks(O: Array, V: Array) -> Array:
    """#{j ≠ i : o_i·v_j ≥ o_i·v_i} (..., n) integers: how many words of the codebook V are not behind the right one.

    The scores are inner products, so the scale of O does not matter; with values of unit norm the first is also
    the nearest. A tie counts against recall: an all-zero output recalls nothing. O that is not finite ranks last.

    >>> import numpy as np
    >>> ranks(np.array([[1.0, 0.1], [1.0, 0.1]]), np.eye(2))
    array([0, 1])
    """
    xp = namespace(O, V)
    codebook, n = xp.matrix_transpose(V), O.shape[-2]
    found = []
    for first in range(0, n, BLOCK):
        block = slice(first, min(first + BLOCK, n))
        scores = O[..., block, :] @ codebook
        # From the same product: rounding cannot put the right word behind itself.
        own = xp.linalg.diagonal(scores[..., block])
        found.append(xp.count_nonzero(~(scores < own[..., None]), axis=-1) - 1)
    return concat(found, -1)


def list_recall(rank: Array, length: int) -> Array:
    """Share (...) of pairs whose `rank` (..., n) is below `length`; length 1 is argmax recall."""
    xp = namespace(rank)
    return xp.mean(xp.astype(rank < length, xp.float64), axis=-1)
