"""Delta rules derived: stochastic gradient steps on the newest association."""

from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, positive, step_from, symbolic

__all__ = ["delta_rule", "gated_delta_rule"]


def delta_rule() -> Derivation:
    """ℓ_t(S) = ½ ‖v_t - k_t S‖², S_t = S_{t-1} - β_t ∇ℓ_t(S_{t-1})."""
    q, k, v, S0 = symbolic()
    beta = positive("b", 2)
    one = layers.delta_rule(q[:1], k[:1], v[:1], beta=beta[:1], initial_state=S0).state
    layer = layers.delta_rule(q, k, v, beta=beta, initial_state=S0)
    sweep = exact.kaczmarz_prefixes(q, k, v, beta=beta, initial_state=S0)
    projected = layers.delta_rule(q, k, v, beta=1 / np.sum(k * k, axis=-1), initial_state=S0).state
    return Derivation(
        "l_t(S) = 1/2 |v_t - k_t S|^2, one gradient step of size b_t a token",
        (
            Equation("one token is a gradient step", "S_1", one, step_from(_newest(k, v), S0, beta[0])),
            Equation("the outputs are one relaxed Kaczmarz (SOR) sweep", "o", layer.o, sweep.o),
            Equation("b_t = 1/|k_t|^2 interpolates the newest pair", "k_2 S_2", k[1:] @ projected, v[1:]),
        ),
    )


def gated_delta_rule() -> Derivation:
    """ℓ_t(S) = ½ ‖v_t - k_t S‖², S_t = S̄ - β_t ∇ℓ_t(S̄) at the decayed state S̄ = exp(g_t) S_{t-1}."""
    q, k, v, S0 = symbolic()
    beta, g = positive("b", 2), negative("g", 2)
    one = layers.gated_delta_rule(q[:1], k[:1], v[:1], beta=beta[:1], log_decay=g[:1], initial_state=S0).state
    layer = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    sweep = exact.kaczmarz_prefixes(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    open_gate = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=matrix([0, 0]), initial_state=S0)
    channels = np.repeat(g[:, None], 2, axis=1)
    equal = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=channels, initial_state=S0)
    return Derivation(
        "l_t(S) = 1/2 |v_t - k_t S|^2, one gradient step of size b_t a token, taken at exp(g_t) S_{t-1}",
        (
            Equation(
                "one token is a gradient step at the decayed state",
                "S_1",
                one,
                step_from(_newest(k, v), sympy.exp(g[0]) * S0, beta[0]),
            ),
            Equation("the outputs are one Kaczmarz sweep on aged keys", "o", layer.o, sweep.o),
            Equation(
                "gate 1 is the delta rule",
                "o",
                open_gate.o,
                layers.delta_rule(q, k, v, beta=beta, initial_state=S0).o,
            ),
            Equation("equal channel gates are a scalar gate", "o", equal.o, layer.o),
        ),
    )


def _newest(k: np.ndarray, v: np.ndarray) -> Any:
    """The squared loss of the first association, as a function of S."""
    return lambda S: sum(e**2 for e in (v[:1] - k[:1] @ S).flat) / 2
