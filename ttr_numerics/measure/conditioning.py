"""How sensitive a regression is to rounding, and how wrong a computed solution is."""

import numpy as np

__all__ = ["condition_number", "forward_error", "residual_ratio"]


def condition_number(K: np.ndarray) -> np.ndarray:
    """κ(K) = σ_max/σ_min (...) over the min(n, d) singular values, in float64 whatever the dtype of K.

    Infinite where the smallest is at rounding level, max(n, d) eps of K's own dtype times the largest: no digit of
    it is known. The Gram matrix K'K has κ².
    """
    s = np.linalg.svd(np.asarray(K, dtype=np.float64), compute_uv=False)
    level = max(K.shape[-2:]) * float(np.finfo(K.dtype).eps) * s[..., 0]
    return np.where(s[..., -1] > level, s[..., 0] / np.maximum(s[..., -1], np.finfo(float).tiny), np.inf)


def forward_error(S: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """‖Ŝ - S‖_F / ‖S‖_F (...), dimensionless, for computed Ŝ and exact S (..., d_k, d_v)."""
    return np.linalg.norm(S - exact, axis=(-2, -1)) / np.linalg.norm(exact, axis=(-2, -1))


def residual_ratio(A: np.ndarray, X: np.ndarray, B: np.ndarray) -> np.ndarray:
    """‖B - A X‖₁ / (‖A‖₁‖X‖₁ max(m, n) u) (...), for systems A X = B that fit: LAPACK's xQRT16.

    u is the unit roundoff of X's dtype; the residual is formed in float64. Below 30 is LAPACK's "solved". It is taken
    on the data: A'(B - A X) would be the residual of the Gram system, which stays small however wrong X is.
    Reference: LAPACK Working Note 41, section 7.8.
    """
    a, x, b = (np.asarray(M, dtype=np.float64) for M in (A, X, B))
    scale = max(a.shape[-2:]) * float(np.finfo(X.dtype).eps) / 2
    norms = np.linalg.norm(a, 1, axis=(-2, -1)) * np.linalg.norm(x, 1, axis=(-2, -1))
    return np.linalg.norm(b - a @ x, 1, axis=(-2, -1)) / (norms * scale)
