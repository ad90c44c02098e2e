"""Least squares over distributions: every column of S in the probability simplex, by an active-set method."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, LinAlgError, concat, least_squares, name_slices, namespace, positions, zeros
from ttr_numerics.exact.inputs import check_rows, check_solvable

__all__ = ["SimplexLeastSquares", "simplex_least_squares"]


@dataclass(frozen=True)
class SimplexLeastSquares:
    """S (..., d_k, d_v) and, a column, the worst slope out of it (..., d_v) in units of its rounding: at most about 1.

    The slope towards channel j is (K's - v)'K(s - e_j): above 0 where moving mass to j would lower the objective.
    """

    S: Array
    gradient_ratio: Array


def simplex_least_squares(K: Array, V: Array) -> SimplexLeastSquares:
    """S = argmin ½Σ_i‖v_i - k_i S‖² over S ≥ 0 with columns of sum 1.

    For a column v of V that is the point of least norm in the hull of the columns of P = K - v1', and with any c > 0

        argmin_{s ≥ 0} ‖P s‖² + c²(1's - 1)²  is a multiple of it  (its value at a multiple of p in the simplex is
        c²‖P p‖²/(c² + ‖P p‖²) at best, which rises with ‖P p‖):

    non-negative least squares, whose least squares on each set of positive entries is of least norm. Unique for
    independent columns of K - v1'. Raises LinAlgError naming the slices where the set does not settle.
    Reference: Lawson and Hanson, Solving Least Squares Problems, chapter 23; Wolfe, Math. Program. 11 (1976) 128.
    """
    check_solvable(K=K, V=V)
    check_rows(K, V)
    xp = namespace(K)
    P = K[..., None, :, :] - xp.matrix_transpose(V)[..., :, :, None]
    last = zeros(K, (*P.shape[:-2], 1, K.shape[-1])) + 1
    size = xp.max(xp.max(xp.abs(concat([P, 0 * last], -2)), axis=-1, keepdims=True), axis=-2, keepdims=True)
    P = P / xp.where(size == 0, xp.ones_like(size), size)
    b = concat([zeros(K, (*P.shape[:-1], 1)), last[..., :1]], -2)
    s = _non_negative(concat([P, last], -2), b)
    s = s / xp.sum(s, axis=-2, keepdims=True)
    return SimplexLeastSquares(xp.matrix_transpose(s[..., 0]), _slope(P, s))


def _non_negative(A: Array, b: Array) -> Array:
    """argmin ‖A s - b‖ over s ≥ 0 (..., n, 1): the set of positive entries grows by the steepest and sheds by a step.

    An entry joins only where its slope is above rounding; a settled slice stays as it is.
    """
    xp, n = namespace(A), A.shape[-1]
    AT, place = xp.matrix_transpose(A), positions(A, n)[:, None]
    s = zeros(A, (*A.shape[:-2], n, 1))
    free = s > 0
    for _ in range(4 * n + 4):
        z = xp.where(free, least_squares(A * xp.matrix_transpose(xp.astype(free, A.dtype)), b)[0], xp.zeros_like(s))
        blocked = free & (z <= 0)
        fall = xp.where(blocked & (s > z), s - z, xp.ones_like(s))
        length = xp.where(blocked, s / fall, xp.ones_like(s))
        step = xp.min(length, axis=-2, keepdims=True)
        shed = blocked & (length == step)
        s = xp.where(shed, xp.zeros_like(s), s + step * (z - s))
        slope = AT @ (b - A @ s)
        level = (A.shape[-2] + n) * float(xp.finfo(A.dtype).eps) * (xp.abs(AT) @ (xp.abs(b) + xp.abs(A) @ s))
        rising = xp.where(~free & (slope > level), slope, xp.zeros_like(slope))
        stopped = xp.any(shed, axis=-2, keepdims=True)
        grows = ~stopped & xp.any(rising > 0, axis=-2, keepdims=True)
        moving = stopped | grows
        if not bool(xp.any(moving)):
            return s
        free = (free & ~shed) | (grows & (place == xp.argmax(rising, axis=-2, keepdims=True)))
    bad = moving[..., 0, 0]
    raise LinAlgError(f"simplex_least_squares: the set of positive entries does not settle{name_slices(bad)}")


def _slope(P: Array, s: Array) -> Array:
    """max_j (P s)'(P s - P_j) over its rounding level (..., columns)."""
    xp, PT = namespace(P), namespace(P).matrix_transpose(P)
    u, size = float(xp.finfo(P.dtype).eps), xp.abs(P) @ s
    slope = xp.matrix_transpose(P @ s) @ (P @ s) - PT @ (P @ s)
    level = (P.shape[-2] + P.shape[-1]) * u * (xp.matrix_transpose(size) @ size + xp.abs(PT) @ size)
    return xp.max((slope / xp.where(level > 0, level, xp.ones_like(level)))[..., 0], axis=-1)
