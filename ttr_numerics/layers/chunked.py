"""The linear-state layers in chunk-parallel form: the same functions as in `ttr_numerics.layers`, by matrix products.

Each is a substitution into `recurrence.chunk_parallel`; `chunk` is how many tokens are treated at once. Outputs and
states equal the sequential definitions to rounding, whatever the chunk.
"""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["delta_rule", "gated_delta_rule", "gated_linear_attention", "linear_attention"]

CHUNK = 32


def linear_attention(q: Array, k: Array, v: Array, *, initial_state: Array | None = None, chunk: int = CHUNK) -> Output:
    """S_t = S_{t-1} + k_t v_t': no decay, nothing erased."""
    check_sequence(q, k, v)
    return chunk_parallel(Rows, initial_matrix(initial_state, q, v), chunk, q, k, v)


def gated_linear_attention(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """S_t = diag(exp log_decay_t) S_{t-1} + k_t v_t': nothing erased."""
    check_sequence(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return chunk_parallel(_add, initial_matrix(initial_state, q, v), chunk, q, k, v, gate)


def delta_rule(
    q: Array, k: Array, v: Array, *, beta: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """S_t = S_{t-1} + k_t' β_t (v_t - k_t S_{t-1}): e_t = β_t k_t, v_t ← β_t v_t."""
    check_sequence(q, k, v)
    step = per_token("beta", beta, q)
    return chunk_parallel(_correct, initial_matrix(initial_state, q, v), chunk, q, k, v, step)


def gated_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    beta: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK,
) -> Output:
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + k_t' β_t (v_t - k_t S̄): e_t = β_t k_t, v_t ← β_t v_t."""
    check_sequence(q, k, v)
    step, gate = per_token("beta", beta, q), per_token("log_decay", log_decay, q, channels=True)
    return chunk_parallel(_correct, initial_matrix(initial_state, q, v), chunk, q, k, v, step, gate)


def _add(q: Array, k: Array, v: Array, log_decay: Array) -> Rows:
    return Rows(q, k, v, None, log_decay)


def _correct(q: Array, k: Array, v: Array, beta: Array, log_decay: Array | None = None) -> Rows:
    return Rows(q, k, beta * v, beta * k, log_decay)
