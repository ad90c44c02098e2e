"""Several corrections a token in chunk-parallel form: rows in order, of which the first decays and the last is read."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, initial_matrix, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.delta_product import check_several
from ttr_numerics.recurrence import Rows, chunk_parallel, micro_steps

__all__ = ["gated_delta_product"]


def gated_delta_product(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    beta: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK // 2,  # of two rows a token
) -> Output:
    """S ← diag(exp log_decay_t) S_{t-1}; for j = 1..n: S ← S + k_tj' β_tj (v_tj - k_tj S): e_tj = β_tj k_tj.

    The first row of a token reads the decayed state: e_t1 = β_t1 k_t1∘exp log_decay_t.
    """
    check_several(q, k, v, beta)
    gate = per_token("log_decay", log_decay, q, channels=True)
    S = initial_matrix(initial_state, q, v[..., 0, :])
    return chunk_parallel(_correct, S, chunk, q, _flat(k), _flat(v), beta, gate)


def _flat(x: Array) -> Array:
    """(..., T, n, d) as (..., T, n d): one row a token, to be cut into chunks."""
    return namespace(x).reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _correct(q: Array, k: Array, v: Array, beta: Array, log_decay: Array) -> Rows:
    xp, step = namespace(q), beta[..., None]
    k, v = (xp.reshape(x, (*beta.shape, x.shape[-1] // beta.shape[-1])) for x in (k, v))
    erase = step * k
    first = erase[..., :1, :] * xp.exp(log_decay)[..., None, :]
    return micro_steps(q, k, step * v, xp.concat([first, erase[..., 1:, :]], axis=-2), log_decay)
