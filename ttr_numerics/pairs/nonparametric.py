"""Nonparametric layers and the kernel smoothers and local fits that they are."""

from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arguments import (
    ALPHA,
    BANDWIDTH,
    INVERSE_TEMPERATURE,
    SCALAR_LOG_DECAY,
    SINK,
    STEPS,
    SUPPORT_ORDER,
    THRESHOLD,
    WINDOW,
)
from ttr_numerics.arrays import Array, namespace, zeros
from ttr_numerics.axes import Cache, Output, WeightedCache
from ttr_numerics.choices import (
    Choices,
    Exact,
    Geometric,
    GradientStep,
    LocalPolynomial,
    MeanShift,
    QueryKernel,
    Reproducing,
    Sink,
    Tsallis,
    Uniform,
    Window,
)
from ttr_numerics.derivations import compact
from ttr_numerics.derivations import nonparametric as derived
from ttr_numerics.exact import kernels
from ttr_numerics.pairs.pairing import Call, Map, Pairing

__all__ = ["TABLE"]

_AT_QUERY, _CONSTANT = QueryKernel(kernels.Exponential()), LocalPolynomial(0)


def _key_weighted(q: Array, k: Array, v: Array, **named: Any) -> Output:
    return exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_square(k), **named)


def _key_weighted_everywhere(q: Array, k: Array, v: Array) -> Output:
    return Output(exact.kernel_smoother(q, k, v, log_weights=_half_square(k)), None)


def _with_a_pair_at_zero(q: Array, k: Array, v: Array, sink: Any) -> Output:
    """One pair (0, 0) before the data, of log weight `sink`: κ(q, 0) and κ(q, k) exp(‖k‖²/2) share exp(-‖q‖²/2)."""
    key, value = (zeros(x, (*x.shape[:-2], 1, x.shape[-1])) for x in (k, v))
    per_head = sink[..., None] if hasattr(sink, "dtype") else sink
    return _key_weighted(q, k, v, initial_state=WeightedCache(key, value, key[..., 0] + per_head))


def _exponential_sum(q: Array, k: Array, v: Array) -> Output:
    """exp(q·k) = exp(‖q‖²/2) exp(-‖q - k‖²/2) exp(‖k‖²/2)."""
    total = exact.kernel_sum_prefixes(q, k, v, log_weights=_half_square(k))
    return Output(namespace(q).exp(_half_square(q))[..., None] * total.o, total.state)


def _expansion(K: Array, alpha: Array) -> Map:
    """x ↦ Σ_i exp(x·k_i) α_i."""
    return lambda x: kernels.Exponential()(x, K) @ alpha


def _kernel_sum(state: Cache, **_: Any) -> Map:
    return _expansion(state.k, state.v)


def _kernel_least_squares(k: Array, v: Array, **_: Any) -> Map:
    return _expansion(k, exact.least_norm(kernels.Exponential()(k, k), v).S)


def _compact(q: Array, k: Array, v: Array, bandwidth: float, order: int = 1) -> Output:
    return exact.kernel_smoother_prefixes(q, k, v, kernel=kernels.SymmetricBeta(order, bandwidth))


def _rectified(q: Array, k: Array, v: Array, threshold: float, order: int = 1) -> Output:
    return exact.kernel_smoother_prefixes(q, k, v, kernel=kernels.Rectified(threshold, order))


def _shifted(q: Array, k: Array, v: Array, beta: float, steps: int) -> Output:
    kernel = kernels.Gaussian(beta**-0.5)
    return exact.mean_shift_prefixes(q, k, v, steps=steps, kernel=kernel, log_weights=beta * _half_square(k))


def _half_square(k: Array) -> Array:
    return namespace(k).sum(k * k, axis=-1) / 2


