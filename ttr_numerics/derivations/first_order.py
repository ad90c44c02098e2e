"""Delta rules derived: stochastic gradient steps on the newest association."""

from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, positive, real, step_from, symbolic
from ttr_numerics.layers import chunked

__all__ = ["comba", "delta_rule", "erase_write_delta_rule", "gated_delta_rule"]


_CHUNKED = "the chunk-parallel form is the recursion"


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
            Equation(
                _CHUNKED, "o", _in_chunks(chunked.delta_rule, q, k, v, {"beta": beta, "initial_state": S0}), layer.o
            ),
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
    equal = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=np.repeat(g[:, None], 2, axis=1), initial_state=S0)
    gates = {"beta": beta, "log_decay": negative("h", 2, 2), "initial_state": S0}
    kimi = layers.gated_delta_rule(q, k, v, **gates)
    aged = np.diag([sympy.exp(x) for x in gates["log_decay"][1]])
    before = layers.gated_delta_rule(
        q[:1], k[:1], v[:1], **{n: x[:1] for n, x in gates.items() if n != "initial_state"}, initial_state=S0
    ).state
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
            Equation(
                "with a gate a channel (Kimi delta attention) a token is a gradient step at diag(exp h_t) S_{t-1}",
                "S_2",
                kimi.state,
                step_from(_newest(k[1:], v[1:]), aged @ before, beta[1]),
            ),
            Equation(
                "and the outputs are the sweep on keys aged channel by channel",
                "o",
                kimi.o,
                exact.kaczmarz_prefixes(q, k, v, **gates).o,
            ),
            Equation(_CHUNKED, "o", _in_chunks(chunked.gated_delta_rule, q, k, v, gates), kimi.o),
        ),
    )


def erase_write_delta_rule() -> Derivation:
    """S̄ = exp(g_t) S_{t-1}, S_t = S̄ + k_t'(w_t∘v_t - (b_t∘k_t) S̄)."""
    q, k, v, S0 = symbolic()
    b, w, g, beta = positive("b", 2, 2), positive("w", 2, 1), negative("g", 2), positive("c", 2)
    gates = {"erase": b, "write": w, "log_decay": g, "initial_state": S0}
    layer = layers.erase_write_delta_rule(q, k, v, **gates)
    sweep = exact.mismatched_kaczmarz_prefixes(
        q, k, w * v, erase=b * k * np.vectorize(sympy.exp, otypes=[object])(g)[:, None], log_decay=g, initial_state=S0
    )
    even = {"erase": np.repeat(beta[:, None], 2, axis=1), "write": beta[:, None]}
    gated = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    channels = negative("h", 2, 2)
    kimi = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=channels, initial_state=S0)
    return Derivation(
        "S_t = S + k_t'(w_t v_t - (b_t k_t) S) at S = exp(g_t) S_{t-1}; no gradient of a loss unless b_t is even",
        (
            Equation("the outputs are one Kaczmarz sweep with a mismatched adjoint", "o", layer.o, sweep.o),
            Equation(
                _CHUNKED,
                "o",
                _in_chunks(chunked.erase_write_delta_rule, q, k, v, gates),
                layer.o,
            ),
            Equation(
                "b_t = w_t = beta_t is the gated delta rule",
                "o",
                layers.erase_write_delta_rule(q, k, v, **gates | even).o,
                gated.o,
            ),
            Equation(
                "and with a gate per channel Kimi delta attention",
                "o",
                layers.erase_write_delta_rule(q, k, v, **gates | even | {"log_decay": channels}).o,
                kimi.o,
            ),
        ),
    )


def comba() -> Derivation:
    """S_t = exp(g_t) S_{t-1} + k_t' b_t (v_t - p_t S_{t-1}): the error of p_t on the undecayed state."""
    q, k, v, S0 = symbolic()
    p, beta, g = real("p", 2, 2), positive("b", 2), negative("g", 2)
    gates = {"p": p, "beta": beta, "log_decay": g, "initial_state": S0}
    layer = layers.comba(q, k, v, **gates)
    sweep = exact.mismatched_kaczmarz_prefixes(
        q, k, beta[:, None] * v, erase=beta[:, None] * p, log_decay=g, initial_state=S0
    )
    one = layers.comba(q[:1], k[:1], v[:1], p=k[:1], beta=beta[:1], log_decay=g[:1], initial_state=S0).state
    decayed = np.vectorize(sympy.exp, otypes=[object])(g)[:, None] * k
    gated = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    return Derivation(
        "S_t = exp(g_t) S_{t-1} + k_t' b_t (v_t - p_t S_{t-1})",
        (
            Equation(
                "at p_t = k_t a gradient step on 1/2 |v_t - k_t S|^2 with its leak after the error",
                "S_1",
                one - sympy.exp(g[0]) * S0,
                step_from(_newest(k, v), S0, beta[0]) - S0,
            ),
            Equation("the outputs are one Kaczmarz sweep with a mismatched adjoint", "o", layer.o, sweep.o),
            Equation(_CHUNKED, "o", _in_chunks(chunked.comba, q, k, v, gates), layer.o),
            Equation(
                "p_t = exp(g_t) k_t is the gated delta rule",
                "o",
                layers.comba(q, k, v, **gates | {"p": decayed}).o,
                gated.o,
            ),
            Equation(
                "with P_{t-1}k_t as the written row and p_t = k_t it is recursive least squares",
                "o",
                *_recursive_least_squares(q, k, v),
            ),
        ),
    )


def _recursive_least_squares(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Comba with gains Pk_t/(1 + k_t'Pk_t), P = (r + Σ k²)⁻¹ of the tokens before, and the exact solver (d_k = 1)."""
    q, k, r = q[:, :1], k[:, :1], sympy.Symbol("r", positive=True)
    P = [1 / (r + sum(x**2 for x in k[:t, 0])) for t in range(2)]
    gain = matrix([[P[t] * k[t, 0] / (1 + P[t] * k[t, 0] ** 2)] for t in range(2)])
    layer = layers.comba(q, gain, v, p=k, beta=matrix([1, 1]), log_decay=matrix([0, 0]))
    return layer.o, exact.recursive_least_squares(q, k, v, ridge=matrix([r])).o


def _in_chunks(form: Any, q: np.ndarray, k: np.ndarray, v: np.ndarray, gates: Any) -> np.ndarray:
    """Outputs of a chunk-parallel form in one chunk of both tokens."""
    return form(q, k, v, **gates, chunk=2).o


def _newest(k: np.ndarray, v: np.ndarray) -> Any:
    """The squared loss of the first association, as a function of S."""
    return lambda S: sum(e**2 for e in (v[:1] - k[:1] @ S).flat) / 2
