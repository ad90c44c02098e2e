"""Additive memories derived: one gradient step from zero on the weighted squared loss, or a local mean."""

from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, features, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, positive, real, step_from, symbolic
from ttr_numerics.layers import chunked

__all__ = ["gated_linear_attention", "linear_attention", "normalized_linear_attention"]


def linear_attention() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} ‖v_i - k_i S‖²."""
    q, k, v, S0 = symbolic()
    layer = layers.linear_attention(q, k, v)
    step = step_from(_squared_loss(k, v, matrix([1, 1])), 0 * S0)
    exactly = exact.correlation_prefixes(q, k, v, initial_state=S0)
    begun = layers.linear_attention(q, k, v, initial_state=S0)
    based = layers.linear_attention(features.taylor(q), features.taylor(k), v)
    z = k @ q[1]
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} |v_i - k_i S|^2, one gradient step of size 1 from S = 0",
        (
            Equation("the state is 0 - grad J(0)", "S_2", layer.state, step),
            Equation("which is the cross-correlation K'V", "S_2", layer.state, k.T @ v),
            Equation("and every output is q_t K'V of its prefix, from any S_0", "o", begun.o, exactly.o),
            Equation("in chunks it is the same", "o", chunked.linear_attention(q, k, v, chunk=2).o, layer.o),
            Equation(
                "on Taylor features (Based) o_t = sum_i (1 + z_i + z_i^2/2) v_i, z_i = q_t.k_i",
                "o_2",
                based.o[1:],
                (1 + z + z**2 / 2)[None, :] @ v,
            ),
        ),
    )


def normalized_linear_attention() -> Derivation:
    """J_t(c) = ½ Σ_{i≤t} (q_t·k_i) ‖v_i - c‖², stationary in constants c."""
    q, k, v, _ = symbolic()
    o = layers.normalized_linear_attention(q, k, v).o
    stationary = step_from(lambda c: sum(((k @ q[1])[:, None] * (v - c) ** 2).flat) / 2, o[1:])
    smoother = exact.signed_smoother_prefixes(q, k, v).o
    above, below = positive("q", 2, 2), negative("k", 2, 2)
    elu = layers.normalized_linear_attention(features.elu_plus_one(above), features.elu_plus_one(below), v).o

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """φ(x)'φ(y) where all x > 0 ≥ y: Σ_j (x_j + 1) exp(y_j)."""
        return (x + 1) @ np.vectorize(sympy.exp, otypes=[object])(y).T

    performer = [features.Favor(real("w", 1, 2), shift) for shift in (0, sympy.Symbol("c", real=True))]
    shifted = [layers.normalized_linear_attention(phi(q), phi(k), v).o for phi in performer]
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} (q_t.k_i) |v_i - c|^2, made stationary over constants c",
        (
            Equation("the gradient of J vanishes at the output", "o_2 - grad J(o_2)", stationary, o[1:]),
            Equation("it is Nadaraya-Watson with the kernel q.k", "o", o, smoother),
            Equation(
                "with elu + 1 features it is Nadaraya-Watson with the kernel phi.phi",
                "o",
                elu,
                exact.signed_smoother_prefixes(above, below, v, kernel=kernel).o,
            ),
            Equation("constant values are returned unchanged", "o", _of_constant(q, k, v), v[:1] + 0 * v),
            Equation("in chunks it is the same", "o", chunked.normalized_linear_attention(q, k, v, chunk=2).o, o),
            Equation("a constant shift of random features' exponents cancels", "o", shifted[1], shifted[0]),
        ),
    )


def gated_linear_attention() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} γ_i^(t) ‖v_i - k_i S‖², γ_i^(t) = Π_{s>i} exp(g_s)."""
    q, k, v, S0 = symbolic()
    g, channels = negative("g", 2), negative("g", 2, 2)
    layer = layers.gated_linear_attention(q, k, v, log_decay=g)
    gamma = matrix([sympy.exp(g[1]), 1])
    step = step_from(_squared_loss(k, v, gamma), 0 * S0)
    begun = layers.gated_linear_attention(q, k, v, log_decay=g, initial_state=S0)
    exactly = exact.correlation_prefixes(q, k, v, log_decay=g, initial_state=S0)
    open_gate = layers.gated_linear_attention(q, k, v, log_decay=matrix([0, 0]), initial_state=S0)
    equal = layers.gated_linear_attention(q, k, v, log_decay=np.repeat(g[:, None], 2, axis=1), initial_state=S0)
    by_channel = layers.gated_linear_attention(q, k, v, log_decay=channels).state
    aged = np.concatenate([matrix([[sympy.exp(x) for x in channels[1]]]) * k[:1], k[1:]])
    old = gamma[:, None]
    in_chunks = chunked.gated_linear_attention(q, k, v, log_decay=g, initial_state=S0, chunk=2).o
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} gamma_i |v_i - k_i S|^2, gamma_i = prod_{s>i} exp(g_s), one gradient step from S = 0",
        (
            Equation("the state is 0 - grad J(0)", "S_2", layer.state, step),
            Equation("every output is q_t K'Gamma_t V, from any S_0", "o", begun.o, exactly.o),
            Equation(
                "gate 1 is linear attention", "o", open_gate.o, layers.linear_attention(q, k, v, initial_state=S0).o
            ),
            Equation("equal channel gates are a scalar gate", "o", equal.o, begun.o),
            Equation("in chunks it is the same", "o", in_chunks, begun.o),
            Equation(
                "channel gates are linear attention on aged keys: 0 - grad of 1/2 sum |v_i - aged k_i S|^2 at 0",
                "S_2",
                by_channel,
                step_from(_squared_loss(aged, v, matrix([1, 1])), 0 * S0),
            ),
            Equation(
                "least squares on keys aged by a scalar weighs errors by gamma^2 and aims at v/gamma: one gradient",
                "S - grad",
                step_from(_squared_loss(old * k, v, matrix([1, 1])), S0),
                step_from(_squared_loss(k, v / old, gamma**2), S0),
            ),
        ),
    )


def _squared_loss(k: np.ndarray, v: np.ndarray, weights: np.ndarray) -> Any:
    """½ Σ w_i ‖v_i - k_i S‖² as a function of S."""
    return lambda S: sum((weights[:, None] * (v - k @ S) ** 2).flat) / 2


def _of_constant(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The outputs where every value is the first."""
    return layers.normalized_linear_attention(q, k, v[:1] + 0 * v).o
