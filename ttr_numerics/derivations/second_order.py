"""Second-order layers derived: the normal equations of ridge regression."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.axes import Moments, Recursion
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import limit, matrix, negative, positive, step_from, symbolic
from ttr_numerics.layers import chunked

__all__ = ["gated_kalmanet", "mesa", "mesa_cg", "original_mesa"]

ONE = slice(0, 1)  # the first token, or the only channel


def mesa() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} γ_i β_i ‖v_i - k_i S‖² + ½ tr(S'ΛS), solved exactly."""
    q, k, v, _ = symbolic()
    beta, g, ridge = positive("b", 2), negative("g", 2), positive("r", 2)
    columns = [
        layers.mesa(u + 0 * k, k, v, ridge=ridge, beta=beta, log_decay=g).o[-1:] for u in matrix(np.eye(2, dtype=int))
    ]
    S, gamma = np.concatenate(columns), beta * matrix([sympy.exp(g[1]), 1])

    def objective(X: np.ndarray) -> sympy.Expr:
        return sum((gamma[:, None] * (v - k @ X) ** 2).flat) / 2 + sum((ridge[:, None] * X**2).flat) / 2

    scalar = layers.mesa(q[:, ONE], k[:, ONE], v, ridge=ridge[ONE], beta=beta, log_decay=g)
    prefixes = exact.ridge_prefixes(q[:, ONE], k[:, ONE], v, ridge=ridge[ONE], weights=beta, log_decay=g)
    big = sympy.Symbol("L", positive=True)
    wide = layers.mesa(q, k, v, ridge=matrix([big, big])).o
    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} gamma_i b_i |v_i - k_i S|^2 + 1/2 tr(S' diag(r) S), minimised",
        (
            Equation("the gradient of J vanishes at the layer's S", "S - grad J(S)", step_from(objective, S), S),
            Equation("every output is ridge regression of its prefix (d_k = 1)", "o", scalar.o, prefixes.o),
            Equation(
                "an infinite ridge is linear attention, scaled",
                "lim r o",
                limit(big * wide, big, sympy.oo),
                layers.linear_attention(q, k, v).o,
            ),
        ),
    )


def original_mesa() -> Derivation:
    """J_t(S) = ½ Σ_{i≤t} γ_i β_i ‖v_i - k_i S‖² + ½ Γ_t tr(S'ΛS): the regulariser is forgotten with the data."""
    q, k, v, S0 = symbolic()
    beta, g, ridge, p = positive("b", 2), negative("g", 2), positive("r", 1), positive("p", 3)
    P0, decay = matrix([[p[0], p[1]], [p[1], p[2]]]), sympy.exp(g[0])
    token = {"log_decay": g[ONE], "beta": beta[ONE]}
    S1, P1 = layers.original_mesa(q[ONE], k[ONE], v[ONE], **token, initial_state=Recursion(S0, P0)).state
    gradient = S0 - step_from(lambda S: beta[0] * sum(((v[ONE] - k[ONE] @ S) ** 2).flat) / 2, S0)
    line = q[:, ONE], k[:, ONE], v
    scalar = layers.original_mesa(*line, ridge=ridge, beta=beta, log_decay=g).state.S
    ungated = layers.original_mesa(*line, ridge=ridge, beta=beta).o

    def objective(S: np.ndarray) -> sympy.Expr:
        errors = beta * matrix([sympy.exp(g[1]), 1]) * np.sum((v - k[:, ONE] @ S) ** 2, axis=-1)
        return (sum(errors) + sympy.exp(g[0] + g[1]) * sum((ridge[:, None] * S**2).flat)) / 2

    return Derivation(
        "J_t(S) = 1/2 sum_{i<=t} gamma_i b_i |v_i - k_i S|^2 + 1/2 Gamma_t tr(S' diag(r) S), minimised",
        (
            Equation(
                "P_1 inverts the decayed moments g/P_0 + b k'k",
                "P_1 (g + b k'k P_0)",
                P1 @ (decay * matrix(np.eye(2, dtype=int)) + beta[0] * k[ONE].T @ k[ONE] @ P0),
                P0,
            ),
            Equation("a token is a gradient step preconditioned by that inverse", "S_1", S1, S0 - P1 @ gradient),
            Equation(
                "the gradient of J vanishes at S (d_k = 1)", "S - grad J(S)", step_from(objective, scalar), scalar
            ),
            Equation(
                "gate 1 is the layer with a fixed regulariser (d_k = 1)",
                "o",
                ungated,
                layers.mesa(*line, ridge=ridge, beta=beta).o,
            ),
        ),
    )


