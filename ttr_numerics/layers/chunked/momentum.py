"""Heavy-ball momentum in chunk-parallel form: Γ becomes the response of the state to one step."""

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Momentum, Output, check_sequence, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.momentum import initial_momentum
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["momentum_delta_rule"]


def momentum_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    beta: Array,
    log_momentum: Array,
    log_decay: Array | None = None,
    initial_state: Momentum | None = None,
    chunk: int = CHUNK,
) -> Output:
    """U_t = μ_t U_{t-1} + k_t' β_t (v_t - k_t S_{t-1}), S_t = exp(log_decay_t) S_{t-1} + U_t: e_t = β_t k_t."""
    check_sequence(q, k, v)
    xp = namespace(q)
    leak = xp.zeros_like(q[..., 0]) if log_decay is None else log_decay
    gates = (per_token(n, x, q) for n, x in (("beta", beta), ("log_decay", leak), ("log_momentum", log_momentum)))
    start = concat(list(initial_momentum(initial_state, q, v)), -2)
    o, last = chunk_parallel(_correct, start, chunk, q, k, v, *gates, xp.ones_like(q[..., :1]))
    d_k = q.shape[-1]
    return Output(o, Momentum(last[..., :d_k, :], last[..., d_k:, :]))


def _correct(q: Array, k: Array, v: Array, beta: Array, log_decay: Array, log_momentum: Array, taken: Array) -> Rows:
    return Rows(q, k, beta * v, beta * k, log_decay, log_momentum, taken)
