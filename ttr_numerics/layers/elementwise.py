"""Layers whose memory is one number a channel: exponential smoothers in time, d_v = d_k; ∘ multiplies by channels.

h_t = a_t h_{t-1} + w_t (k_t ∘ v_t),  o_t = q_t ∘ h_t:   w = 1 - a (HGRN),  w = √(1 - a²) (RG-LRU),  a ratio (RWKV-4)
"""

from collections.abc import Callable
from functools import partial

from ttr_numerics.arrays import Array, namespace, stabiliser
from ttr_numerics.axes import Output, WeightedMean, check_sequence, initial_array, initial_parts, per_head, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["check_channels", "hgrn", "initial_mean", "joined", "rg_lru", "rwkv4"]


def rwkv4(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array,
    bonus: Array,
    initial_state: WeightedMean | None = None,
) -> Output:
    """o_t = q_t ∘ Σ_{i≤t} w_i v_i / Σ_{i≤t} w_i, log w_i = k_i + Σ_{i<s<t} log_decay_s, log w_t = k_t + bonus.

    q is the receptance as given. log_decay (..., T) or (..., T, d_k), at most 0, -inf a reset of what later tokens read
    (the published decay is constant in time, -exp(time_decay)); bonus (..., d_k) broadcasts over the batch. The state
    is `WeightedMean`, its maximum max(maximum_{t-1} + log_decay_t, k_t): no exponential overflows.
    Reference: Peng et al. (RWKV-4), arXiv 2305.13048, equation 14 and appendix D.
    """
    check_channels(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    step = partial(_average_and_add, per_head("bonus", bonus, q))
    o, state = sequential(step, initial_mean(initial_state, q), q, k, v, gate)
    return Output(o, WeightedMean(*(x[..., 0, :] for x in state)))


def rg_lru(q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None) -> Output:
    """h_t = a_t h_{t-1} + √(1 - a_t²) (k_t ∘ v_t), o_t = q_t ∘ h_t, a = exp(log_decay); k is the input gate.

    log_decay (..., T) or (..., T, d_k), at most 0; -inf is a reset: h_t = k_t ∘ v_t, which released code does at the
    first token of a sequence. √ has no derivative at log_decay = 0.
    Reference: De et al. (Griffin), arXiv 2402.19427, equation 4.
    """
    check_channels(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return _smoothed(_add_unit_variance, initial_state, q, k, v, gate)


def hgrn(q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: Array | None = None) -> Output:
    """h_t = f_t h_{t-1} + (1 - f_t) (k_t ∘ v_t), o_t = q_t ∘ h_t, f = exp(log_decay): exponential smoothing.

    log_decay (..., T) or (..., T, d_k), at most 0; -inf is a reset: h_t = k_t ∘ v_t.
    Reference: Qin et al. (HGRN), arXiv 2311.04823, equation 4.
    """
    check_channels(q, k, v)
    gate = per_token("log_decay", log_decay, q, channels=True)
    return _smoothed(_add_complement, initial_state, q, k, v, gate)


def check_channels(q: Array, k: Array, v: Array) -> None:
    """Raise one clear sentence unless q, k and v are all (..., T, d_k)."""
    check_sequence(q, k, v)
    if v.shape != q.shape:
        raise ValueError(f"v: expected shape {tuple(q.shape)} as q, got {tuple(v.shape)}")


def initial_mean(state: WeightedMean | None, q: Array) -> WeightedMean:
    """The three parts of the state as rows (..., 1, d_k); nothing, in the unit e^-inf, if None."""
    shape = (*q.shape[:-2], q.shape[-1])
    if state is None:
        nothing = initial_array(None, shape, q)
        state = WeightedMean(nothing, nothing, -namespace(q).inf * namespace(q).ones_like(nothing))
    parts = zip(WeightedMean._fields, initial_parts(state, WeightedMean), strict=True)
    return WeightedMean(*(initial_array(x, shape, q, f"initial_state.{name}")[..., None, :] for name, x in parts))


def _average_and_add(
    bonus: Array, state: WeightedMean, q: Array, k: Array, v: Array, log_decay: Array
) -> tuple[WeightedMean, Array]:
    newest = joined(state, k + bonus, v)
    decayed = state._replace(maximum=state.maximum + log_decay)
    return joined(decayed, k, v), q * (newest.numerator / newest.denominator)


def joined(state: WeightedMean, log_weight: Array, v: Array) -> WeightedMean:
    """`state` and one more value of weight exp(log_weight), in the unit of the larger of the two."""
    xp = namespace(v)
    m = stabiliser(state.maximum, log_weight)
    old, new = xp.exp(state.maximum - m), xp.exp(log_weight - m)
    return WeightedMean(old * state.numerator + new * v, old * state.denominator + new, m)


def _smoothed(
    step: Callable[..., tuple[Array, Array]],
    initial_state: Array | None,
    q: Array,
    k: Array,
    v: Array,
    log_decay: Array,
) -> Output:
    h = initial_array(initial_state, (*q.shape[:-2], q.shape[-1]), q)[..., None, :]
    o, h = sequential(step, h, q, k, v, log_decay)
    return Output(o, h[..., 0, :])


def _add_unit_variance(h: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(h)
    h = xp.exp(log_decay) * h + xp.sqrt(-xp.expm1(2 * log_decay)) * (k * v)
    return h, q * h


def _add_complement(h: Array, q: Array, k: Array, v: Array, log_decay: Array) -> tuple[Array, Array]:
    xp = namespace(h)
    h = xp.exp(log_decay) * h - xp.expm1(log_decay) * (k * v)
    return h, q * h
