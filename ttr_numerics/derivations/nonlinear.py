"""Robust and multiplicative online learners derived: steps on their losses, and the sweeps they are."""

from collections.abc import Callable

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.descent import squares
from ttr_numerics.derivations.symbols import matrix, negative, positive, real, step_from, symbolic
from ttr_numerics.exact import losses

__all__ = ["entrywise_huber_delta_rule", "exponentiated_gradient_rule", "huber_delta_rule", "lp_delta_rule"]


def huber_delta_rule() -> Derivation:
    """ℓ(S) = ½ ‖e‖² up to ‖e‖ = δ, δ‖e‖ - δ²/2 beyond, e = v - k S."""
    return _huber(layers.huber_delta_rule, losses.Huber, lambda e: sympy.sqrt(sum(e**2)))


def entrywise_huber_delta_rule() -> Derivation:
    """ℓ(S) = Σ_j ½ e_j² up to |e_j| = δ, δ|e_j| - δ²/2 beyond, e = v - k S."""
    return _huber(layers.entrywise_huber_delta_rule, losses.EntrywiseHuber, lambda e: sum(e))


def _huber(layer: Callable, loss: type, size: Callable[[np.ndarray], sympy.Expr]) -> Derivation:
    """Steps from an error (3x, 4x), x > 0, within a threshold and beyond it; `size` takes entries above 0."""
    q, k, _, S0 = symbolic(1, 2, 2)
    x, beta = sympy.Symbol("x", positive=True), positive("b", 1)
    v = k @ S0 + matrix([[3 * x, 4 * x]])
    small, large = (layer(q, k, v, beta=beta, delta=matrix([n * x]), initial_state=S0).state for n in (5, 2))

    def linear(S: np.ndarray) -> sympy.Expr:
        return 2 * x * size((v - k @ S)[0])

    # Tokens of numbers times x: every comparison is decided, and the equation holds for every x > 0.
    keys, values = matrix([[1, 2], [2, -1], [1, 1]]), x * matrix([[3, 4], [-6, 8], [1, 5]])
    steps, narrow, wide = matrix(["1/5", "1/3", "1/2"]), x * matrix([6, 2, 3]), 100 * x * matrix([1, 1, 1])
    run = layer(keys, keys, values, beta=steps, delta=narrow).o
    sweep = exact.nonlinear_kaczmarz_prefixes(keys, keys, values, beta=steps, loss=loss(narrow[:, None])).o
    return Derivation(
        "l(S) = 1/2 |e|^2 up to |e| = d and d |e| - d^2/2 beyond, e = v - k S = (3x, 4x); one gradient step",
        (
            Equation("within d a step is the squared loss's", "S_1", small, step_from(squares(k, v), S0, beta[0])),
            Equation("beyond d it is that of d |e|", "S_1", large, step_from(linear, S0, beta[0])),
            Equation("the outputs are one nonlinear Kaczmarz sweep (three tokens)", "o", run, sweep),
            Equation(
                "with d beyond every error it is the delta rule (three tokens)",
                "o",
                layer(keys, keys, values, beta=steps, delta=wide).o,
                layers.delta_rule(keys, keys, values, beta=steps).o,
            ),
        ),
    )


def lp_delta_rule() -> Derivation:
    """ℓ(S) = Σ_j |e_j|^p/p, e = v - k S."""
    q, k, v, S0 = symbolic(1, 2, 2)
    beta, x = positive("b", 1), sympy.Symbol("x", positive=True)
    v = k @ S0 + matrix([[3 * x, -4 * x]])
    p = sympy.Symbol("p", positive=True)

    def powers(S: np.ndarray) -> sympy.Expr:
        e = (v - k @ S)[0]
        return (e[0] ** p + (-e[1]) ** p) / p

    cubic = layers.lp_delta_rule(q, k, v, beta=beta, p=3, initial_state=S0)
    square = layers.lp_delta_rule(q, k, v, beta=beta, p=2, initial_state=S0)
    keys, values, steps = matrix([[1, 2], [2, -1]]), x * matrix([[3, 4], [-6, 8]]), matrix(["1/5", "1/3"])
    run = layers.lp_delta_rule(keys, keys, values, beta=steps, p=3).o
    sweep = exact.nonlinear_kaczmarz_prefixes(keys, keys, values, beta=steps, loss=losses.Power(3)).o
    scaled = layers.lp_delta_rule(keys[:1], keys[:1], values[:1], beta=steps[:1], p=2, retention=sympy.Integer(4))
    norm = sum(a**4 for a in scaled.state.flat)
    return Derivation(
        "l(S) = sum_j |e_j|^p / p, e = v - k S = (3x, -4x), one gradient step",
        (
            Equation(
                "one token is a gradient step (p = 3)",
                "S_1",
                cubic.state,
                step_from(lambda S: powers(S).subs(p, 3), S0, beta[0]),
            ),
            Equation(
                "p = 2 is the delta rule", "o", square.o, layers.delta_rule(q, k, v, beta=beta, initial_state=S0).o
            ),
            Equation("the outputs are one nonlinear Kaczmarz sweep (two tokens, p = 3)", "o", run, sweep),
            Equation(
                "retention r = 4 reads A/|A|_4^2", "|A|_4^2 o", sympy.sqrt(norm) * scaled.o, keys[:1] @ scaled.state
            ),
        ),
    )


def exponentiated_gradient_rule() -> Derivation:
    """F(S) = ⟨∇ℓ(S_0), S⟩ + (Σ S log S - e^g Σ S log S_0)/β over columns of sum 1, ℓ(S) = ½ ‖v - k S‖²."""
    q, k, v, A0 = symbolic(1, 2, 1)
    beta, g, link = positive("b", 1), negative("g", 1), exact.Softmax()
    given = {"beta": beta, "log_decay": g}
    state = layers.exponentiated_gradient_rule(q, k, v, **given, initial_state=A0).state
    S, before = link(state), link(A0)
    slope = before - step_from(squares(k, v), before)
    X, logs, logs_before = positive("y", 2, 1), real("l", 2, 1), real("m", 2, 1)
    entropy = sum((X * (logs - sympy.exp(g[0]) * logs_before)).flat) / beta[0]
    # d(x log x) = log x + 1, and a constant is the same for all entries.
    rates = [slope[i, 0] + sympy.diff(entropy, X[i, 0]) + 1 / beta[0] for i in range(2)]
    logits = dict(zip([*logs.flat, *logs_before.flat], [*state.flat, *A0.flat], strict=True))
    balance = (rates[0] - rates[1]).subs(logits, simultaneous=True)
    layer = layers.exponentiated_gradient_rule(q, k, v, **given)
    partner = exact.mirror_descent_prefixes(q, k, v, **given, loss=losses.Squares(), link=link)
    odds = sympy.exp(state[0, 0] - state[1, 0])
    return Derivation(
        "F(S) = <grad l(S_0), S> + (sum S log S - exp(g) sum S log S_0)/b over columns of sum 1, minimised",
        (
            Equation(
                "dF/dS is the same for all entries of a column, log S being the logits",
                "dF/dS_1 - dF/dS_2",
                matrix([balance]),
                matrix([0]),
            ),
            Equation("up to a constant, as they are", "S_1", S[:1, 0], odds * S[1:, 0]),
            Equation("columns sum to 1", "sum_i S_ij", np.sum(S, axis=0), matrix([1])),
            Equation("the output from a uniform memory is that of mirror descent", "o", layer.o, partner.o),
        ),
    )
