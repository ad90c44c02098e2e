"""LAPACK's judges of a computed solution: residuals in units of what rounding alone may leave.

A ratio below 30 is LAPACK's threshold for "solved". eps here is the unit roundoff, 2^-53 or 2^-24, as in LAPACK's
own tests. Reference: LAPACK Working Note 41, sections 7.4 and 7.8.
"""

from ttr_numerics.arrays import Array, namespace, unit_roundoff

__all__ = ["THRESHOLD", "factor_ratio", "least_squares_ratio", "solve_ratio"]

THRESHOLD = 30.0


def solve_ratio(A: Array, X: Array, B: Array) -> Array:
    """max_j ‖b_j - A x_j‖₁ / (‖A‖₁ ‖x_j‖₁ eps) for A X = B, per batch slice."""
    xp = namespace(A, X, B)
    residual = xp.sum(xp.abs(B - A @ X), axis=-2)
    scale = _norm1(A)[..., None] * xp.sum(xp.abs(X), axis=-2) * unit_roundoff(A)
    return xp.max(_quotient(residual, scale), axis=-1)


def least_squares_ratio(A: Array, X: Array, B: Array) -> Array:
    """‖A'r‖₁ / (‖A‖₁ α max(m, n, nrhs) eps), r = B - A X, per batch slice.

    α = ‖B‖₁ where the residual is at rounding level (a consistent system), else ‖r‖₁. To be used on the data
    (K, V), never on a Gram matrix, which hides its own error.
    """
    xp = namespace(A, X, B)
    r = B - A @ X
    size = max(*A.shape[-2:], B.shape[-1]) * unit_roundoff(A)
    norm_b, norm_r = _norm1(B), _norm1(r)
    consistent = norm_r <= size * (_norm1(A) * _norm1(X) + norm_b)
    alpha = xp.where(consistent, norm_b, norm_r)
    return _quotient(_norm1(xp.matrix_transpose(A) @ r), _norm1(A) * alpha * size)


def factor_ratio(A: Array, L: Array) -> Array:
    """‖A - L L'‖₁ / (n ‖A‖₁ eps), per batch slice."""
    xp = namespace(A, L)
    return _quotient(_norm1(A - L @ xp.matrix_transpose(L)), A.shape[-1] * _norm1(A) * unit_roundoff(A))


def _norm1(A: Array) -> Array:
    xp = namespace(A)
    return xp.max(xp.sum(xp.abs(A), axis=-2), axis=-1)


def _quotient(top: Array, bottom: Array) -> Array:
    """top / bottom, 0 where both vanish."""
    xp = namespace(top)
    return xp.where(top == 0, xp.zeros_like(top), top / xp.where(top == 0, xp.ones_like(top), bottom))
