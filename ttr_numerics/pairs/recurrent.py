"""Additive memories with a read order, a stabiliser or no matrix state, and the regressions that they are."""

from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arguments import (
    BONUS,
    CHANNEL_STATE,
    CHANNEL_VALUES,
    INITIAL_STATE,
    LOG_BONUS,
    LOG_DECAY,
    LOG_FORGET,
    LOG_INPUT,
    LOG_KEYS,
)
from ttr_numerics.arrays import Array, namespace, row_maximum
from ttr_numerics.axes import NormalisedMemory, Output
from ttr_numerics.choices import (
    Choices,
    Exact,
    Geometric,
    GradientStep,
    Lagged,
    Linear,
    LocalPolynomial,
    LogSample,
    NormalisedGradientStep,
    UnitNorm,
)
from ttr_numerics.derivations import recurrent as derived
from ttr_numerics.exact.weights import log_ages
from ttr_numerics.layers import chunked
from ttr_numerics.pairs.pairing import Call, LinearMap, Map, Pairing
from ttr_numerics.pairs.targets import AGED, ON_AGED_KEYS, chunked_forms, weighted_least_squares

__all__ = ["TABLE"]


def _ratio(q: Array, k: Array, v: Array, log_input: Array, log_forget: Array) -> Output:
    return exact.correlation_ratio_prefixes(q, k, v, log_weights=log_input, log_decay=log_forget)


def _mean(q: Array, k: Array, v: Array, log_decay: Array, bonus: Array) -> Output:
    mean = exact.exponential_mean_prefixes(v, log_weights=k, log_decay=log_decay, log_newest=bonus)
    return mean._replace(o=q * mean.o)


def _average(q: Array, k: Array, v: Array, log_decay: Array, initial_state: Array | None = None) -> Output:
    weights = -namespace(q).expm1(log_decay)
    return _smoothed(q, k * v, weights, log_decay, initial_state)


def _unit_variance(q: Array, k: Array, v: Array, log_decay: Array, initial_state: Array | None = None) -> Output:
    xp = namespace(q)
    return _smoothed(q, k * v, xp.sqrt(-xp.expm1(2 * log_decay)), log_decay, initial_state)


def _smoothed(q: Array, x: Array, weights: Array, log_decay: Array, initial_state: Array | None) -> Output:
    smooth = exact.exponential_smoother_prefixes(x, weights=weights, log_decay=log_decay, initial_state=initial_state)
    return smooth._replace(o=q * smooth.o)


def _weighted_least_squares(k: Array, v: Array, log_input: Array, log_forget: Array) -> LinearMap:
    """Weighted least squares at the last position with the weights of the memory, the largest scaled to 1."""
    xp, logs = namespace(k), log_ages(log_forget[..., None])[..., -1, :, 0] + log_input
    return LinearMap(exact.least_norm(k, v, xp.exp(logs - row_maximum(logs))).S)


def _divided(state: NormalisedMemory, **_: Any) -> Map:
    """x ↦ e^m x C / max(|e^m x·n|, 1), both sides in units of the larger of e^m and 1."""
    xp = namespace(state.C)
    zero = xp.zeros_like(state.m)
    unit, floor = (xp.exp(xp.minimum(x, zero))[..., None, None] for x in (state.m, -state.m))
    return lambda x: unit * (x @ state.C) / xp.maximum(unit * xp.abs(x @ state.n[..., None]), floor)


_WEIGHTED = "weighted least squares with γ_i = exp(log_input_i) Π_{s>i} exp(log_forget_s)"

_MATRIX = (
    Call("RWKV-6 (Finch)", "log_decay = gates.rwkv6(w) (..., T, d_k), bonus one row a head", "arXiv 2404.05892"),
    Call("RWKV-5 (Eagle)", "log_decay = gates.rwkv6(w), constant in time, bonus one row a head", "arXiv 2404.05892"),
)
_XLSTM = (
    Call(
        "xLSTM",
        "log_input = the input gate before its exponential, log_forget = -softplus(-f), f before its sigmoid, q or k "
        "over √d; released code adds ε to the denominator in the unit e^m",
        "arXiv 2405.04517",
    ),
)
_TIME_MIXING = (
    Call(
        "RWKV-4",
        "q = σ(receptance), log_decay = -exp(time_decay), constant in time, bonus = time_first",
        "arXiv 2305.13048",
    ),
)
_GRIFFIN = (
    Call(
        "Griffin, RecurrentGemma",
        "q = 1, k = σ(input gate), log_decay = -8 σ(recurrence gate) softplus(Λ), -inf at a sequence's first token",
        "arXiv 2402.19427",
    ),
)
_SMOOTHING = (
    Call(
        "HGRN",
        "q = the output gate, k = 1, v = SiLU(input), log_decay = gates.hgrn2(x, lower_bound).log_decay",
        "arXiv 2311.04823",
    ),
    Call("minGRU", "q = k = 1, v = the candidate, log_decay = -softplus(z), z before its sigmoid", "arXiv 2410.01201"),
    Call("exponential moving average", "q = k = 1, log_decay = log(1 - α), constant in time", "Brown, 1963, chapter 7"),
)

