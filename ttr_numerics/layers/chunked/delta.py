"""Delta rules in chunk-parallel form: W = T⁻¹(V - EΓ⁻_0 S), one unit triangular solve a chunk."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["delta_rule", "gated_delta_rule"]


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
    """S̄ = diag(exp log_decay_t) S_{t-1}, S_t = S̄ + k_t' β_t (v_t - k_t S̄): e_t = β_t k_t exp log_decay_t."""
    check_sequence(q, k, v)
    step, gate = per_token("beta", beta, q), per_token("log_decay", log_decay, q, channels=True)
    return chunk_parallel(_decay_and_correct, initial_matrix(initial_state, q, v), chunk, q, k, v, step, gate)


def _correct(q: Array, k: Array, v: Array, beta: Array) -> Rows:
    return Rows(q, k, beta * v, beta * k)


def _decay_and_correct(q: Array, k: Array, v: Array, beta: Array, log_decay: Array) -> Rows:
    return Rows(q, k, beta * v, beta * namespace(k).exp(log_decay) * k, log_decay)
