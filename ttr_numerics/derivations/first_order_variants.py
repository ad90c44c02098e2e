"""Relatives of the delta rule derived: implicit, normalised, preconditioned and accelerated steps, several a token."""

import math
from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.axes import Momentum
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import limit, matrix, negative, positive, real, step_from, symbolic
from ttr_numerics.layers import chunked

__all__ = [
    "gated_delta_product",
    "generalized_delta_rule",
    "kaczmarz_delta_rule",
    "longhorn",
    "longhorn_diagonal",
    "momentum_delta_rule",
    "preconditioned_delta_rule",
]

_CHUNKED = "the chunk-parallel form is the recursion"


def gated_delta_product() -> Derivation:
    """ℓ_tj(S) = ½ ‖v_tj - k_tj S‖², one gradient step of size β_tj for each j after one decay."""
    q, k, v, S0 = symbolic(d_k=1)
    beta, g = positive("b", 2), negative("g", 2)
    both = {"beta": beta[None, :], "log_decay": g[:1], "initial_state": S0}  # the two associations at one token
    layer = layers.gated_delta_product(q[:1], k[None], v[None], **both)
    once = step_from(_loss(k[:1], v[:1]), sympy.exp(g[0]) * S0, beta[0])
    single = layers.gated_delta_product(q, k[:, None], v[:, None], beta=beta[:, None], log_decay=g, initial_state=S0)
    gated = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    return Derivation(
        "l_tj(S) = 1/2 |v_tj - k_tj S|^2, one gradient step of size b_tj for j = 1..n, from exp(g_t) S_{t-1}",
        (
            Equation("n = 2 is two gradient steps", "S_1", layer.state, step_from(_loss(k[1:], v[1:]), once, beta[1])),
            Equation(_CHUNKED, "o", chunked.gated_delta_product(q[:1], k[None], v[None], **both, chunk=1).o, layer.o),
            Equation("n = 1 is the gated delta rule", "o", single.o, gated.o),
        ),
    )


def longhorn() -> Derivation:
    """S_t = argmin ½ ‖S - S_{t-1}‖² + ½ β_t ‖v_t - k_t S‖²: a proximal step."""
    q, k, v, S0 = symbolic()
    beta = positive("b", 2)
    one = layers.longhorn(q[:1], k[:1], v[:1], beta=beta[:1], initial_state=S0).state

    def objective(S: np.ndarray) -> sympy.Expr:
        return sum(((S - S0) ** 2).flat) / 2 + beta[0] * _loss(k[:1], v[:1])(S)

    layer = layers.longhorn(q, k, v, beta=beta, initial_state=S0)
    first = (q[:, :1], k[:, :1], v)  # d_k = 1
    small = layers.longhorn(*first, beta=beta, initial_state=S0[:1])
    proximal = exact.proximal_prefixes(*first, beta=beta, initial_state=S0[:1])
    infinite = sympy.Symbol("b", positive=True)
    wide = layers.longhorn(*first, beta=matrix([infinite, infinite]), initial_state=S0[:1]).o
    kaczmarz = layers.delta_rule(*first, beta=1 / np.sum(k[:, :1] ** 2, axis=-1), initial_state=S0[:1])
    return Derivation(
        "J_t(S) = 1/2 |S - S_{t-1}|^2 + 1/2 b_t |v_t - k_t S|^2, minimised",
        (
            Equation(
                "the gradient of J vanishes at the layer's state", "S_1 - grad J(S_1)", step_from(objective, one), one
            ),
            Equation("the outputs are the proximal point method's (d_k = 1)", "o", small.o, proximal.o),
            Equation(_CHUNKED, "o", chunked.longhorn(q, k, v, beta=beta, initial_state=S0, chunk=2).o, layer.o),
            Equation("b -> oo is Kaczmarz", "lim o", limit(wide, infinite, sympy.oo), kaczmarz.o),
        ),
    )


