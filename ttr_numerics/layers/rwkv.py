"""RWKV with a matrix state: the memory is read before the token enters it, and the token counts by a bonus of its own.

o_t = q_t (S_{t-1} + (u ∘ k_t)' v_t);   S_t = diag(exp log_decay_t) S_{t-1} + k_t' v_t
"""

from functools import partial

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_head, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["rwkv6"]


def rwkv6(
    q: Array, k: Array, v: Array, *, log_decay: Array, bonus: Array, initial_state: Array | None = None
) -> Output:
    """o_t = q_t (S_{t-1} + (u ∘ k_t)' v_t), and only then S_t = diag(exp log_decay_t) S_{t-1} + k_t' v_t.

    log_decay (..., T) or (..., T, d_k), in nats, at most 0, -inf a hard reset of what later tokens read; u = bonus
    (..., d_k), leading axes broadcast over the batch. q is the receptance, unscaled; FLA's operators divide it by √d_k
    unless told. Reference: Peng et al. (RWKV-6), arXiv 2404.05892, section 4.2.
    """
    check_sequence(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    step = partial(_read_and_add, per_head("bonus", bonus, q))
    return sequential(step, initial_matrix(initial_state, q, v), q, k, v, gate)


def _read_and_add(bonus: Array, S: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(S)
    o = q @ S + (q @ xp.matrix_transpose(bonus * k)) @ v
    return xp.matrix_transpose(xp.exp(log_decay)) * S + xp.matrix_transpose(k) @ v, o
