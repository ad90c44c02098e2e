"""Additive memories and the weighted correlations that they are."""

from ttr_numerics import exact, layers
from ttr_numerics.arguments import INITIAL_STATE, LOG_DECAY, POSITIVE_KEYS, POSITIVE_QUERIES
from ttr_numerics.choices import Choices, Exact, Geometric, GradientStep, Linear, LocalPolynomial, QueryKernel, Uniform
from ttr_numerics.derivations import additive as derived
from ttr_numerics.exact import kernels
from ttr_numerics.layers import chunked
from ttr_numerics.pairs.pairing import Call, Pairing
from ttr_numerics.pairs.targets import (
    AGED,
    ON_AGED_KEYS,
    chunked_forms,
    weighted_least_squares,
)

__all__ = ["TABLE"]

_PLAIN = (
    Call("fast weights by outer products", "q, k, v as they are", "Schmidhuber, Neural Computation 4 (1992) 131"),
    Call(
        "TransNormer",
        "features.elu_plus_one on q and k, an RMS norm of the output in place of the denominator",
        "arXiv 2210.10340",
    ),
)
_NORMALISED = (
    Call("linear transformer", "features.elu_plus_one on q and k", "arXiv 2006.16236"),
    Call("DPFP", "features.dpfp(x, nu) on q and k", "arXiv 2102.11174"),
    Call("Performer (FAVOR+)", "features.Favor.bounded(projection) on q and k, each over d^(1/4)", "arXiv 2009.14794"),
    Call("cosFormer", "features.CosFormer(horizon) on q and k", "arXiv 2202.08791"),
    Call("Based", "features.taylor on q and k, each over d^(1/4)", "arXiv 2402.18668"),
    Call("ReBased", "features.ReBased(gamma, beta) on q and k, with gamma and beta of their own", "arXiv 2402.10644"),
    Call("Hedgehog", "features.Hedgehog(weight) on q and k, with weights of their own", "arXiv 2402.04347"),
    Call("T2R", "features.relu on learned affine maps of q and k", "arXiv 2103.13076"),
)
_GATED = (
    Call("RetNet", "log_decay = gates.retnet(heads), constant in time; q over √d", "arXiv 2307.08621"),
    Call(
        "lightning attention", "log_decay = gates.lightning(heads, layer, layers), constant in time", "arXiv 2401.04658"
    ),
    Call("MiniMax-01", "log_decay = gates.minimax(heads, layer, layers), constant in time", "arXiv 2501.08313"),
    Call(
        "Mamba-2 (SSD)",
        "q = C, k = B, v = dt x, log_decay = gates.ssd(dt, A); D x is added outside",
        "arXiv 2405.21060",
    ),
    Call("simple gated linear attention", "log_decay (..., T), one logarithm a token; q over √d", "arXiv 2312.06635"),
    Call("GLA", "log_decay = gates.gla(x) (..., T, d_k); q over √d", "arXiv 2312.06635"),
    Call("HGRN2", "log_decay, k = gates.hgrn2(x, lower_bound) (..., T, d_k)", "arXiv 2404.07904"),
)

TABLE = (
    Pairing(
        layers.linear_attention,
        Choices(Uniform(), Linear(), GradientStep()),
        identity="least squares with K'K replaced by I: S_t = K'V (correlation_prefixes)",
        partner=exact.correlation_prefixes,
        target="least squares (least_norm)",
        fit=weighted_least_squares,
        domain="all inputs; identity and target agree where K'K = I",
        source="Katharopoulos et al., arXiv 2006.16236; arXiv 2501.12352, section 3.1",
        derivation=derived.linear_attention,
        may_take=(INITIAL_STATE,),
        forms=chunked_forms(chunked.linear_attention),
        calls=_PLAIN,
    ),
    Pairing(
        layers.normalized_linear_attention,
        Choices(QueryKernel(kernels.Linear()), LocalPolynomial(0), Exact()),
        identity="Nadaraya-Watson with the kernel q'k, on features φ(q)'φ(k) (signed_smoother_prefixes)",
        partner=exact.signed_smoother_prefixes,
        target="the identity itself",
        fit=None,
        domain="q_t'Σk_i not 0 unless q_t'Σk_i v_i is; a weighted mean where features are at least 0, else weights and "
        "denominator may be negative",
        source="Katharopoulos et al., arXiv 2006.16236; arXiv 2501.12352, section 3.4",
        derivation=derived.normalized_linear_attention,
        forms=chunked_forms(chunked.normalized_linear_attention),
        queries=POSITIVE_QUERIES,
        keys=POSITIVE_KEYS,
        calls=_NORMALISED,
    ),
    Pairing(
        layers.gated_linear_attention,
        Choices(Geometric(), Linear(), GradientStep()),
        identity="weighted least squares with K'ΓK replaced by I: S_t = K'Γ_t V (correlation_prefixes)",
        partner=exact.correlation_prefixes,
        target=AGED,
        fit=weighted_least_squares,
        domain="log_decay ≤ 0, -inf a reset; a per-channel gate ages key channels and is no sample weight",
        source="Yang et al., arXiv 2312.06635; Dao and Gu, arXiv 2405.21060",
        derivation=derived.gated_linear_attention,
        takes=(LOG_DECAY,),
        may_take=(INITIAL_STATE,),
        forms=chunked_forms(chunked.gated_linear_attention),
        other_targets=ON_AGED_KEYS,
        calls=_GATED,
    ),
)
