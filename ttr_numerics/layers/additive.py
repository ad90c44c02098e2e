"""Additive memories: S_t = D_t S_{t-1} + k_t v_t', o_t = q_t S_t.

One full-batch gradient step of size 1 from zero on the weighted squared loss: K'K is replaced by I.
"""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["gated_linear_attention", "linear_attention"]


def linear_attention(q: Array, k: Array, v: Array, *, initial_state: Array | None = None) -> Output:
    """S_t = S_{t-1} + k_t v_t', o_t = q_t S_t (read after the write).

    The output is not divided by q_t'Σk_i. Reference: Katharopoulos et al., arXiv 2006.16236, section 3.4.
    """
    check_sequence(q, k, v)
    return sequential(_add, initial_matrix(initial_state, q, v), q, k, v)


def gated_linear_attention(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None
) -> Output:
    """S_t = diag(exp log_decay_t) S_{t-1} + k_t v_t', o_t = q_t S_t.

    log_decay (..., T) or per key channel (..., T, d_k), in nats, at most 0; -inf is a hard reset.
    RetNet, lightning attention, Mamba-2 (scalar), GLA and HGRN2 (per channel) are calls of it.
    Reference: Yang et al. (GLA), arXiv 2312.06635, equation 3; Dao and Gu (Mamba-2), arXiv 2405.21060.
    """
    check_sequence(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return sequential(_decay_and_add, initial_matrix(initial_state, q, v), q, k, v, gate)


def _add(S: Array, q: Array, k: Array, v: Array) -> tuple[Array, Array]:
    S = S + namespace(k).matrix_transpose(k) @ v
    return S, q @ S


def _decay_and_add(S: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    return _add(xp.matrix_transpose(xp.exp(log_decay)) * S, q, k, v)