def mesa_cg() -> Derivation:
    """φ_t(x) = ½ x A_t x' - q_t x' with A_t = H_t + Λ, minimised over x_0 + span{r, rA_t, ...}; o_t = x_t G_t."""
    q, k, _, _ = symbolic(T=1)
    beta, ridge = positive("b", 1), positive("r", 2)
    A = beta[0] * k.T @ k + np.diag(ridge)

    def solution(steps: int, start: np.ndarray | None = None) -> np.ndarray:
        memory = Moments(0 * A, matrix(np.eye(2, dtype=int)))  # from which the layer reads x itself
        given: dict[str, Any] = {"ridge": ridge, "beta": beta, "steps": steps, "start": start}
        return layers.mesa_cg(q, k, 0 * q, **given, initial_state=memory).o

    def energy_along(x0: np.ndarray, d: np.ndarray) -> Callable[[np.ndarray], sympy.Expr]:
        return lambda c: ((x0 + c * d) @ A @ (x0 + c * d).T / 2 - q @ (x0 + c * d).T)[0, 0]

    x, y, r = solution(1), solution(1, start=q), q - q @ A
    along, further = (x / q)[:, ONE], ((y - q) / r)[:, ONE]
    three, spectrum, nothing = matrix([[1, 2, 3]]), ridge[[0, 0, 1]], matrix(np.zeros((1, 3), dtype=int))
    identity = Moments(matrix(np.zeros((3, 3), dtype=int)), matrix(np.eye(3, dtype=int)))
    twice = layers.mesa_cg(three, nothing, nothing, ridge=spectrum, steps=2, initial_state=identity).o
    long, gates = symbolic()[:3], _gates()
    big = sympy.Symbol("L", positive=True)
    wide = layers.mesa_cg(*long, ridge=matrix([big, big]), **gates, steps=1).o
    begun = layers.mesa_cg(*long, ridge=ridge, **gates, steps=0, start=long[0]).o
    once = layers.mesa_cg(*long, ridge=ridge, **gates, steps=1).o
    chunk = chunked.mesa_cg(*long, ridge=ridge, **gates, steps=1, chunk=2).o
    return Derivation(
        "phi_t(x) = 1/2 x A_t x' - q_t x' minimised over x_0 + span{r, rA_t, ...}, A_t = H_t + diag(r), o_t = x_t G_t",
        (
            Equation("0 steps from the query are gated linear attention", "o", begun, _attended(*long)),
            Equation("1 step from 0 is parallel to the query", "x", x[:, ::-1] * q, x * q[:, ::-1]),
            Equation("and minimises phi there", "c - grad phi(c q)", step_from(energy_along(0 * q, q), along), along),
            Equation(
                "1 step from the query minimises phi along the residual",
                "c - grad phi(q + c r)",
                step_from(energy_along(q, r), further),
                further,
            ),
            Equation("2 steps solve exactly where A has 2 eigenvalues", "x A", twice * spectrum, three),
            Equation(
                "an infinite ridge is linear attention, scaled",
                "lim r o",
                limit(big * wide, big, sympy.oo),
                _attended(*long),
            ),
            Equation("a chunk at once gives the same", "o", chunk, once),
        ),
    )


def gated_kalmanet() -> Derivation:
    """x_t = q_t p(H_t), 1 - (s + λ_t) p(s) = T_n(1 - 2s/‖H_t‖_F)/T_n(1 + 2a): least maximum on [0, ‖H_t‖_F]."""
    q, k, v, _ = symbolic()
    ratio, h, alpha = sympy.Symbol("a", positive=True), sympy.Symbol("h", positive=True), positive("m", 2)
    memory = Moments(np.diag(matrix([3 * h, 4 * h])), matrix(np.eye(2, dtype=int)))  # of Frobenius norm 5h
    empty = 0 * q[ONE]

    def solution(steps: int) -> np.ndarray:
        return layers.gated_kalmanet(q[ONE], empty, empty, ridge_ratio=ratio, steps=steps, initial_state=memory).o

    def minimax(n: int) -> np.ndarray:
        left = [sympy.chebyshevt(n, 1 - 2 * s) / sympy.chebyshevt(n, 1 + 2 * ratio) for s in _FIFTHS]
        return q[ONE] * matrix([(1 - x) / (5 * h * (s + ratio)) for x, s in zip(left, _FIFTHS, strict=True)])

    line, share = (q[:, ONE], k[:, ONE], v), alpha[:, None]
    mixed, plain, solved = (
        layers.gated_kalmanet(*line, **_gates(), ridge_ratio=ratio, steps=1, alpha=mix).o
        for mix in (alpha, matrix([0, 0]), None)
    )
    numbers = q, matrix([[1, 2], [3, 1]]), v
    halved: dict[str, Any] = {"log_decay": sympy.log(sympy.Rational(1, 2)) * matrix([1, 1]), "beta": matrix([1, 2])}
    fixed = {**halved, "ridge_ratio": ratio, "steps": 1}
    return Derivation(
        "x_t = q_t p(H_t), p the polynomial of least max |1 - (s + a|H_t|_F) p(s)| on [0, |H_t|_F], "
        "o_t = (q_t + m_t (x_t - q_t)) G_t",
        (
            Equation("no step after the first is T_1 (eigenvalues 3h, 4h)", "x", solution(0), minimax(1)),
            Equation("two steps after the first are T_3", "x", solution(2), minimax(3)),
            Equation("mixture 0 is gated linear attention", "o", plain, _attended(*line)),
            Equation("any mixture lies between", "o", mixed, plain + share * (solved - plain)),
            Equation(
                "an infinite ridge is linear attention, scaled",
                "lim a |H| x",
                limit(5 * h * ratio * solution(1), ratio, sympy.oo),
                q[ONE],
            ),
            Equation(
                "a chunk at once gives the same (numbers for keys and gates)",
                "o",
                chunked.gated_kalmanet(*numbers, **fixed, chunk=2).o,
                layers.gated_kalmanet(*numbers, **fixed).o,
            ),
        ),
    )


_FIFTHS = sympy.Rational(3, 5), sympy.Rational(4, 5)


def _gates() -> dict[str, Any]:
    return {"log_decay": negative("g", 2), "beta": positive("b", 2)}


def _attended(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """What gated linear attention reads with those gates and weights."""
    gates = _gates()
    return layers.gated_linear_attention(q, k, gates["beta"][:, None] * v, log_decay=gates["log_decay"]).o
