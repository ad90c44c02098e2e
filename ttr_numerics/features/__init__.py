"""Feature maps φ: (..., d) → (..., D), one or a close family a file. No map scales its input: the caller does.

A layer with a feature map is the layer called on φ(q), φ(k): linear attention is then Σ_i κ(q, k_i) v_i with the
kernel κ(x, y) = φ(x)'φ(y), which each map states. A map without parameters is a function; one with parameters is a
small frozen object that is called, such as `Favor(projection)(x)`. Where a released map is not the paper's, both
stand here under names of their own.
"""

from ttr_numerics.features.cosine import CosFormer
from ttr_numerics.features.deterministic import dpfp, dpfp_negated
from ttr_numerics.features.elementwise import elu_plus_one, relu
from ttr_numerics.features.hedgehog import Hedgehog, HedgehogSoftmax, hedgehog
from ttr_numerics.features.polynomial import ReBased, quadratic, taylor
from ttr_numerics.features.random_features import Favor, favor_plus, orthogonal_gaussian

__all__ = [
    "CosFormer",
    "Favor",
    "Hedgehog",
    "HedgehogSoftmax",
    "ReBased",
    "dpfp",
    "dpfp_negated",
    "elu_plus_one",
    "favor_plus",
    "hedgehog",
    "orthogonal_gaussian",
    "quadratic",
    "relu",
    "taylor",
]
