"""Recall error of any memory that is linear in its values, O = A V on given keys, and the dimension it is worth."""

import numpy as np

__all__ = ["effective_dimension", "smoothing_error"]


def smoothing_error(trace: float, square: float, n: int, scale: float | None = None) -> float:
    """1 - 2c tr A/n + c²‖A‖_F²/n: E‖cO - V‖²/n over independent zero-mean unit values, A (n, n) any function of keys.

    `trace` tr A, `square` ‖A‖_F². The best scale c = tr A/‖A‖_F² (None) leaves 1 - (tr A)²/(n‖A‖_F²): for linear
    attention A = ΦΦ' it is 1 - PR/n, PR the participation ratio of the features' uncentred second moment, at most D;
    for least squares it is 1 - rank/n. Exact for given keys. Source: derived here.

    >>> smoothing_error(3.0, 3.0, 12)   # a projection of rank 3
    0.75
    """
    c = trace / square if scale is None else scale
    return float(1 - 2 * c * trace / n + c * c * square / n)


def effective_dimension(error: np.ndarray | float, n: int) -> np.ndarray | float:
    """(n-1)(1/e - 1): the d at which plain keys of that dimension have the best-scaled error e, n of them.

    The inverse of `linear_attention_scaled_error`. For features of unit length it is 1/E(φ_i·φ_j)² over distinct pairs.

    >>> effective_dimension(0.5, 9)
    8.0
    """
    return (n - 1) * (1 / error - 1)
