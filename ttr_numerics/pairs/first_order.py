"""First-order online learners and the sweeps that they are."""

from ttr_numerics import exact, layers
from ttr_numerics.arguments import BETA, INITIAL_STATE, LOG_DECAY
from ttr_numerics.choices import Choices, Leak, Linear, StochasticGradient, Uniform
from ttr_numerics.derivations import first_order as derived
from ttr_numerics.layers import chunked
from ttr_numerics.pairs.pairing import Pairing
from ttr_numerics.pairs.targets import AGED, chunked_forms, weighted_least_squares

__all__ = ["TABLE"]

TABLE = (
    Pairing(
        layers.delta_rule,
        Choices(Uniform(), Linear(), StochasticGradient()),
        identity="one relaxed Kaczmarz sweep, SOR on KK'α = V (kaczmarz_prefixes); Kaczmarz at beta = 1/‖k‖²",
        partner=exact.kaczmarz_prefixes,
        target="least squares (least_norm)",
        fit=weighted_least_squares,
        domain="all beta; stable where 0 ≤ beta‖k‖² ≤ 2",
        source="Schlag et al., arXiv 2102.11174; Yang et al., arXiv 2406.06484",
        derivation=derived.delta_rule,
        takes=(BETA,),
        may_take=(INITIAL_STATE,),
        forms=chunked_forms(chunked.delta_rule),
    ),
    Pairing(
        layers.gated_delta_rule,
        Choices(Uniform(), Linear(), StochasticGradient(leak=Leak.BEFORE_ERROR)),
        identity="one relaxed Kaczmarz sweep on the Gram matrix of aged keys (kaczmarz_prefixes)",
        partner=exact.kaczmarz_prefixes,
        target=AGED,
        fit=weighted_least_squares,
        domain="log_decay ≤ 0, -inf a reset; stable where 0 ≤ beta‖k‖² ≤ 2",
        source="Yang et al., arXiv 2412.06464; Kimi Linear (per channel), arXiv 2510.26692",
        derivation=derived.gated_delta_rule,
        takes=(BETA, LOG_DECAY),
        may_take=(INITIAL_STATE,),
        forms=chunked_forms(chunked.gated_delta_rule),
    ),
)