def longhorn_diagonal() -> Derivation:
    """Every entry S_cj a regression of its own of v_tj on k_tc, one step of size ε_tj = β_tj/(1 + β_tj ‖k_t‖²)."""
    q, k, v, S0 = symbolic(d_v=2)
    beta = positive("b", 2, 2)
    layer = layers.longhorn_diagonal(q, k, v, beta=beta, initial_state=S0)
    one = layers.longhorn_diagonal(q[:1], k[:1], v[:1], beta=beta[:1], initial_state=S0).state
    size = beta[0] / (1 + beta[0] * np.sum(k[0] ** 2))

    def entries(S: np.ndarray) -> sympy.Expr:
        return sum(((v[:1] - k[0][:, None] * S) ** 2).flat) / 2

    doubled = exact.diagonal_kaczmarz_prefixes(q, k, v, beta=beta, initial_state=S0)
    first = (q[:, :1], k[:, :1])
    even = layers.longhorn_diagonal(*first, v, beta=np.repeat(beta[:, :1], 2, axis=1), initial_state=S0[:1])
    sweeps = sum(
        exact.kaczmarz_prefixes(
            q[:, c : c + 1],
            k[:, c : c + 1],
            v[:, :1],
            beta=beta[:, 0] / (1 + beta[:, 0] * np.sum(k**2, axis=-1)),
            initial_state=S0[c : c + 1, :1],
        ).o
        for c in range(2)
    )
    return Derivation(
        "l_t(S) = 1/2 sum_cj (v_tj - k_tc S_cj)^2, one gradient step of size b_tj/(1 + b_tj |k_t|^2) a value channel",
        (
            Equation("one token is a gradient step for every entry", "S_1", one, step_from(entries, S0, size)),
            Equation("a value channel is a sum of one-dimensional Kaczmarz sweeps", "o_1", layer.o[:, :1], sweeps),
            Equation("all channels are, by recursive doubling", "o", layer.o, doubled.o),
            Equation(
                "for one key channel and equal steps it is the exact implicit step",
                "o",
                even.o,
                layers.longhorn(*first, v, beta=beta[:, 0], initial_state=S0[:1]).o,
            ),
        ),
    )


def generalized_delta_rule() -> Derivation:
    """S_t = (diag(exp g_t) + b_t'a_t) S_{t-1} + k_t'v_t."""
    q, k, v, S0 = symbolic()
    a, b, g, beta = real("a", 2, 2), real("b", 2, 2), negative("g", 2, 2), positive("c", 2)
    gates = {"a": a, "b": b, "log_decay": g, "initial_state": S0}
    layer = layers.generalized_delta_rule(q, k, v, **gates)
    transition = [np.diag(_exp(g[t])) + np.outer(b[t], a[t]) for t in range(2)]
    S = transition[1] @ (transition[0] @ S0 + np.outer(k[0], v[0])) + np.outer(k[1], v[1])
    first = {"a": a[:, :1], "b": b[:, :1], "log_decay": g[:, :1], "initial_state": S0[:1]}
    small = layers.generalized_delta_rule(q[:, :1], k[:, :1], v, **first)
    superposed = exact.state_feedback_prefixes(q[:, :1], k[:, :1], v, **first)
    gated = layers.gated_delta_rule(q, k, v, beta=beta, log_decay=g, initial_state=S0)
    erased = layers.generalized_delta_rule(
        q, k, beta[:, None] * v, a=-beta[:, None] * _exp(g) * k, b=k, log_decay=g, initial_state=S0
    )
    eta = positive("n", 2, 2)
    removed = {"a": -k[:1], "b": (eta * k)[:1], "log_decay": g[:1], "initial_state": S0}
    rwkv7 = layers.generalized_delta_rule(q[:1], (eta * k)[:1], v[:1], **removed).state
    added = layers.gated_linear_attention(q, k, v, log_decay=g, initial_state=S0)
    unfed = layers.generalized_delta_rule(q, k, v, **gates | {"b": matrix(np.zeros((2, 2), dtype=int))})
    return Derivation(
        "S_t = (diag(exp g_t) + b_t'a_t) S_{t-1} + k_t'v_t",
        (
            Equation("the state is the product of the transitions", "S_2", layer.state, S),
            Equation("the outputs are a superposition (d_k = 1)", "o", small.o, superposed.o),
            Equation(_CHUNKED, "o", chunked.generalized_delta_rule(q[:, :1], k[:, :1], v, **first, chunk=2).o, small.o),
            Equation("b = 0 is gated linear attention", "o", unfed.o, added.o),
            Equation("b = k, a = -c exp(g) k, v scaled by c is the gated delta rule", "o", erased.o, gated.o),
            Equation(
                "RWKV-7 (a = -k, b = n k) writing n k is a step of size n a channel at S_0, leak after the error",
                "S_1",
                rwkv7 - np.diag(_exp(g[0])) @ S0,
                step_from(_loss(k[:1], v[:1]), S0, eta[0][:, None]) - S0,
            ),
        ),
    )


