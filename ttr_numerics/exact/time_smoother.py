"""Smoothers in time, channel by channel: exponential smoothing, and weighted means with an exponential window.

Weights of pairs of tokens are formed from sums of logs, no recurrence, so that -50 a token and -inf are exact.
"""

from ttr_numerics.arrays import Array, concat, namespace, positions, row_maximum
from ttr_numerics.axes import Output, WeightedMean, initial_array, per_head, per_token
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.weights import Ageing, log_ages

__all__ = ["exponential_mean_prefixes", "exponential_smoother_prefixes"]


def exponential_smoother_prefixes(
    x: Array, *, weights: Array, log_decay: Array, initial_state: Array | None = None
) -> Output:
    """h_t = Σ_{i≤t} w_i γ_i^(t) x_i + γ_0^(t) h_0, γ_i^(t) = Π_{i<s≤t} exp(log_decay_s), the state h_T (..., d).

    x (..., T, d); weights at least 0, log_decay at most 0, each (..., T) or (..., T, d). With w = 1 - exp(log_decay)
    the weights w_i γ_i and γ_0 sum to one, and h_t = argmin_h ½Σ_i w_i γ_i‖x_i - h‖² + ½γ_0‖h_0 - h‖², a weighted
    mean; with w = √(1 - exp(2 log_decay)) their squares do, and independent x of unit variance keep it.
    Reference: Brown, Smoothing, Forecasting and Prediction of Discrete Time Series, 1963, chapter 7.
    """
    check_solvable(x=x, weights=weights, log_decay=log_decay, initial_state=initial_state)
    xp, ageing = namespace(x), Ageing(log_decay, x)
    h = initial_array(initial_state, (*x.shape[:-2], x.shape[-1]), x)
    weighted = per_token("weights", weights, x, channels=True) * x
    o = xp.sum(ageing.gamma * weighted[..., None, :, :], axis=-2) + ageing.start * h[..., None, :]
    return Output(o, o[..., -1, :] if x.shape[-2] else h)


def exponential_mean_prefixes(
    x: Array,
    *,
    log_weights: Array,
    log_decay: Array,
    log_newest: Array | None = None,
    initial_state: WeightedMean | None = None,
) -> Output:
    """o_t = Σ_{i≤t} w_i^(t) x_i / Σ_{i≤t} w_i^(t) = argmin_c ½Σ_i w_i^(t)‖x_i - c‖²: Nadaraya-Watson in time, with

        log w_i^(t) = log_weights_i + Σ_{i<s<t} log_decay_s  for i < t,    log w_t^(t) = log_weights_t + log_newest.

    x (..., T, d); log_weights, log_decay (..., T) or (..., T, d), log_newest (..., d), default 0. Token t's own decay
    counts only for later means. The largest weight of a mean is scaled to 1, so none over- or underflows as a whole;
    the newest weight is positive, so every mean is unique. The state is `WeightedMean`, all tokens decayed to the end.
    Reference: Wand and Jones, Kernel Smoothing, chapter 5, with the kernel exp(-λ(t - i)) for t > i.
    """
    check_solvable(x=x, log_weights=log_weights, log_decay=log_decay, log_newest=log_newest)
    xp, T = namespace(x), x.shape[-2]
    start = _before_all(initial_state, x)
    decay = per_token("log_decay", log_decay, x, channels=True) + xp.zeros_like(x)
    added = per_token("log_weights", log_weights, x, channels=True) + xp.zeros_like(x)
    newest = xp.zeros_like(start.maximum[..., None, :]) if log_newest is None else per_head("log_newest", log_newest, x)
    # Row r reads the tokens before token r, row T all of them: logs of every pair (..., T + 1, T, d), and of S_0.
    unseen = -xp.inf * xp.ones_like(added[..., None, :, :])
    ages = concat([unseen, log_ages(decay)], -3)
    own = (positions(x, T + 1)[:, None] == positions(x, T)[None, :])[..., None]
    pairs = xp.where(own, newest[..., None, :], ages) + added[..., None, :, :]
    first = start.maximum[..., None, :]
    aged = first + xp.cumulative_sum(concat([xp.zeros_like(first), decay], -2), axis=-2)
    return _means(x, start, concat([aged[..., None], xp.matrix_transpose(pairs)], -1))


def _means(x: Array, start: WeightedMean, logs: Array) -> Output:
    """Means by weights exp(logs) (..., T + 1, d, 1 + T) of `start` and of each x; the state from the last row."""
    xp = namespace(x)
    most = row_maximum(logs)
    w = xp.exp(logs - xp.where(most == -xp.inf, xp.zeros_like(most), most))
    numerator = w[..., 0] * start.numerator[..., None, :]
    numerator = numerator + xp.sum(w[..., 1:] * xp.matrix_transpose(x)[..., None, :, :], axis=-1)
    denominator = w[..., 0] * start.denominator[..., None, :] + xp.sum(w[..., 1:], axis=-1)
    o = numerator[..., :-1, :] / denominator[..., :-1, :]
    return Output(o, WeightedMean(numerator[..., -1, :], denominator[..., -1, :], most[..., -1, :, 0]))


def _before_all(initial: WeightedMean | None, x: Array) -> WeightedMean:
    """The parts of `initial` (..., d), checked; nothing, in the unit e^-inf, if None."""
    shape = (*x.shape[:-2], x.shape[-1])
    if initial is None:
        nothing = initial_array(None, shape, x)
        return WeightedMean(nothing, nothing, -namespace(x).inf * namespace(x).ones_like(nothing))
    parts = zip(initial._fields, initial, strict=True)
    return WeightedMean(*(initial_array(part, shape, x, f"initial_state.{name}") for name, part in parts))
