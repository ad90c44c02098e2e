"""Delta rules that erase along one row and write along another, in chunk-parallel form."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["comba", "erase_write_delta_rule"]


def erase_write_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    erase: Array,
    write: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK,
) -> Output:
    """S_t = S̄ + k_t' (w_t∘v_t - (b_t∘k_t) S̄): e_t = b_t∘k_t∘exp log_decay_t, v_t ← w_t∘v_t."""
    check_sequence(q, k, v)
    gates = (
        per_channel("erase", erase, q),
        per_channel("write", write, v),
        per_token("log_decay", log_decay, q, channels=True),
    )
    return chunk_parallel(_erase_and_write, initial_matrix(initial_state, q, v), chunk, q, k, v, *gates)


def comba(
    q: Array,
    k: Array,
    v: Array,
    *,
    p: Array,
    log_decay: Array,
    beta: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK,
) -> Output:
    """S_t = exp(log_decay_t) S_{t-1} + k_t' β_t (v_t - p_t S_{t-1}): e_t = β_t p_t, v_t ← β_t v_t."""
    check_sequence(q, k, v)
    gates = (
        per_channel("p", p, q),
        per_token("log_decay", log_decay, q, channels=True),
        per_token("beta", beta, q),
    )
    return chunk_parallel(_feed_back, initial_matrix(initial_state, q, v), chunk, q, k, v, *gates)


def _erase_and_write(q: Array, k: Array, v: Array, erase: Array, write: Array, log_decay: Array) -> Rows:
    return Rows(q, k, write * v, erase * k * namespace(k).exp(log_decay), log_decay)


def _feed_back(q: Array, k: Array, v: Array, p: Array, log_decay: Array, beta: Array) -> Rows:
    return Rows(q, k, beta * v, beta * p, log_decay)
