"""Nonparametric layers and the kernel smoothers and local fits that they are."""

from ttr_numerics import exact, layers
from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output
from ttr_numerics.choices import Choices, Exact, LocalPolynomial, QueryKernel
from ttr_numerics.derivations import nonparametric as derived
from ttr_numerics.exact import kernels
from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]


def _key_weighted(q: Array, k: Array, v: Array) -> Output:
    return exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_square(k))


def _key_weighted_everywhere(q: Array, k: Array, v: Array) -> Output:
    return Output(exact.kernel_smoother(q, k, v, log_weights=_half_square(k)), None)


def _half_square(k: Array) -> Array:
    return namespace(k).sum(k * k, axis=-1) / 2


TABLE = (
    Pairing(
        layers.softmax_attention,
        Choices(QueryKernel(kernels.Exponential()), LocalPolynomial(0), Exact()),
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother_prefixes)",
        partner=_key_weighted,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
        derivation=derived.softmax_attention,
    ),
    Pairing(
        layers.bidirectional_softmax_attention,
        Choices(QueryKernel(kernels.Exponential()), LocalPolynomial(0), Exact()),
        identity="Nadaraya-Watson with sample weights exp(‖k‖²/2) at bandwidth 1 (kernel_smoother)",
        partner=_key_weighted_everywhere,
        target="the identity itself",
        fit=None,
        domain="all inputs; equal key norms cancel the sample weights",
        source="Vaswani et al., arXiv 1706.03762; arXiv 2501.12352, section 3.4",
        derivation=derived.bidirectional_softmax_attention,
        causal=False,
    ),
)