def kaczmarz_delta_rule() -> Derivation:
    """ℓ_t(S) = ½ ‖v_t - k_t S‖², one gradient step of size η_t/(‖k_t‖² + ε) from exp(g_t) S_{t-1}."""
    q, k, v, S0 = symbolic()
    step, g = positive("n", 2), negative("g", 2)
    layer = layers.kaczmarz_delta_rule(q, k, v, step=step, log_decay=g, initial_state=S0)
    one = layers.kaczmarz_delta_rule(q[:1], k[:1], v[:1], step=step[:1], log_decay=g[:1], initial_state=S0).state
    sweep = exact.kaczmarz_prefixes(q, k, v, beta=step / np.sum(k**2, axis=-1), log_decay=g, initial_state=S0)
    parallel = chunked.kaczmarz_delta_rule(q, k, v, step=step, log_decay=g, initial_state=S0, chunk=2)
    whole = layers.kaczmarz_delta_rule(q, k, v, step=matrix([1, 1]), log_decay=g, initial_state=S0)
    size = step[0] / sum(k[0] ** 2)
    return Derivation(
        "l_t(S) = 1/2 |v_t - k_t S|^2, one gradient step of size n_t/|k_t|^2, taken at exp(g_t) S_{t-1}",
        (
            Equation(
                "one token is a gradient step", "S_1", one, step_from(_loss(k[:1], v[:1]), sympy.exp(g[0]) * S0, size)
            ),
            Equation("the outputs are one relaxed Kaczmarz sweep on aged keys", "o", layer.o, sweep.o),
            Equation(_CHUNKED, "o", parallel.o, layer.o),
            Equation("n_t = 1 interpolates the newest pair", "k_2 S_2", k[1:] @ whole.state, v[1:]),
        ),
    )


