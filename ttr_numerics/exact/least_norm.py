"""The minimum-norm least-squares solution, at any rank."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, least_squares, namespace
from ttr_numerics.backward import least_squares_ratio
from ttr_numerics.exact.inputs import check_rows, check_solvable

__all__ = ["LeastNorm", "least_norm"]


@dataclass(frozen=True)
class LeastNorm:
    """S (..., d_k, d_v), the singular values of √Γ K, its numerical rank, and the LAPACK least-squares ratio."""

    S: Array
    singular_values: Array
    rank: Array
    residual_ratio: Array


def least_norm(K: Array, V: Array, weights: Array | None = None) -> LeastNorm:
    """S of least Frobenius norm among the minimisers of ½Σ_i γ_i‖v_i - k_i S‖²; γ = weights (..., T), default 1.

    S = (√Γ K)⁺ √Γ V; always unique. With independent keys and T ≤ d_k it interpolates, and the weights drop out.
    Singular values below max(T, d_k) eps times the largest count as zero. Reference: Golub and Van Loan, 5.5.
    """
    check_solvable(K=K, V=V, weights=weights)
    check_rows(K, V)
    A, B = weighted_rows(weights, K), weighted_rows(weights, V)
    S, s = least_squares(A, B)
    xp = namespace(K)
    cutoff = (
        max(A.shape[-2:]) * float(xp.finfo(K.dtype).eps) * (xp.max(s, axis=-1, keepdims=True) if s.shape[-1] else 0)
    )
    return LeastNorm(S, s, xp.sum(xp.astype(s > cutoff, xp.int64), axis=-1), least_squares_ratio(A, S, B))


def weighted_rows(weights: Array | None, X: Array) -> Array:
    """√γ_i x_i, refusing negative weights."""
    if weights is None:
        return X
    xp = namespace(weights, X)
    if tuple(weights.shape) != tuple(X.shape[:-1]):
        raise ValueError(f"weights: expected shape {tuple(X.shape[:-1])}, got {tuple(weights.shape)}")
    if bool(xp.any(weights < 0)):
        raise ValueError(f"weights: expected at least 0, got {float(xp.min(weights))}")
    return xp.sqrt(weights)[..., None] * X
