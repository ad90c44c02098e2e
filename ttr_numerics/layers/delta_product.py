"""Several corrections a token, one after the other, each on the state that the one before it left."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.layers.delta import correct
from ttr_numerics.recurrence import sequential

__all__ = ["check_several", "gated_delta_product"]


def gated_delta_product(
    q: Array, k: Array, v: Array, *, log_decay: Array, beta: Array, initial_state: Array | None = None
) -> Output:
    """S ← diag(exp log_decay_t) S_{t-1}; for j = 1..n: S ← S + k_tj' β_tj (v_tj - k_tj S); o_t = q_t S_t.

    q (..., T, d_k), k (..., T, n, d_k), v (..., T, n, d_v), beta (..., T, n); log_decay (..., T) or (..., T, d_k), at
    most 0, -inf a hard reset. One decay, then n steps: n = 1 is the gated delta rule. The transition is a product of
    n generalised Householder matrices. Reference: Siems et al. (DeltaProduct), arXiv 2502.10297.
    """
    check_several(q, k, v, beta)
    gate = per_token("log_decay", log_decay, q, channels=True)
    first, *later = ((k[..., j, :], v[..., j, :], beta[..., j : j + 1]) for j in range(k.shape[-2]))
    rows = [x for write in later for x in write]
    return sequential(_decay_and_correct, initial_matrix(initial_state, q, v[..., 0, :]), q, *first, gate, *rows)


def check_several(q: Array, k: Array, v: Array, beta: Array) -> None:
    """Raise one sentence unless k (..., T, n, d_k), v (..., T, n, d_v) and beta (..., T, n) fit q (..., T, d_k)."""
    for name, x in (("k", k), ("v", v)):
        if x.ndim < 3 or x.shape[-2] < 1:
            raise ValueError(f"{name}: expected shape (..., T, n, d) with n at least 1, got {tuple(x.shape)}")
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v: expected {k.shape[-2]} rows a token as k, got {v.shape[-2]}")
    check_sequence(q, k[..., 0, :], v[..., 0, :])
    if beta.dtype != q.dtype:
        raise ValueError(f"beta: expected dtype {q.dtype} as q, got {beta.dtype}")
    if beta.shape != k.shape[:-1]:
        raise ValueError(f"beta: expected shape {tuple(k.shape[:-1])}, got {tuple(beta.shape)}")


def _decay_and_correct(
    S: Array, q: Array, k: Array, v: Array, beta: Array, log_decay: Array, *later: Array
) -> tuple[Array, Array]:
    xp = namespace(S)
    S, o = correct(xp.matrix_transpose(xp.exp(log_decay)) * S, q, k, v, beta)
    for k, v, beta in zip(later[::3], later[1::3], later[2::3], strict=True):
        S, o = correct(S, q, k, v, beta)
    return S, o
