"""Nonparametric layers derived: kernel smoothers and local fits at the query."""

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import step_from, symbolic

__all__ = ["bidirectional_softmax_attention", "softmax_attention"]


def softmax_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} exp(q_t·k_i) ‖v_i - c‖², minimised over constants c."""
    q, k, v, _ = symbolic()
    o = layers.softmax_attention(q, k, v).o
    weights = np.vectorize(sympy.exp, otypes=[object])(k @ q[1])
    stationary = step_from(lambda c: sum((weights[:, None] * (v - c) ** 2).flat) / 2, o[1:])
    smoother = exact.kernel_smoother_prefixes(q, k, v, log_weights=np.sum(k * k, axis=-1) / 2)
    both = layers.bidirectional_softmax_attention(q, k, v).o
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} exp(q_t.k_i) |v_i - c|^2, minimised over constants c",
        (
            Equation("the gradient of J vanishes at the output", "o_2 - grad J(o_2)", stationary, o[1:]),
            Equation("it is Nadaraya-Watson with sample weights exp(|k|^2/2)", "o", o, smoother.o),
            Equation("the first output is the first value", "o_1", o[:1], v[:1]),
            Equation("the last row is that of both directions", "o_2", o[1:], both[1:]),
        ),
    )


def bidirectional_softmax_attention() -> Derivation:
    """J(c) = ½ Σ_i exp(q_t·k_i) ‖v_i - c‖² over all i, minimised over constants c."""
    q, k, v, _ = symbolic()
    o = layers.bidirectional_softmax_attention(q, k, v).o
    weights = np.vectorize(sympy.exp, otypes=[object])(k @ q[0])
    stationary = step_from(lambda c: sum((weights[:, None] * (v - c) ** 2).flat) / 2, o[:1])
    smoother = exact.kernel_smoother(q, k, v, log_weights=np.sum(k * k, axis=-1) / 2)
    return Derivation(
        "J_t(c) = 1/2 sum_i exp(q_t.k_i) |v_i - c|^2 over the whole sequence, minimised over constants c",
        (
            Equation("the gradient of J vanishes at the output", "o_1 - grad J(o_1)", stationary, o[:1]),
            Equation("it is Nadaraya-Watson with sample weights exp(|k|^2/2)", "o", o, smoother),
        ),
    )
