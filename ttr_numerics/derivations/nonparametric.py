"""Nonparametric layers derived: kernel smoothers and local fits at the query."""

from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, features, layers
from ttr_numerics.axes import WeightedCache
from ttr_numerics.derivations.compact import unit_rows
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, positive, step_from, symbolic
from ttr_numerics.exact import kernels

__all__ = [
    "bidirectional_softmax_attention",
    "exponential_attention",
    "forgetting_attention",
    "hopfield",
    "sink_attention",
    "sliding_window_attention",
    "softmax_attention",
]

_exp = np.vectorize(sympy.exp, otypes=[object])


def softmax_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} exp(q_t·k_i) ‖v_i - c‖², minimised over constants c."""
    q, k, v, _ = symbolic()
    o = layers.softmax_attention(q, k, v).o
    smoother = exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_squares(k))
    both = layers.bidirectional_softmax_attention(q, k, v).o
    h, unit = positive("h", 1)[0], unit_rows("c")
    sphere = exact.kernel_smoother_prefixes(q, unit, v, kernel=kernels.Gaussian(h))
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} exp(q_t.k_i) |v_i - c|^2, minimised over constants c",
        (
            Equation("the gradient of J vanishes at the output", "o_2 - grad J(o_2)", _stationary(q, k, v, o), o[1:]),
            Equation("it is Nadaraya-Watson with sample weights exp(|k|^2/2)", "o", o, smoother.o),
            Equation(
                "on keys of norm one, with q/h^2, it is Nadaraya-Watson of bandwidth h without sample weights",
                "o",
                layers.softmax_attention(q / h**2, unit, v).o,
                sphere.o,
            ),
            Equation("the first output is the first value", "o_1", o[:1], v[:1]),
            Equation("the last row is that of both directions", "o_2", o[1:], both[1:]),
        ),
    )


def bidirectional_softmax_attention() -> Derivation:
    """J(c) = ½ Σ_i exp(q_t·k_i) ‖v_i - c‖² over all i, minimised over constants c."""
    q, k, v, _ = symbolic()
    o = layers.bidirectional_softmax_attention(q, k, v).o
    weights = _exp(k @ q[0])
    stationary = step_from(lambda c: sum((weights[:, None] * (v - c) ** 2).flat) / 2, o[:1])
    smoother = exact.kernel_smoother(q, k, v, log_weights=_half_squares(k))
    return Derivation(
        "J_t(c) = 1/2 sum_i exp(q_t.k_i) |v_i - c|^2 over the whole sequence, minimised over constants c",
        (
            Equation("the gradient of J vanishes at the output", "o_1 - grad J(o_1)", stationary, o[:1]),
            Equation("it is Nadaraya-Watson with sample weights exp(|k|^2/2)", "o", o, smoother),
        ),
    )


def sliding_window_attention() -> Derivation:
    """J(c) = ½ Σ_{t-w<i≤t} exp(q_t·k_i) ‖v_i - c‖², minimised over constants c."""
    q, k, v, _ = symbolic(T=3, d_k=1)
    o = layers.sliding_window_attention(q, k, v, window=2).o
    smoother = exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_squares(k), window=2)
    one, three = (layers.sliding_window_attention(q, k, v, window=n).o for n in (1, 3))
    late = _stationary(q[1:], k[1:], v[1:], o[1:])
    return Derivation(
        "J_t(c) = 1/2 sum_{t-w<i<=t} exp(q_t.k_i) |v_i - c|^2, minimised over constants c; here w = 2",
        (
            Equation("the gradient of J vanishes at the output", "o_3 - grad J(o_3)", late, o[2:]),
            Equation("it is Nadaraya-Watson with a rectangular window in time", "o", o, smoother.o),
            Equation("a window of one token returns its value", "o", one, v),
            Equation("a window of T tokens is softmax attention", "o", three, layers.softmax_attention(q, k, v).o),
        ),
    )


def sink_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} exp(q_t·k_i) ‖v_i - c‖² + ½ exp(sink) ‖c‖²: a ridge on the constant."""
    q, k, v, _ = symbolic(d_k=1)
    weight = positive("w", 1)[0]
    o = layers.sink_attention(q, k, v, sink=sympy.log(weight)).o
    start = WeightedCache(matrix([[0]]), matrix([[0]]), matrix([sympy.log(weight)]))
    smoother = exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_squares(k), initial_state=start)
    ridge = _stationary(q, k, v, o, weight)
    none = np.vectorize(lambda x: x.subs(weight, 0), otypes=[object])(o)
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} exp(q_t.k_i) |v_i - c|^2 + 1/2 exp(sink) |c|^2; here exp(sink) = w",
        (
            Equation("the gradient of J vanishes at the output", "o_2 - grad J(o_2)", ridge, o[1:]),
            Equation("it is Nadaraya-Watson with one pair (0, 0) of weight exp(sink)", "o", o, smoother.o),
            Equation("exp(sink) = 0 is softmax attention", "o", none, layers.softmax_attention(q, k, v).o),
        ),
    )


