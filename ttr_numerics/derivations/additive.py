"""Additive memories derived: one gradient step from zero on the weighted squared loss."""

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, step_from, symbolic

__all__ = ["gated_linear_attention", "linear_attention"]


def linear_attention() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} ‖v_i - k_i S‖²."""
    q, k, v, S0 = symbolic()
    layer = layers.linear_attention(q, k, v)
    zero = matrix(np.zeros(S0.shape, dtype=int))
    step = step_from(lambda S: sum(e**2 for e in (v - k @ S).flat) / 2, zero)
    exactly = exact.correlation_prefixes(q, k, v, initial_state=S0)
    begun = layers.linear_attention(q, k, v, initial_state=S0)
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} |v_i - k_i S|^2, one gradient step of size 1 from S = 0",
        (
            Equation("the state is 0 - grad J(0)", "S_2", layer.state, step),
            Equation("which is the cross-correlation K'V", "S_2", layer.state, k.T @ v),
            Equation("and every output is q_t K'V of its prefix, from any S_0", "o", begun.o, exactly.o),
        ),
    )


def gated_linear_attention() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} γ_i^(t) ‖v_i - k_i S‖², γ_i^(t) = Π_{s>i} exp(g_s)."""
    q, k, v, S0 = symbolic()
    g = negative("g", 2)
    layer = layers.gated_linear_attention(q, k, v, log_decay=g)
    gamma = matrix([sympy.exp(g[1]), 1])
    zero = matrix(np.zeros(S0.shape, dtype=int))
    step = step_from(lambda S: sum((gamma[:, None] * (v - k @ S) ** 2).flat) / 2, zero)
    begun = layers.gated_linear_attention(q, k, v, log_decay=g, initial_state=S0)
    exactly = exact.correlation_prefixes(q, k, v, log_decay=g, initial_state=S0)
    open_gate = layers.gated_linear_attention(q, k, v, log_decay=matrix([0, 0]), initial_state=S0)
    equal = layers.gated_linear_attention(q, k, v, log_decay=np.repeat(g[:, None], 2, axis=1), initial_state=S0)
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} gamma_i |v_i - k_i S|^2, gamma_i = prod_{s>i} exp(g_s), one gradient step from S = 0",
        (
            Equation("the state is 0 - grad J(0)", "S_2", layer.state, step),
            Equation("every output is q_t K'Gamma_t V, from any S_0", "o", begun.o, exactly.o),
            Equation(
                "gate 1 is linear attention", "o", open_gate.o, layers.linear_attention(q, k, v, initial_state=S0).o
            ),
            Equation("equal channel gates are a scalar gate", "o", equal.o, begun.o),
        ),
    )
