"""A transition of diagonal plus rank one in chunk-parallel form: two rows a token, b feeds back and k adds."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, initial_matrix, per_channel, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.recurrence import Rows, chunk_parallel, micro_steps

__all__ = ["generalized_delta_rule"]


def generalized_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    a: Array,
    b: Array,
    log_decay: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK // 2,  # of two rows a token
) -> Output:
    """S ← diag(exp log_decay_t) S_{t-1} + b_t'(0 + a_t S_{t-1}), then S_t = S + k_t'v_t: e_t1 = -a_t, e_t2 = 0."""
    check_sequence(q, k, v)
    rows = per_channel("a", a, q), per_channel("b", b, q), per_token("log_decay", log_decay, q, channels=True)
    return chunk_parallel(_feed_back_and_add, initial_matrix(initial_state, q, v), chunk, q, k, v, *rows)


def _feed_back_and_add(q: Array, k: Array, v: Array, a: Array, b: Array, log_decay: Array) -> Rows:
    xp = namespace(q)
    keys, values, erase = (xp.stack(pair, axis=-2) for pair in ((b, k), (xp.zeros_like(v), v), (-a, xp.zeros_like(a))))
    return micro_steps(q, keys, values, erase, log_decay)