TABLE = (
    Pairing(
        layers.rwkv6,
        Choices(Lagged(), Linear(), GradientStep()),
        identity="K'ΓV of the tokens before t, and the newest pair by its bonus (predictive_correlation_prefixes)",
        partner=exact.predictive_correlation_prefixes,
        target=AGED,
        fit=weighted_least_squares,
        domain="log_decay ≤ 0, -inf a reset of what later tokens read: the token itself still reads what came before; "
        "a bonus or decay that differs by channel is no sample weight",
        source="Peng et al., arXiv 2404.05892",
        derivation=derived.rwkv6,
        other_targets=ON_AGED_KEYS,
        takes=(LOG_DECAY, BONUS),
        may_take=(INITIAL_STATE,),
        forms=chunked_forms(chunked.rwkv6),
        calls=_MATRIX,
    ),
    Pairing(
        layers.mlstm,
        Choices(LogSample("log_input") * Geometric("log_forget"), Linear(), NormalisedGradientStep()),
        identity="K'ΓV over the same for the value 1 where that exceeds 1 in size (correlation_ratio_prefixes)",
        partner=_ratio,
        target=_WEIGHTED,
        fit=_weighted_least_squares,
        domain="log_input any number below infinity, log_forget ≤ 0, -inf a reset; the denominator is at least 1, so "
        "nothing is 0/0, but it may stand for a negative sum: a normalised window, not a mean; the layer loses weights "
        "that lie below the largest by more than the exponent range, even where that one has a zero key",
        source="Beck et al., arXiv 2405.04517",
        derivation=derived.mlstm,
        takes=(LOG_INPUT, LOG_FORGET),
        forms=chunked_forms(chunked.mlstm),
        calls=_XLSTM,
        memory=_divided,
    ),
    Pairing(
        layers.rwkv4,
        Choices(LogSample("k") * Lagged("exp(bonus)"), LocalPolynomial(0), Exact()),
        identity="Nadaraya-Watson in time, channel by channel: an exact weighted mean (exponential_mean_prefixes)",
        partner=_mean,
        target="the identity itself",
        fit=None,
        domain="all k; log_decay ≤ 0, -inf a reset of what later tokens read; the newest token has a positive weight "
        "whatever the gates, so no mean is 0/0",
        source="Peng et al., arXiv 2305.13048",
        derivation=derived.rwkv4,
        takes=(LOG_DECAY, LOG_BONUS),
        forms=chunked_forms(chunked.rwkv4),
        calls=_TIME_MIXING,
        keys=LOG_KEYS,
        values=CHANNEL_VALUES,
    ),
    Pairing(
        layers.rg_lru,
        Choices(UnitNorm(2), LocalPolynomial(0), GradientStep()),
        identity="exponential smoothing of k∘v by weights whose squares sum to 1 - Πa² (exponential_smoother_prefixes)",
        partner=_unit_variance,
        target="the weighted mean that hgrn is, whose weights sum to 1",
        fit=None,
        domain="log_decay ≤ 0; at 0 nothing is written, at -inf the input replaces the state",
        source="De et al., arXiv 2402.19427",
        derivation=derived.rg_lru,
        takes=(LOG_DECAY,),
        may_take=(CHANNEL_STATE,),
        forms=chunked_forms(chunked.rg_lru),
        calls=_GRIFFIN,
        values=CHANNEL_VALUES,
    ),
    Pairing(
        layers.hgrn,
        Choices(UnitNorm(1), LocalPolynomial(0), Exact()),
        identity="exponential smoothing of k∘v, a weighted mean with h_0 (exponential_smoother_prefixes)",
        partner=_average,
        target="the identity itself",
        fit=None,
        domain="log_decay ≤ 0; at 0 nothing is written, at -inf the input replaces the state",
        source="Qin et al., arXiv 2311.04823",
        derivation=derived.hgrn,
        takes=(LOG_DECAY,),
        may_take=(CHANNEL_STATE,),
        forms=chunked_forms(chunked.hgrn),
        calls=_SMOOTHING,
        values=CHANNEL_VALUES,
    ),
)
