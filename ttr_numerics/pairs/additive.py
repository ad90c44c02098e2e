"""Additive memories and the weighted correlations that they are."""

from ttr_numerics import exact, layers
from ttr_numerics.arguments import INITIAL_STATE, LOG_DECAY
from ttr_numerics.choices import Choices, Geometric, GradientStep, Linear, Uniform
from ttr_numerics.derivations import additive as derived
from ttr_numerics.layers import chunked
from ttr_numerics.pairs.pairing import Pairing
from ttr_numerics.pairs.targets import AGED, chunked_forms, weighted_least_squares

__all__ = ["TABLE"]

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
    ),
)
