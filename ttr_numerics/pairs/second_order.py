"""Second-order layers and the ridge regressions that they solve."""

from typing import Any

from ttr_numerics import exact, layers
from ttr_numerics.arguments import OPTIONAL_BETA, RIDGE, SCALAR_LOG_DECAY
from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output
from ttr_numerics.choices import Choices, Exact, Geometric, Linear, Sample
from ttr_numerics.derivations import second_order as derived
from ttr_numerics.pairs.pairing import Pairing

__all__ = ["TABLE"]


def _mesa(q: Array, k: Array, v: Array, ridge: Any, log_decay: Any = None, beta: Any = None) -> Output:
    return exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=log_decay, weights=beta)


TABLE = (
    Pairing(
        layers.mesa,
        Choices(Sample() * Geometric(), Linear(), Exact()),
        identity="ridge regression with a fixed regulariser (ridge_prefixes)",
        partner=_mesa,
        target="the identity itself",
        fit=None,
        domain="H_t + ridge positive definite: ridge > 0, or as many independent keys as channels",
        source="von Oswald et al., arXiv 2506.05233",
        derivation=derived.mesa,
        takes=(RIDGE,),
        may_take=(SCALAR_LOG_DECAY, OPTIONAL_BETA),
    ),
)
