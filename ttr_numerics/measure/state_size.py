"""Effective state size: how many numbers of the past a layer that is linear in v can use for the future.

Such a layer is a matrix A(q, k) (T, T) with o = A v. All that outputs i..T-1 know of values 0..i-1 passes through
H_i = A[i:, :i]: its rank is the least state that any realisation of A can carry across i. A is the layer's output for
v = I, one column for each token (d_v = T). Reference: Parnichkun et al., arXiv 2504.19561, where rank(H_i) is named
effective state size (ESS) and an entropy of the singular values is offered beside it; the cutoff and the entropy here
(Roy and Vetterli, EUSIPCO 2007) are our reading of it.

A layer with state S_t (d_k, d_v), linear in S_{t-1} and v_t, has rank(H_i) ≤ min(d_k, i, T-i): H_i is a product with
d_k columns in the middle. Attention has only min(i, T-i).
"""

import numpy as np

__all__ = ["effective_state_size", "entropic_rank", "entropic_state_size", "numerical_rank", "rank_floor"]


def numerical_rank(H: np.ndarray, growth: float = 1.0) -> np.ndarray:
    """#{σ_j > growth · max(m, n) eps σ_1} (...) of H (..., m, n), integers; 0 for H = 0.

    By Weyl's inequality rounding errors of norm ‖E‖ move a singular value by at most ‖E‖; entries of H that are sums of
    up to max(m, n) products of rounded factors are off by that many roundoffs. `growth` is how much more a computation
    has lost: the condition number where H comes out of a solve.

    >>> int(numerical_rank(np.diag([1.0, 1e-8, 1e-20])))
    2
    """
    s = np.linalg.svd(H, compute_uv=False)
    cutoff = growth * max(H.shape[-2:]) * float(np.finfo(H.dtype).eps) * np.max(s, axis=-1, initial=0.0)
    return np.count_nonzero(s > cutoff[..., None], axis=-1)


def entropic_rank(H: np.ndarray) -> np.ndarray:
    """exp(-Σ p ln p) (...), p = σ/Σσ the singular values of H (..., m, n) as shares: from 1 to the rank; 0 for H = 0.

    >>> round(float(entropic_rank(np.diag([2.0, 2.0, 0.0]))), 12)
    2.0
    """
    s = np.linalg.svd(H, compute_uv=False)
    total = np.sum(s, axis=-1, keepdims=True)
    p = s / np.where(total > 0, total, 1.0)
    return np.where(total[..., 0] > 0, np.exp(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)), 0.0)


def effective_state_size(operator: np.ndarray, i: int, growth: float = 1.0) -> np.ndarray:
    """rank(A[i:, :i]) (...), A = `operator` (..., T, T), 0 < i < T. See `numerical_rank`.

    A pure delay by one token carries one number, and a running mean one too:

    >>> int(effective_state_size(np.eye(5, k=-1), 2)), int(effective_state_size(np.tri(5) / 5, 2))
    (1, 1)
    """
    return numerical_rank(_future_of_past(operator, i), growth)


def entropic_state_size(operator: np.ndarray, i: int) -> np.ndarray:
    """`entropic_rank` of A[i:, :i] (...): directions count by their gain, not whole as in `effective_state_size`."""
    return entropic_rank(_future_of_past(operator, i))


def rank_floor(pairs: int, rank: int) -> float:
    """1 - r/n ≤ ‖H - I‖²_F/n: what a memory of rank r leaves of n values, H (n, n) its outputs for v = I at its keys.

    ‖H - I‖²_F/n is its mean squared error over independent values of mean 0 and variance 1. A matrix of rank r leaves
    at least n - r of the n unit singular values of I (Eckart and Young, Psychometrika 1936): proved, any layer linear
    in v. Least squares attains it.

    >>> rank_floor(8, 2)
    0.75
    """
    return max(0.0, 1 - rank / pairs)


def _future_of_past(operator: np.ndarray, i: int) -> np.ndarray:
    T = operator.shape[-1]
    if operator.shape[-2] != T or not 0 < i < T:
        raise ValueError(f"i: expected between 0 and T of a (..., T, T) operator, got {i} of {operator.shape}")
    return operator[..., i:, :i]
