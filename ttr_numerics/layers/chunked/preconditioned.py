"""The preconditioned delta rule in chunk-parallel form: first all A_t, an additive memory, then the written rows."""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, Preconditioned, check_sequence, per_token
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.preconditioned import initial_preconditioned, multiplier
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["preconditioned_delta_rule"]


def preconditioned_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    beta: Array,
    curvature_log_decay: Array,
    curvature_beta: Array,
    base: float = 1.5,
    centre: float = -0.2,
    eps: float = 1e-6,
    initial_state: Preconditioned | None = None,
    chunk: int = CHUNK,
) -> Output:
    """S_t = S̄ + (k_t∘m(A_t))' β_t (v_t - k_t S̄): k_t ← k_t∘m(A_t), e_t = β_t k_t∘exp log_decay_t, v_t ← β_t v_t."""
    check_sequence(q, k, v)
    step, gate = per_token("beta", beta, q), per_token("log_decay", log_decay, q, channels=True)
    start = initial_preconditioned(initial_state, q, v)
    squares = per_token("curvature_beta", curvature_beta, q) * (k * k)
    one = namespace(q).ones_like(q[..., :1])
    age = per_token("curvature_log_decay", curvature_log_decay, q)
    A, last = chunk_parallel(_add, start.A[..., None, :], chunk, one, one, squares, age)
    written = k * multiplier(A, base, centre, eps)
    o, S = chunk_parallel(_correct, start.S, chunk, q, k, v, written, step, gate)
    return Output(o, Preconditioned(S, last[..., 0, :]))


def _add(q: Array, k: Array, v: Array, log_decay: Array) -> Rows:
    return Rows(q, k, v, None, log_decay)


def _correct(q: Array, k: Array, v: Array, written: Array, beta: Array, log_decay: Array) -> Rows:
    return Rows(q, written, beta * v, beta * namespace(k).exp(log_decay) * k, log_decay)
