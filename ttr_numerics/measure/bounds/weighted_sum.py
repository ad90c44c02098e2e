"""Recall error of any layer that is linear in the values, on keys as they are: the weights alone decide it."""

import numpy as np

__all__ = ["weighted_sum_errors"]


def weighted_sum_errors(W: np.ndarray, value_gates: np.ndarray | float = 1.0) -> np.ndarray:
    """E‖g∘Σ_j w_ij v_j - v_i‖² = 1 - 2ḡ w_ii + mean(g²) Σ_j w_ij² (..., n) for fixed weights W (..., n, n).

    Values independent of each other and of the weights, E v_jv_j' = I/d_v: unit vectors of any isotropic law. g are
    gates of the value channels, one number or (d_v,); for g = 1 it is (1 - w_ii)² + Σ_{j≠i} w_ij². Whatever the keys
    and however many: exact, no limit. Source: the variance of a weighted sum.

    >>> weighted_sum_errors(np.array([[1.0, 0.5], [0.0, 0.5]]))   # disturbed by the other pair; shortened
    array([0.25, 0.25])
    """
    own, squares = np.linalg.diagonal(W), np.sum(W * W, axis=-1)
    return 1 - 2 * np.mean(value_gates) * own + np.mean(np.square(value_gates)) * squares
