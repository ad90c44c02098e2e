"""Additive memories with a read order, a stabiliser or no matrix state, derived."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.axes import NormalisedMemory
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, negative, real, step_from, symbolic
from ttr_numerics.layers import chunked

__all__ = ["hgrn", "mlstm", "rg_lru", "rwkv4", "rwkv6"]


def rwkv6() -> Derivation:
    """J_t(S) = ½ Σ_{i<t} γ_i^(t-1) ‖v_i - k_i S‖² + ½ u ‖v_t - k_t S‖², one gradient step from zero."""
    q, k, v, S0 = symbolic()
    g, u, T = negative("g", 2, 2), real("u", 2), 2
    layer = layers.rwkv6(q, k, v, log_decay=g, bonus=u, initial_state=S0)
    exactly = exact.predictive_correlation_prefixes(q, k, v, log_decay=g, bonus=u, initial_state=S0)
    parallel = chunked.rwkv6(q, k, v, log_decay=g, bonus=u, initial_state=S0, chunk=T)
    same = sympy.Symbol("u", real=True)
    scalar = layers.rwkv6(q, k, v, log_decay=g, bonus=matrix([same, same]))
    step = step_from(lambda S: _half_square(matrix([1, same]), v, k @ S), matrix(np.zeros(S0.shape, dtype=int)))
    open_gate = layers.rwkv6(q, k, v, log_decay=matrix([0, 0]), bonus=matrix([1, 1]), initial_state=S0)
    return Derivation(
        "J_t(S) = 1/2 sum_{i<t} gamma_i |v_i - k_i S|^2 + 1/2 u |v_t - k_t S|^2, one gradient step from S = 0",
        (
            Equation("a scalar bonus is the weight of the newest pair in J", "o_2", scalar.o[1:], q[1:] @ step),
            Equation("every output is the strict correlation and the bonus, from any S_0", "o", layer.o, exactly.o),
            Equation("the chunk form reads S_{t-1} by the query of the next token", "o", parallel.o, layer.o),
            Equation(
                "gate 1 and bonus 1 are linear attention",
                "o",
                open_gate.o,
                layers.linear_attention(q, k, v, initial_state=S0).o,
            ),
            Equation(
                "the state is that of gated linear attention",
                "S_2",
                layer.state,
                layers.gated_linear_attention(q, k, v, log_decay=g, initial_state=S0).state,
            ),
        ),
    )


def mlstm() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} w_i ‖v_i - k_i S‖², w_i = exp(i_i + Σ_{s>i} f_s): one gradient step, over that for 1."""
    q, k, v, _ = symbolic(d_k=1)
    inputs, forget = real("i", 2), negative("f", 2)
    C, n, unit = real("C", 1, 1), real("n", 1), sympy.Symbol("m", real=True)
    start, moved = (NormalisedMemory(x * C, x * n, matrix(m)) for x, m in ((1, 0), (sympy.exp(-unit), unit)))
    layer = layers.mlstm(q, k, v, log_input=inputs, log_forget=forget)
    begun, again = (layers.mlstm(q, k, v, log_input=inputs, log_forget=forget, initial_state=x) for x in (start, moved))
    exactly = exact.correlation_ratio_prefixes(q, k, v, log_weights=inputs, log_decay=forget, initial_state=start)
    parallel = chunked.mlstm(q, k, v, log_input=inputs, log_forget=forget, initial_state=start, chunk=2)
    w = matrix([sympy.exp(inputs[0] + forget[1]), sympy.exp(inputs[1])])
    zero = matrix(np.zeros((1, 1), dtype=int))
    step = step_from(lambda S: _half_square(w, v, k @ S), zero)
    ones = step_from(lambda S: _half_square(w, 0 * v + 1, k @ S), zero)
    ratio = (q[1:] @ step) / sympy.Max(sympy.Abs(sympy.expand((q[1:] @ ones)[0, 0])), 1)
    plain = layers.mlstm(q, k, v, log_input=matrix([0, 0]), log_forget=matrix([0, 0]))
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} w_i |v_i - k_i S|^2, w_i = exp(i_i + sum_{s>i} f_s), one gradient step from S = 0, "
        "divided by the same step for the value 1 where that exceeds 1",
        (
            Equation("e^m C is 0 - grad J(0)", "C_2", layer.state.C, step),
            Equation("e^m n is the same for the value 1", "n_2", layer.state.n, ones[:, 0]),
            Equation("the output is their ratio, no denominator below 1", "h_2", _expanded(layer.o[1:]), ratio),
            Equation("the pairwise ratio is the layer, from any memory", "h", *_both(begun.o, exactly.o)),
            Equation("another unit e^m of the same memory changes nothing", "h", *_both(begun.o, again.o)),
            Equation("the chunk form carries [C | n]", "h", *_both(begun.o, parallel.o)),
            Equation(
                "log gates 0 are linear attention over its normaliser",
                "h_1",
                _expanded(plain.o[:1]),
                layers.linear_attention(q, k, v).o[:1] / sympy.Max(sympy.Abs(q[0, 0] * k[0, 0]), 1),
            ),
        ),
    )


