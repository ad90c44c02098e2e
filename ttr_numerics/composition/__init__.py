"""The three choices composed: any weights, function class and optimiser as a layer beside its exact partner.

    m_t ≈ argmin_{m ∈ class} ½ Σ_{i≤t} γ_i^(t)‖v_i - m(k_i)‖²;   o_t = m_t(q_t)

An engine derives the step from what each choice says by itself: the class its value and the transpose of its derivative
(`models`), the weights how every association is weighted and aged (`weighting`), the optimiser what it does with a
gradient (`online`), with sums (`accumulated`) or with the whole problem (`solved`, by `exact`). No layer is known here.
"""

from ttr_numerics.composition.composed import Regression, regression

__all__ = ["Regression", "regression"]
