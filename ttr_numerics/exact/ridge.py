"""Weighted ridge regression with its diagnostics, from the rows (primal) or from the Gram matrix (dual)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ttr_numerics.arrays import (
    Array,
    LinAlgError,
    concat,
    diagonal_matrix,
    eye,
    name_slices,
    namespace,
    solve_posdef,
    solve_triangular,
    zeros,
)
from ttr_numerics.axes import row_ridge
from ttr_numerics.backward import least_squares_ratio
from ttr_numerics.exact.inputs import check_rows, check_solvable
from ttr_numerics.exact.least_norm import weighted_rows

__all__ = ["Ridge", "ridge", "ridge_dual"]


@dataclass(frozen=True)
class Ridge:
    """S (..., d_k, d_v) = argmin ½Σ γ_i‖v_i - k_i S‖² + ½ tr(S'ΛS), and what the fit says about its own rows.

    `rows` is Q_1 of the QR factorisation of [√Γ K; √Λ]: the hat matrix of the weighted problem is Q_1 Q_1'.
    """

    S: Array
    K: Array
    V: Array
    rows: Array
    residual_ratio: Array

    @cached_property
    def leverage(self) -> Array:
        """h_i = γ_i k_i (K'ΓK + Λ)⁻¹ k_i' (..., T), between 0 and 1."""
        return namespace(self.rows).sum(self.rows * self.rows, axis=-1)

    @property
    def effective_degrees_of_freedom(self) -> Array:
        """tr of the hat matrix: Σ h_i = Σ s_j²/(s_j² + λ) for Λ = λI."""
        return namespace(self.rows).sum(self.leverage, axis=-1)

    @property
    def leave_one_out(self) -> Array:
        """Residuals v_i - k_i S_(-i) (..., T, d_v) of the fits without row i: (v_i - k_i S)/(1 - h_i).

        Raises LinAlgError where h_i = 1 to rounding: without that row the fit is not unique.
        """
        xp = namespace(self.rows)
        free = 1 - self.leverage
        bad = free <= self.rows.shape[-2] * float(xp.finfo(free.dtype).eps)
        if bool(xp.any(bad)):
            raise LinAlgError(f"leave_one_out: expected leverage below 1, got 1{name_slices(bad)}; give a ridge")
        return (self.V - self.K @ self.S) / free[..., None]


def ridge(K: Array, V: Array, ridge: Any = 0.0, weights: Array | None = None) -> Ridge:
    """S = (K'ΓK + Λ)⁻¹ K'ΓV by QR of [√Γ K; √Λ]: the error follows cond(K), not its square.

    ridge a number or (..., d_k), Γ = diag(weights). Unique where [√Γ K; √Λ] has full column rank; otherwise raises
    `LinAlgError` naming the slices. `residual_ratio` is LAPACK's least-squares ratio of that stacked system.
    Reference: Golub and Van Loan, Matrix Computations, section 6.1.4.
    """
    check_solvable(K=K, V=V, weights=weights)
    check_rows(K, V)
    xp = namespace(K, V)
    root = xp.sqrt(row_ridge(ridge, K))
    penalty = diagonal_matrix(root) + zeros(K, (*K.shape[:-2], K.shape[-1], K.shape[-1]))
    A = concat([weighted_rows(weights, K), penalty], -2)
    B = concat([weighted_rows(weights, V), zeros(V, (*V.shape[:-2], K.shape[-1], V.shape[-1]))], -2)
    Q, R = xp.linalg.qr(A)
    _refuse_rank_deficient(R, A)
    S = solve_triangular(xp.matrix_transpose(R), xp.matrix_transpose(Q) @ B, transpose=True)
    return Ridge(S, K, V, Q[..., : K.shape[-2], :], least_squares_ratio(A, S, B))


def ridge_dual(K: Array, V: Array, ridge: float, weights: Array | None = None) -> Array:
    """S = K'√Γ (√Γ KK' √Γ + λI)⁻¹ √Γ V (..., d_k, d_v): the same ridge solution through the T by T Gram matrix.

    Needs λ > 0, or independent keys with T ≤ d_k; then unique. Judged by `backward.solve_ratio` of the T by T system.
    Reference: Saunders et al., ICML 1998.
    """
    check_solvable(K=K, V=V, weights=weights)
    check_rows(K, V)
    A, B = weighted_rows(weights, K), weighted_rows(weights, V)
    AT = namespace(A).matrix_transpose(A)
    return AT @ solve_posdef(A @ AT + ridge * eye(A, A.shape[-2]), B, "KK' + ridge")


def _refuse_rank_deficient(R: Array, A: Array) -> None:
    xp = namespace(R)
    pivots = xp.abs(xp.linalg.diagonal(R))
    level = max(A.shape[-2:]) * float(xp.finfo(R.dtype).eps)
    bad = xp.min(pivots, axis=-1) <= level * xp.max(pivots, axis=-1)
    if bool(xp.any(bad)):
        raise LinAlgError(
            f"K: expected full column rank with ridge 0, got a pivot at rounding level{name_slices(bad)}; "
            "give a ridge, or use exact.least_norm"
        )