def rwkv4() -> Derivation:
    """J(c) = ½ Σ_{i≤t} w_i (v_i - c)², log w_i = k_i + Σ_{i<s<t} g_s and k_t + u: minimised over constants c."""
    q, k, v, _ = symbolic(T=3, d_k=1)
    g, u = negative("g", 3), real("u", 1)
    layer = layers.rwkv4(q, k, v, log_decay=g, bonus=u)
    mean = exact.exponential_mean_prefixes(v, log_weights=k, log_decay=g, log_newest=u)
    parallel = chunked.rwkv4(q, k, v, log_decay=g, bonus=u, chunk=2)
    w = matrix([sympy.exp(x) for x in (k[0, 0] + g[1], k[1, 0], k[2, 0] + u[0])])
    c = layer.o[2:] / q[2:]
    rate = sympy.Symbol("g", negative=True)
    constant = matrix([rate, rate, rate])
    tied = layers.rwkv4(q, k, v, log_decay=constant, bonus=matrix([-rate])).o / q
    logits = k - rate * matrix([[0], [1], [2]])
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} w_i (v_i - c)^2, log w_i = k_i + sum_{i<s<t} g_s, log w_t = k_t + u, minimised",
        (
            Equation(
                "the gradient of J vanishes at the output", "c_3", step_from(lambda x: _half_square(w, v, x), c), c
            ),
            Equation("it is the weighted mean in time, gated by q", "o", layer.o, q * mean.o),
            Equation("the chunk form reads before the write and joins the newest", "o", parallel.o, layer.o),
            Equation(
                "at the bonus -g it is softmax attention with logits k_i - g i",
                "o/q",
                tied,
                layers.softmax_attention(0 * q + 1, logits, v).o,
            ),
            Equation("the first output is the first value", "o_1", layer.o[:1], q[:1] * v[:1]),
        ),
    )


def hgrn() -> Derivation:
    """J(h) = ½ Σ_{i≤t} (1 - f_i) Π_{s>i} f_s (x_i - h)² + ½ Π_s f_s (h_0 - h)², x = k ∘ v, minimised over h."""
    q, k, v, S0 = symbolic(d_k=1)
    g, h0 = negative("g", 2), S0[0]
    f = np.vectorize(sympy.exp, otypes=[object])(g)
    layer = layers.hgrn(q, k, v, log_decay=g, initial_state=h0)
    smoothed = exact.exponential_smoother_prefixes(k * v, weights=1 - f, log_decay=g, initial_state=h0)
    parallel = chunked.hgrn(q, k, v, log_decay=g, initial_state=h0, chunk=2)
    w, rows = matrix([f[0] * f[1], (1 - f[0]) * f[1], 1 - f[1]]), np.concatenate([h0[None], k * v])
    h = layer.state[None]
    one = layers.hgrn(q, k, 1 / k, log_decay=g, initial_state=matrix([1]))
    return Derivation(
        "J_t(h) = 1/2 sum_{i<=t} (1 - f_i) prod_{s>i} f_s (k_i v_i - h)^2 + 1/2 prod_s f_s (h_0 - h)^2, minimised",
        (
            Equation("the gradient of J vanishes at h", "h_2", step_from(lambda x: _half_square(w, rows, x), h), h),
            Equation("and no division is needed: all weights sum to 1", "h_2", one.state, matrix([1])),
            Equation("it is exponential smoothing of k v, gated by q", "o", layer.o, q * smoothed.o),
            Equation("the chunk form treats a channel as a head", "o", parallel.o, layer.o),
        ),
    )


def rg_lru() -> Derivation:
    """h_t = Σ_{i≤t} √(1 - a_i²) Π_{s>i} a_s x_i: the weights' squares sum to 1 - Π a², so unit variance is kept."""
    q, k, v, S0 = symbolic(d_k=1)
    g, h0 = negative("g", 2), S0[0]
    layer = layers.rg_lru(q, k, v, log_decay=g, initial_state=h0)
    weights = np.vectorize(lambda x: sympy.sqrt(1 - sympy.exp(2 * x)), otypes=[object])(g)
    smoothed = exact.exponential_smoother_prefixes(k * v, weights=weights, log_decay=g, initial_state=h0)
    parallel = chunked.rg_lru(q, k, v, log_decay=g, initial_state=h0, chunk=2)
    responses = [_response(layers.rg_lru, i, g) for i in range(2)]
    twice = [_response(layers.hgrn, i, 2 * g) for i in range(2)]
    zero = matrix(np.zeros((1, 1), dtype=int))
    aged = matrix([weights[0] * sympy.exp(g[1]), weights[1]])
    step = step_from(lambda h: _half_square(aged, k * v, h), zero)
    return Derivation(
        "J_t(h) = 1/2 sum_{i<=t} w_i (k_i v_i - h)^2, w_i = sqrt(1 - a_i^2) prod_{s>i} a_s, one gradient step from 0",
        (
            Equation("the state is 0 - grad J(0)", "h_2", layers.rg_lru(q, k, v, log_decay=g).state[None], step),
            Equation(
                "the squared weights sum to 1 - prod a^2",
                "sum w^2",
                responses[0] ** 2 + responses[1] ** 2,
                matrix([1 - sympy.exp(2 * g[0] + 2 * g[1])]),
            ),
            Equation(
                "and are the weights of HGRN at twice the log decay", "w^2", matrix(responses) ** 2, matrix(twice)
            ),
            Equation("it is an exponential smoother of k v, gated by q", "o", layer.o, q * smoothed.o),
            Equation("the chunk form treats a channel as a head", "o", parallel.o, layer.o),
        ),
    )


def _half_square(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> sympy.Expr:
    """½ Σ_i w_i |x_i - y_i|²."""
    return sum((w[:, None] * (x - y) ** 2).flat) / 2


def _response(layer: Callable[..., Any], i: int, g: np.ndarray) -> np.ndarray:
    """The last state after a unit impulse at token i: the weight of that token."""
    one = matrix(np.ones((2, 1), dtype=int))
    return layer(one, one, matrix([[int(i == 0)], [int(i == 1)]]), log_decay=g).state


def _expanded(x: np.ndarray) -> np.ndarray:
    """Entries with everything expanded, arguments of Max and Abs too, so that equal ones look alike."""
    return np.vectorize(lambda e: sympy.sympify(e).expand(deep=True), otypes=[object])(x)


def _both(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _expanded(x), _expanded(y)
