"""A layer is three choices: m_t ≈ argmin_{m ∈ class} ½ Σ_{i≤t} γ_i^(t)‖v_i - m(k_i)‖², by an optimiser."""

from dataclasses import dataclass

from ttr_numerics.choices.function_classes import FunctionClass
from ttr_numerics.choices.optimisers import Optimiser
from ttr_numerics.choices.weights import Weights

__all__ = ["Choices"]


@dataclass(frozen=True)
class Choices:
    """Which associations count, which functions may map keys to values, how the fit is carried out."""

    weights: Weights
    function_class: FunctionClass
    optimiser: Optimiser