TABLE = (
    Pairing(
        layers.softmax_attention,
        Choices(_AT_QUERY, _CONSTANT, Exact()),
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother_prefixes)",
        partner=_key_weighted,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
        derivation=derived.softmax_attention,
        calls=(
            Call(
                "QK-norm softmax",
                "k of norm one and q/h^2: Nadaraya-Watson of bandwidth h without sample weights",
                "Henry et al., arXiv 2010.04245",
            ),
        ),
    ),
    Pairing(
        layers.bidirectional_softmax_attention,
        Choices(_AT_QUERY, _CONSTANT, Exact()),
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother)",
        partner=_key_weighted_everywhere,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
        derivation=derived.bidirectional_softmax_attention,
        causal=False,
    ),
    Pairing(
        layers.sliding_window_attention,
        Choices(Window() * _AT_QUERY, _CONSTANT, Exact()),
        identity="Nadaraya-Watson with a rectangular window in time (kernel_smoother_prefixes)",
        partner=_key_weighted,
        target="the identity itself",
        fit=None,
        domain="window ≥ 1; window ≥ T is softmax attention",
        source="Beltagy et al., arXiv 2004.05150, section 3.1",
        derivation=derived.sliding_window_attention,
        takes=(WINDOW,),
    ),
    Pairing(
        layers.sink_attention,
        Choices(Sink() * _AT_QUERY, _CONSTANT, Exact()),
        identity="Nadaraya-Watson with one pair (0, 0) of weight exp(sink): a ridge exp(sink) on the constant",
        partner=_with_a_pair_at_zero,
        target="the identity itself",
        fit=None,
        domain="all inputs; sink -∞ is softmax attention",
        source="OpenAI, gpt-oss model card, arXiv 2508.10925, section 2.2",
        derivation=derived.sink_attention,
        takes=(SINK,),
        calls=(Call("softmax off by one", "sink = 0", "Miller, Attention is off by one, 2023"),),
    ),
    Pairing(
        layers.forgetting_attention,
        Choices(Geometric() * _AT_QUERY, _CONSTANT, Exact()),
        identity="Nadaraya-Watson with sample weights geometric in age (kernel_smoother_prefixes)",
        partner=_key_weighted,
        target="the identity itself",
        fit=None,
        domain="log_decay ≤ 0, -inf a reset",
        source="Lin et al., arXiv 2503.02130",
        derivation=derived.forgetting_attention,
        takes=(SCALAR_LOG_DECAY,),
    ),
    Pairing(
        layers.exponential_attention,
        Choices(Uniform(), Reproducing(kernels.Exponential()), GradientStep()),
        identity="kernel ridge regression with κ(K, K) replaced by I (kernel_sum_prefixes)",
        partner=_exponential_sum,
        target="least squares in the space of the exponential kernel, of least norm (least_norm on κ(K, K))",
        fit=_kernel_least_squares,
        domain="q·k below the logarithm of the largest number; identity and target agree where κ(K, K) = I",
        source="Katharopoulos et al., arXiv 2006.16236, section 3.2; arXiv 2501.12352, section 3.1",
        derivation=derived.exponential_attention,
        memory=_kernel_sum,
    ),
    Pairing(
        layers.compact_kernel_attention,
        Choices(QueryKernel(kernels.SymmetricBeta()), _CONSTANT, Exact()),
        identity="Nadaraya-Watson with the kernel (1 - ‖x - y‖²/h²)_+ⁿ (kernel_smoother_prefixes)",
        partner=_compact,
        target="the identity itself",
        fit=None,
        domain="a key within the bandwidth of every query",
        source="Wand and Jones, Kernel Smoothing, section 2.7; Epanechnikov, 1969",
        derivation=compact.compact_kernel_attention,
        takes=(BANDWIDTH,),
        may_take=(SUPPORT_ORDER,),
    ),
    Pairing(
        layers.normalized_relu_attention,
        Choices(QueryKernel(kernels.Rectified()), _CONSTANT, Exact()),
        identity="Nadaraya-Watson with the kernel (x'y - b)_+ⁿ; keys of one norm: a compact kernel of bandwidth h_t",
        partner=_rectified,
        target="the identity itself",
        fit=None,
        domain="a key with q·k above the threshold for every query",
        source="Zhang et al., arXiv 2104.07012",
        derivation=compact.normalized_relu_attention,
        takes=(THRESHOLD,),
        may_take=(SUPPORT_ORDER,),
    ),
    Pairing(
        layers.entmax_attention,
        Choices(Tsallis(), _CONSTANT, Exact()),
        identity="mean of maximal Tsallis entropy (tsallis_smoother_prefixes); keys of one norm: a compact kernel, h_t",
        partner=exact.tsallis_smoother_prefixes,
        target="the identity itself",
        fit=None,
        domain="1 < alpha ≤ 2; alpha → 1 is softmax attention",
        source="Peters et al., arXiv 1905.05702; Correia et al., arXiv 1909.00015",
        derivation=compact.entmax_attention,
        takes=(ALPHA,),
        calls=(Call("sparsemax attention", "alpha = 2", "Martins and Astudillo, arXiv 1602.02068"),),
    ),
    Pairing(
        layers.hopfield,
        Choices(_AT_QUERY, _CONSTANT, MeanShift()),
        identity="mean shift on the Gaussian density of the keys with weights exp(β‖k‖²/2) (mean_shift_prefixes)",
        partner=_shifted,
        target="the identity itself",
        fit=None,
        domain="beta > 0, one step or more; v = k retrieves patterns",
        source="Ramsauer et al., arXiv 2008.02217",
        derivation=derived.hopfield,
        takes=(INVERSE_TEMPERATURE, STEPS),
    ),
)
