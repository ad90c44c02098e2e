"""Additive memories with a read order, a stabiliser or no matrix state, in chunk-parallel form.

Three substitutions. *Reading before the write* is reading after it by the next token's query. *Any* sequence m_t may
be the unit of a sum of exponentials: in units e^{m_t} its decay is log_forget_t + m_{t-1} - m_t and the newest weight
log_input_t - m_t; the running maximum, a scan over pairs, keeps both at most 0. *A channel* is a head of d_k = d_v = 1:
as many weights a token as the chunk is long, worth it where steps in sequence are dear; on a CPU they are not.
"""

from ttr_numerics.arrays import Array, concat, namespace, stabiliser
from ttr_numerics.axes import (
    NormalisedMemory,
    Output,
    WeightedMean,
    check_sequence,
    initial_array,
    initial_matrix,
    per_head,
    per_token,
)
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.elementwise import check_channels, initial_mean, joined
from ttr_numerics.layers.mlstm import finite, initial_memory, normalised
from ttr_numerics.recurrence import Rows, chunk_parallel

__all__ = ["hgrn", "mlstm", "rg_lru", "rwkv4", "rwkv6"]


def rwkv6(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    bonus: Array,
    initial_state: Array | None = None,
    chunk: int = CHUNK,
) -> Output:
    """o_t = q_t S_{t-1} + (q_t ∘ u)·k_t v_t: the queries of the next tokens read S_1 ... S_{T-1}."""
    check_sequence(q, k, v)
    gate, bonus = per_token("log_decay", log_decay, q, channels=True), per_head("bonus", bonus, q)
    S = initial_matrix(initial_state, q, v)
    after, last = chunk_parallel(_add, S, chunk, _next(q), k, v, gate)
    own = namespace(q).sum(q * bonus * k, axis=-1, keepdims=True) * v
    return Output(_previous(q[..., :1, :] @ S, after) + own, last)


def mlstm(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_input: Array,
    log_forget: Array,
    initial_state: NormalisedMemory | None = None,
    chunk: int = CHUNK,
) -> Output:
    """[C | n'] of values [v, 1] with log_decay = log_forget + m_{t-1} - m_t and keys exp(log_input - m_t) k."""
    check_sequence(q, k, v)
    C, n, m = initial_memory(initial_state, q, v)
    inputs, forget = per_token("log_input", log_input, q), per_token("log_forget", log_forget, q)
    m, decay, weight = _in_units_of_maximum(m, inputs, forget)
    xp, start = namespace(q), concat([C, namespace(q).matrix_transpose(n)], -1)
    rows, state = chunk_parallel(_add, start, chunk, q, weight * k, _with_one(v), decay)
    last = xp.reshape(m[..., -1:, :], q.shape[:-2])
    memory = NormalisedMemory(state[..., :-1], state[..., -1], last)
    return Output(normalised(rows[..., :-1], rows[..., -1:], m[..., 1:, :]), memory)


def rwkv4(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    bonus: Array,
    initial_state: WeightedMean | None = None,
    chunk: int = CHUNK,
) -> Output:
    """[numerator | denominator] of values [v, 1] in every channel, read before the write and joined with the newest."""
    check_channels(q, k, v)
    gate, u = per_token("log_decay", log_decay, q, channels=True), per_head("bonus", bonus, q)
    start = initial_mean(initial_state, q)
    m, decay, weight = _in_units_of_maximum(start.maximum, k, gate + namespace(k).zeros_like(k))
    S = concat([_channels(start.numerator), _channels(start.denominator)], -1)
    one, values = namespace(q).ones_like(q), _with_one(_channels(v))
    after, S = chunk_parallel(_add, S, chunk, _channels(one), _channels(weight), values, _channels(decay))
    numerator, denominator = (_previous(start[i], _rows(after[..., i : i + 1])) for i in (0, 1))
    before = WeightedMean(numerator, denominator, m[..., :-1, :])
    mean = joined(before, k + u, v)
    return Output(q * (mean.numerator / mean.denominator), WeightedMean(S[..., 0, 0], S[..., 0, 1], m[..., -1, :]))


def rg_lru(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """h_t = a_t h_{t-1} + √(1 - a_t²) (k_t ∘ v_t) in every channel."""
    check_channels(q, k, v)
    gate, xp = per_token("log_decay", log_decay, q, channels=True), namespace(q)
    return _smoothed(initial_state, chunk, q, xp.sqrt(-xp.expm1(2 * gate)) * (k * v), gate)


def hgrn(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None, chunk: int = CHUNK
) -> Output:
    """h_t = f_t h_{t-1} + (1 - f_t) (k_t ∘ v_t) in every channel."""
    check_channels(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return _smoothed(initial_state, chunk, q, -namespace(q).expm1(gate) * (k * v), gate)


def _smoothed(initial_state: Array | None, chunk: int, q: Array, x: Array, gate: Array) -> Output:
    """h_t = exp(gate_t) h_{t-1} + x_t, o_t = q_t ∘ h_t."""
    h = initial_array(initial_state, (*q.shape[:-2], q.shape[-1]), q)
    one = namespace(q).ones_like(q)
    rows = (_channels(y) for y in (one, one, x, gate + namespace(q).zeros_like(q)))
    after, state = chunk_parallel(_add, h[..., None, None], chunk, *rows)
    return Output(q * _rows(after), state[..., 0, 0])


def _add(q: Array, k: Array, v: Array, log_decay: Array) -> Rows:
    return Rows(q, k, v, None, log_decay)


def _with_one(v: Array) -> Array:
    return concat([v, namespace(v).ones_like(v[..., :1])], -1)


def _next(q: Array) -> Array:
    """Row t + 1 in place of row t, zeros at the end."""
    return concat([q[..., 1:, :], 0 * q[..., :1, :]], -2)


def _previous(first: Array, rows: Array) -> Array:
    """`first`, then all rows but the last; no rows where there are none."""
    return concat([first, rows[..., :-1, :]], -2)[..., : rows.shape[-2], :]


def _channels(x: Array) -> Array:
    """Rows (..., T, d) as d heads of one channel (..., d, T, 1)."""
    return namespace(x).matrix_transpose(x)[..., None]


def _rows(x: Array) -> Array:
    return namespace(x).matrix_transpose(x[..., 0])


def _in_units_of_maximum(m: Array, log_input: Array, log_forget: Array) -> tuple[Array, Array, Array]:
    """m_0 ... m_T (..., T + 1, c), and in units e^{m_t} the log decays and the weights of the tokens."""
    m = _running_maximum(m, log_input, log_forget)
    unit = finite(m[..., 1:, :])
    return m, log_forget + m[..., :-1, :] - unit, namespace(m).exp(log_input - unit)


def _running_maximum(m: Array, log_input: Array, log_forget: Array) -> Array:
    """m_0 = m and m_t = max(log_forget_t + m_{t-1}, log_input_t) (..., T + 1, c), in log₂ T steps.

    A span of tokens maps m to max(forget + m, most); spans of 1, 2, 4 ... tokens are joined with those before them.
    """
    most, forget, n = (
        concat([m, log_input], -2),
        concat([namespace(m).zeros_like(m), log_forget], -2),
        log_input.shape[-2] + 1,
    )
    span = 1
    while span < n:
        (earlier, most_s), (_, forget_s) = ((x[..., :-span, :], x[..., span:, :]) for x in (most, forget))
        joined = stabiliser(forget_s + earlier, most_s)
        most = concat([most[..., :span, :], joined], -2)
        forget = concat([forget[..., :span, :], forget_s + forget[..., :-span, :]], -2)
        span *= 2
    return most
