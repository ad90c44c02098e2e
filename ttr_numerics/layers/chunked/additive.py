"""Additive memories in chunk-parallel form."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output, Sums, check_sequence, initial_matrix, per_token
from ttr_numerics.layers.additive import divided, initial_sums, with_ones
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["gated_linear_attention", "linear_attention", "normalized_linear_attention"]


def linear_attention(q: Array, k: Array, v: Array, *, initial_state: Array | None = None, chunk: int = CHUNK) -> Output:
    """S_t = S_{t-1} + k_t v_t': no decay, nothing erased."""
    check_sequence(q, k, v)
    return chunk_parallel(Rows, initial_matrix(initial_state, q, v), chunk, q, k, v)


def normalized_linear_attention(
    q: Array, k: Array, v: Array, *, initial_state: Sums | None = None, chunk: int = CHUNK
) -> Output:
    """o_t = q_t'S_t / q_t'z_t: linear attention on the values [v, 1], divided by its last column."""
    check_sequence(q, k, v)
    return divided(chunk_parallel(Rows, initial_sums(initial_state, q, v), chunk, q, k, with_ones(v)))


def gated_linear_attention(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """S_t = diag(exp log_decay_t) S_{t-1} + k_t v_t': nothing erased."""
    check_sequence(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return chunk_parallel(_add, initial_matrix(initial_state, q, v), chunk, q, k, v, gate)


def _add(q: Array, k: Array, v: Array, log_decay: Array) -> Rows:
    return Rows(q, k, v, None, log_decay)
