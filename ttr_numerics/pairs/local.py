"""Kernel ridge and local polynomial attention, and the regressions that they are."""

from ttr_numerics import exact, layers
from ttr_numerics.arguments import DEGREE, LOCAL_QUERIES, PROBE, RIDGE, SCALAR_RIDGE
from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Output
from ttr_numerics.choices import (
    Choices,
    Exact,
    Linear,
    LocalPolynomial,
    ProbeStep,
    QueryKernel,
    Reproducing,
    Uniform,
)
from ttr_numerics.derivations import local as derived
from ttr_numerics.exact import kernels
from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]

_EXPONENTIAL = kernels.Exponential()


def _kernel_ridge(q: Array, k: Array, v: Array, ridge: float) -> Output:
    return exact.kernel_ridge_prefixes(q, k, v, kernel=_EXPONENTIAL, ridge=ridge)


def _ridge(q: Array, k: Array, v: Array, ridge: float) -> Output:
    return Output(q @ exact.ridge(k, v, ridge).S, None)


def _local_polynomial(q: Array, k: Array, v: Array, degree: int, ridge: float) -> Output:
    return exact.local_polynomial_prefixes(q, k, v, degree=degree, ridge=ridge, kernel=_EXPONENTIAL)


def _local_linear(q: Array, k: Array, v: Array, ridge: float) -> Output:
    return _local_polynomial(q, k, v, 1, ridge)


def _smoothed_moments(q: Array, k: Array, v: Array, probe: Array) -> Output:
    """v̄ + (k̄·r) v̄ - E_p[v (k·r)], each mean a kernel smoother of v, k and all products of their channels."""
    xp, (d_k, d_v) = namespace(q), (k.shape[-1], v.shape[-1])
    products = xp.reshape(k[..., :, None] * v[..., None, :], (*k.shape[:-1], d_k * d_v))
    o, state = exact.kernel_smoother_prefixes(q, k, concat([v, k, products], -1), kernel=_EXPONENTIAL)
    mean, key, both = o[..., :d_v], o[..., d_v : d_v + d_k], o[..., d_v + d_k :]
    crossed = (probe[..., None, :] @ xp.reshape(both, (*o.shape[:-1], d_k, d_v)))[..., 0, :]
    return Output(mean + xp.sum(probe * key, axis=-1, keepdims=True) * mean - crossed, state)


TABLE = (
    Pairing(
        layers.kernel_ridge_attention,
        Choices(Uniform(), Reproducing(_EXPONENTIAL), Exact()),
        identity="kernel ridge regression of every prefix by one Cholesky factorisation (kernel_ridge_prefixes)",
        partner=_kernel_ridge,
        target="the identity itself",
        fit=None,
        domain="ridge > 0, or distinct keys; the kernel exp(k·k') unless another is given",
        source="arXiv 2501.12352, section 3.3",
        derivation=derived.kernel_ridge_attention,
        takes=(SCALAR_RIDGE,),
    ),
    Pairing(
        layers.intention,
        Choices(Uniform(), Linear(), Exact()),
        identity="ridge regression over the whole sequence by QR of the rows (ridge)",
        partner=_ridge,
        target="the identity itself",
        fit=None,
        domain="K'K + ridge positive definite: ridge > 0, or as many independent keys as channels",
        source="Garnelo and Czarnecki, arXiv 2305.10203",
        derivation=derived.intention,
        takes=(RIDGE,),
        causal=False,
    ),
    Pairing(
        layers.local_linear_attention,
        Choices(QueryKernel(_EXPONENTIAL), LocalPolynomial(1), Exact()),
        identity="local linear ridge regression by QR of the weighted rows (local_polynomial_prefixes, degree 1)",
        partner=_local_linear,
        target="the identity itself",
        fit=None,
        domain="ridge > 0, in units of exp(q·k); a query far from its keys leans on the ridge",
        source="Zuo et al., arXiv 2510.01450; arXiv 2501.12352, section 3.4",
        derivation=derived.local_linear_attention,
        takes=(SCALAR_RIDGE,),
        queries=LOCAL_QUERIES,
    ),
    Pairing(
        layers.local_polynomial_attention,
        Choices(QueryKernel(_EXPONENTIAL), LocalPolynomial(None), Exact()),
        identity="local polynomial ridge regression by QR of the weighted rows (local_polynomial_prefixes)",
        partner=_local_polynomial,
        target="the identity itself",
        fit=None,
        domain="ridge > 0, in units of exp(q·k); conditioning worsens with the degree",
        source="arXiv 2501.12352, section 3.4; Fan and Gijbels, Local Polynomial Modelling, section 3.1",
        derivation=derived.local_polynomial_attention,
        takes=(DEGREE, SCALAR_RIDGE),
        queries=LOCAL_QUERIES,
        lengths=(("d_k", 3),),
    ),
    Pairing(
        layers.parallax,
        Choices(QueryKernel(_EXPONENTIAL), LocalPolynomial(1), ProbeStep()),
        identity="smoothed values less their smoothed covariance with the keys (kernel_smoother_prefixes of v, k, kv')",
        partner=_smoothed_moments,
        target="local linear regression, at the probe (Cov_p(k, k) + λ/ω)⁻¹ (k̄ - q) (local_polynomial_prefixes)",
        fit=None,
        domain="all inputs",
        source="arXiv 2605.29157, algorithm 1",
        derivation=derived.parallax,
        takes=(PROBE,),
    ),
)
