"""How well outputs O (..., n, d_v) give back values V (..., n, d_v): three notions that must not be mixed.

Exact recall asks for the value itself, argmax recall for the nearest word of a codebook, list recall for a place
among the nearest few.
"""

import numpy as np

__all__ = ["best_scale", "exact_recall", "list_recall", "ranks", "relative_squared_error"]

BLOCK = 512  # outputs ranked together: memory BLOCK times n a batch entry


def relative_squared_error(O: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Σ_i‖o_i - v_i‖² / Σ_i‖v_i‖² (...), dimensionless; 0 is perfect, 1 is what the output 0 would leave.

    >>> float(relative_squared_error(np.array([[1.0, 0.0], [0.0, 0.0]]), np.eye(2)))
    0.5
    """
    return np.sum((O - V) ** 2, axis=(-2, -1)) / np.sum(V**2, axis=(-2, -1))


def best_scale(O: np.ndarray, V: np.ndarray) -> np.ndarray:
    """c = Σ o_i·v_i / Σ‖o_i‖² (...), the minimiser of Σ‖c o_i - v_i‖²: one number fitted to the n pairs themselves.

    >>> float(best_scale(np.array([[4.0, 0.0]]), np.array([[1.0, 1.0]])))
    0.25
    """
    return np.sum(O * V, axis=(-2, -1)) / np.sum(O**2, axis=(-2, -1))


def exact_recall(O: np.ndarray, V: np.ndarray, threshold: float) -> np.ndarray:
    """Share (...) of pairs with ‖o_i - v_i‖ ≤ threshold ‖v_i‖."""
    return np.mean(np.linalg.norm(O - V, axis=-1) <= threshold * np.linalg.norm(V, axis=-1), axis=-1)


def ranks(O: np.ndarray, V: np.ndarray) -> np.ndarray:
    """#{j ≠ i : o_i·v_j ≥ o_i·v_i} (..., n) integers: how many words of the codebook V are not behind the right one.

    The scores are inner products, so the scale of O does not matter; with values of unit norm the first is also
    the nearest. A tie counts against recall: an all-zero output recalls nothing. O that is not finite ranks last.

    >>> ranks(np.array([[1.0, 0.1], [1.0, 0.1]]), np.eye(2))
    array([0, 1])
    """
    codebook, n = np.swapaxes(V, -1, -2), O.shape[-2]
    found = []
    for first in range(0, n, BLOCK):
        place = np.arange(first, min(first + BLOCK, n))
        scores = O[..., place, :] @ codebook
        own = scores[
            ..., place - first, place
        ]  # from the same product: rounding cannot put the right word behind itself
        found.append(np.count_nonzero(~(scores < own[..., None]), axis=-1) - 1)
    return np.concatenate(found, axis=-1)


def list_recall(rank: np.ndarray, length: int) -> np.ndarray:
    """Share (...) of pairs whose `rank` (..., n) is below `length`; length 1 is argmax recall."""
    return np.mean(rank < length, axis=-1)