def preconditioned_delta_rule() -> Derivation:
    """ℓ_t(S) = ½ ‖v_t - k_t S‖², one step of size β_t along P_t ∇ℓ_t at exp(g_t) S_{t-1}, P_t = diag m(A_t)."""
    q, k, v, S0 = symbolic()
    beta, g, eta, c = positive("b", 2), negative("g", 2), positive("n", 2), negative("c", 2)
    gates: dict[str, Any] = {"beta": beta, "log_decay": g, "curvature_beta": eta, "curvature_log_decay": c}
    constants: dict[str, Any] = {"base": math.e, "centre": 0, "eps": 0}  # rational: m(A) = exp(-r/(1 + |r|)), r = log A
    head = {name: x[:1] for name, x in gates.items()}
    at_rest = layers.preconditioned_delta_rule(q[:1], k[:1], v[:1], **head | constants).state
    A = eta[0] * k[0] ** 2
    P = _exp(-_log(A) / (1 + np.abs(_log(A))))
    rows = q[:, :1], k[:, :1]  # d_k = 1
    layer = layers.preconditioned_delta_rule(*rows, v, **gates | constants)
    sweep = exact.preconditioned_kaczmarz_prefixes(*rows, v, **gates | constants)
    parallel = chunked.preconditioned_delta_rule(*rows, v, **gates | constants, chunk=2)
    flat = layers.preconditioned_delta_rule(*rows, v, **gates | {"base": 1})
    step = step_from(_loss(k[:1], v[:1]), 0 * S0, beta[0] * P[:, None])
    return Derivation(
        "l_t(S) = 1/2 |v_t - k_t S|^2, one step of size b_t along P_t grad l_t(S), P_t = diag m(A_t), A_t = diag(K'GK)",
        (
            Equation("the curvature is the diagonal of the weighted K'K", "A_1", at_rest.A, A),
            Equation("one token is a preconditioned gradient step", "S_1", at_rest.S, step),
            Equation("the outputs are one mismatched Kaczmarz sweep (d_k = 1)", "o", layer.o, sweep.o),
            Equation(_CHUNKED, "o", parallel.o, layer.o),
            Equation(
                "base 1 is the gated delta rule",
                "o",
                flat.o,
                layers.gated_delta_rule(*rows, v, beta=beta, log_decay=g).o,
            ),
        ),
    )


def momentum_delta_rule() -> Derivation:
    """U_t = μ_t U_{t-1} - β_t ∇ℓ_t(S_{t-1}), S_t = exp(g_t) S_{t-1} + U_t, ℓ_t(S) = ½ ‖v_t - k_t S‖²."""
    q, k, v, S0 = symbolic(d_k=1)
    U0, beta, g, m = real("u", 1, 1), positive("b", 2), negative("g", 2), negative("m", 2)
    start = Momentum(S0, U0)
    gates: dict[str, Any] = {"beta": beta, "log_momentum": m, "log_decay": g}
    head = {name: x[:1] for name, x in gates.items()}
    layer = layers.momentum_delta_rule(q, k, v, **gates, initial_state=start)
    one = layers.momentum_delta_rule(q[:1], k[:1], v[:1], **head, initial_state=start).state
    sweep = exact.heavy_ball_prefixes(q, k, v, **gates, initial_state=start)
    parallel = chunked.momentum_delta_rule(q, k, v, **gates, initial_state=start, chunk=2)
    gates = {"beta": beta, "log_momentum": matrix([-sympy.oo] * 2)}
    still = layers.momentum_delta_rule(q, k, v, **gates, initial_state=start)
    plain = layers.delta_rule(q, k, v, beta=beta, initial_state=S0)
    return Derivation(
        "U_t = exp(m_t) U_{t-1} - b_t grad l_t(S_{t-1}), S_t = exp(g_t) S_{t-1} + U_t, l_t(S) = 1/2 |v_t - k_t S|^2",
        (
            Equation(
                "the velocity gains a gradient step at the undecayed state",
                "U_1",
                one.U,
                step_from(_loss(k[:1], v[:1]), S0, beta[0]) - S0 + sympy.exp(m[0]) * U0,
            ),
            Equation("the outputs are one Kaczmarz sweep with heavy-ball momentum", "o", layer.o, sweep.o),
            Equation("and so is the velocity", "U_2", layer.state.U, sweep.state.U),
            Equation(_CHUNKED, "o", parallel.o, layer.o),
            Equation(
                "momentum 0 without a leak is the delta rule",
                "o",
                still.o,
                plain.o,
            ),
        ),
    )


def _loss(k: np.ndarray, v: np.ndarray) -> Any:
    """½ ‖v - k S‖² as a function of S."""
    return lambda S: sum(e**2 for e in (v - k @ S).flat) / 2


_exp = np.vectorize(sympy.exp, otypes=[object])
_log = np.vectorize(sympy.log, otypes=[object])