def forgetting_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} γ_i^(t) exp(q_t·k_i) ‖v_i - c‖², γ_i^(t) = Π_{i<s≤t} exp(g_s)."""
    q, k, v, _ = symbolic(T=3, d_k=1)
    g, zero = negative("g", 3), matrix([0, 0, 0])
    o = layers.forgetting_attention(q, k, v, log_decay=g).o
    smoother = exact.kernel_smoother_prefixes(q, k, v, log_weights=_half_squares(k), log_decay=g)
    last = layers.forgetting_attention(q[1:], k[1:], v[1:], log_decay=g[1:]).o
    head = layers.forgetting_attention(q[:1], k[:1], v[:1], log_decay=g[:1])
    tail = layers.forgetting_attention(q[1:], k[1:], v[1:], log_decay=g[1:], initial_state=head.state)
    one = matrix([[1]] * 3)
    sums = [layers.gated_linear_attention(one, one, x, log_decay=g).o for x in (v, one)]
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} exp(g_{i+1} + ... + g_t) exp(q_t.k_i) |v_i - c|^2, minimised over constants c",
        (
            Equation(
                "the gradient of J vanishes at the output",
                "o - grad J(o)",
                _stationary(q[1:], k[1:], v[1:], last, 0, g[2]),
                last[1:],
            ),
            Equation("it is Nadaraya-Watson with weights geometric in age", "o", o, smoother.o),
            Equation("the state carries how far each key has faded", "o_2, o_3", tail.o, o[1:]),
            Equation(
                "open gates are softmax attention",
                "o",
                layers.forgetting_attention(q, k, v, log_decay=zero).o,
                layers.softmax_attention(q, k, v).o,
            ),
            Equation(
                "zero queries give the gated mean of the values",
                "o",
                layers.forgetting_attention(0 * q, k, v, log_decay=g).o,
                sums[0] / sums[1],
            ),
        ),
    )


def exponential_attention() -> Derivation:
    """J(m) = ½ Σ_{i≤t} ‖v_i - m(k_i)‖² over functions m in the space of κ(x, y) = exp(x·y): one step from zero."""
    q, k, v, _ = symbolic(d_k=1)
    o = layers.exponential_attention(q, k, v).o
    size, kernel = sympy.Symbol("e"), kernels.Exponential()
    moved = size * kernel(k, q[1:])  # m = e κ(·, q_2), the direction in which the slope is the gradient at q_2
    slope = sympy.diff(sum(((v - moved) ** 2).flat) / 2, size).subs(size, 0)
    gaussian = exact.kernel_sum_prefixes(q, k, v, log_weights=_half_squares(k)).o
    taylor = layers.linear_attention(features.taylor(size * q), features.taylor(k), v).o
    scaled = layers.exponential_attention(size * q, k, v).o
    second = sum(size**n / sympy.factorial(n) * _derivative_at_zero(scaled, size, n) for n in range(3))
    return Derivation(
        "J_t(m) = 1/2 sum_{i<=t} |v_i - m(k_i)|^2 over m in the space of exp(x.y), one gradient step of size 1 from 0",
        (
            Equation("the output is minus the gradient of J at m = 0, at the query", "o_2", o[1:], matrix([[-slope]])),
            Equation(
                "it is a Gaussian kernel sum with weights exp(|k|^2/2), times exp(|q|^2/2)",
                "o",
                o,
                _exp(_half_squares(q))[:, None] * gaussian,
            ),
            Equation("to second order in the query it is linear attention on Taylor features", "o", second, taylor),
        ),
    )


def hopfield() -> Derivation:
    """E(ξ) = ½‖ξ‖² - β⁻¹ log Σ_{i≤t} exp(β ξ·k_i), ξ ← ξ - ∇E(ξ)."""
    q, k, v, _ = symbolic()
    b = positive("b", 1)[0]
    retrieved = layers.hopfield(q, k, k, beta=b).o[1:]

    def energy(x: np.ndarray) -> sympy.Expr:
        return sum((x**2).flat) / 2 - sympy.log(sum(_exp(b * (k @ x[0])))) / b

    moved = step_from(energy, q[1:])
    once, softmax = layers.hopfield(q, k, v, beta=b).o, layers.softmax_attention(b * q, k, v).o
    q, k, v, _ = symbolic(d_k=1)
    twice = layers.hopfield(q, k, v, beta=b, steps=2).o
    shifted = exact.mean_shift_prefixes(
        q, k, v, steps=2, kernel=kernels.Gaussian(1 / sympy.sqrt(b)), log_weights=b * _half_squares(k)
    )
    return Derivation(
        "E(x) = 1/2 |x|^2 - 1/b log sum_{i<=t} exp(b x.k_i), x <- x - grad E(x)",
        (
            Equation("one update is a gradient step of size 1 on the energy", "x", retrieved, moved),
            Equation("one step is softmax attention with queries b q", "o", once, softmax),
            Equation("two steps are a mean shift and a smoother", "o", twice, shifted.o),
            Equation(
                "two steps are attention of attention",
                "o",
                twice,
                layers.softmax_attention(b * layers.softmax_attention(b * q, k, k).o, k, v).o,
            ),
        ),
    )


def _half_squares(k: np.ndarray) -> np.ndarray:
    """log exp(‖k‖²/2), the sample weights of softmax."""
    return np.sum(k * k, axis=-1) / 2


def _stationary(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, o: np.ndarray, ridge: Any = 0, log_decay: Any = 0
) -> np.ndarray:
    """o_2 - ∇J(o_2), J(c) = ½ Σ_{i≤2} ω_i ‖v_i - c‖² + ½ ridge ‖c‖², ω = exp(q_2·k_i), aged by log_decay at i = 1."""
    weights = _exp(k @ q[1]) * np.array([sympy.exp(log_decay), sympy.Integer(1)], dtype=object)

    def objective(c: np.ndarray) -> sympy.Expr:
        return (sum((weights[:, None] * (v - c) ** 2).flat) + ridge * sum((c**2).flat)) / 2

    return step_from(objective, o[1:])


def _derivative_at_zero(x: np.ndarray, symbol: sympy.Symbol, order: int) -> np.ndarray:
    return np.vectorize(lambda entry: sympy.diff(entry, symbol, order).subs(symbol, 0), otypes=[object])(x)
