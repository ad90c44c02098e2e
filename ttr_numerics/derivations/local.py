"""Kernel ridge and local polynomial attention derived: normal equations, block elimination, a factor that grows."""

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import limit, matrix, positive, real, step_from, symbolic
from ttr_numerics.exact import kernels

__all__ = [
    "intention",
    "kernel_ridge_attention",
    "local_linear_attention",
    "local_polynomial_attention",
    "parallax",
]

_exp = np.vectorize(sympy.exp, otypes=[object])


def kernel_ridge_attention() -> Derivation:
    """J_t(α) = ½ Σ_{i≤t} ‖v_i - κ(k_i, K) α‖² + ½ λ tr(α'κ(K, K)α), solved exactly."""
    q, k, v, _ = symbolic(d_k=1)
    ridge = positive("r")
    layer = layers.kernel_ridge_attention(q, k, v, ridge=ridge)
    gram = _exp(k @ k.T)
    dual = _solved(layer.state.L.T, layer.state.Z)

    def objective(alpha: np.ndarray) -> sympy.Expr:
        return sum(((v - gram @ alpha) ** 2).flat) / 2 + ridge.item() * (alpha.T @ gram @ alpha)[0, 0] / 2

    once = sympy.Matrix(gram + ridge * np.eye(2, dtype=int)).cholesky(hermitian=False)
    whole = exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Exponential(), ridge=ridge.item())
    big = sympy.Symbol("L", positive=True)
    wide = layers.kernel_ridge_attention(q, k, v, ridge=matrix(big)).o
    linear = layers.kernel_ridge_attention(q, k, v, ridge=ridge, kernel=kernels.Linear())
    return Derivation(
        "J_t(a) = 1/2 sum_{i<=t} |v_i - K_i a|^2 + 1/2 r tr(a'Ka), K = exp(k_i.k_j), minimised",
        (
            Equation("the factor that grew by rows is the Cholesky factor", "L_2", layer.state.L, np.array(once)),
            Equation("the gradient of J vanishes at L'^-1 Z", "a - grad J(a)", step_from(objective, dual), dual),
            Equation("every output is kernel ridge regression of its prefix", "o", layer.o, whole.o),
            Equation(
                "an infinite ridge is exponential attention, scaled",
                "lim r o",
                limit(big * wide, big, sympy.oo),
                layers.exponential_attention(q, k, v).o,
            ),
            Equation(
                "the linear kernel is ridge regression", "o", linear.o, layers.mesa(q, k, v, ridge=ridge.reshape(1)).o
            ),
        ),
    )


def intention() -> Derivation:
    """J(S) = ½ Σ_i ‖v_i - k_i S‖² + ½ λ ‖S‖² over the whole sequence, solved exactly."""
    _, k, v, _ = symbolic()
    ridge = positive("r")
    S = layers.intention(matrix(np.eye(2, dtype=int)), k, v, ridge=ridge).o
    one, big = symbolic(d_k=1), sympy.Symbol("L", positive=True)
    narrow = layers.intention(one.q, one.k, one.v, ridge=ridge).o
    wide = layers.intention(one.q, one.k, one.v, ridge=matrix(big)).o

    def objective(X: np.ndarray) -> sympy.Expr:
        return sum(((v - k @ X) ** 2).flat) / 2 + ridge.item() * sum((X**2).flat) / 2

    return Derivation(
        "J(S) = 1/2 sum_i |v_i - k_i S|^2 + 1/2 r |S|^2 over the whole sequence, minimised",
        (
            Equation("the gradient of J vanishes at the layer's S", "S - grad J(S)", step_from(objective, S), S),
            Equation(
                "it is q K'(KK' + rI)^-1 V, the dual solution (d_k = 1)",
                "o",
                narrow,
                one.q @ exact.ridge_dual(one.k, one.v, ridge=ridge.item()),
            ),
            Equation(
                "an infinite ridge is linear attention in both directions, scaled",
                "lim r o",
                limit(big * wide, big, sympy.oo),
                one.q @ one.k.T @ one.v,
            ),
        ),
    )


def local_linear_attention() -> Derivation:
    """J(c, W) = ½ Σ_{i≤t} exp(q_t·k_i) ‖v_i - c - (k_i - q_t) W‖² + ½ λ ‖W‖²."""
    q, k, v, _ = symbolic(d_k=1)
    ridge = positive("r")
    o = layers.local_linear_attention(q, k, v, ridge=ridge).o
    z, w = k - q[1], _exp(k @ q[1])[:, None]

    def objective(c: np.ndarray, W: np.ndarray) -> sympy.Expr:
        return sum((w * (v - c - z @ W) ** 2).flat) / 2 + ridge.item() * sum((W**2).flat) / 2

    unknown = real("W", 1, 1)
    pull = sympy.diff(objective(o[1:], unknown), unknown[0, 0])  # linear in W
    slope = -pull.subs(unknown[0, 0], 0) / sympy.diff(pull, unknown[0, 0])
    at = np.concatenate([o[1:], matrix([[slope]])])
    moved = step_from(lambda x: objective(x[:1], x[1:]), at)
    far = sympy.Symbol("L", positive=True)
    k_mean, v_mean = (np.sum(x, axis=0, keepdims=True) / sympy.Integer(2) for x in (k, v))
    return Derivation(
        "J_t(c, W) = 1/2 sum_{i<=t} exp(q_t.k_i) |v_i - c - (k_i - q_t) W|^2 + 1/2 r |W|^2, minimised",
        (
            Equation("the gradient of J vanishes at the output and its slope", "(c, W) - grad J", moved, at),
            Equation(
                "the output is the first row of the normal equations", "o_2", o[1:], _normal(z, w, v, ridge.item())
            ),
            Equation(
                "the weights of the values sum to 1",
                "o",
                layers.local_linear_attention(q, k, 0 * v + 1, ridge=ridge).o,
                0 * v + 1,
            ),
            Equation(
                "equal weights (query 0) are global ridge regression on the centred keys",
                "o_2",
                layers.local_linear_attention(0 * q, k, v, ridge=ridge).o[1:],
                v_mean - k_mean @ exact.ridge_dual(k - k_mean, v - v_mean, ridge=ridge.item()),
            ),
            Equation(
                "an infinite ridge is softmax attention",
                "lim o",
                _far(layers.local_linear_attention(q, k, v, ridge=matrix(far)).o, far),
                layers.softmax_attention(q, k, v).o,
            ),
        ),
    )


def local_polynomial_attention() -> Derivation:
    """J(c, C) = ½ Σ_{i≤t} exp(q_t·k_i) ‖v_i - c - φ(k_i - q_t) C‖² + ½ λ ‖C‖²."""
    q, k, v, _ = symbolic(d_k=1)
    ridge = positive("r")
    near, there = matrix([[0], [sympy.log(2)]]), matrix([[1], [3]])  # weights exp(q.k) of 2 and 8
    square = layers.local_polynomial_attention(near, there, v, degree=2, ridge=ridge).o
    z, w = there - near[1], matrix([[2], [8]])
    points = matrix([[1, 0], [2, -1], [-1, 3]])
    values, zero, half = real("v", 3, 1), 0 * points, matrix(sympy.Rational(1, 2))
    flat = layers.local_polynomial_attention(zero, points, values, degree=2, ridge=half).o
    first, second = points[:, :1], points[:, 1:]
    products = np.concatenate([points, first**2, first * second, second**2], axis=1)
    return Derivation(
        "J_t(c, C) = 1/2 sum_{i<=t} exp(q_t.k_i) |v_i - c - phi(k_i - q_t) C|^2 + 1/2 r |C|^2, minimised",
        (
            Equation(
                "degree 2 solves the normal equations of 1, z, z^2 (keys 1 and 3, query log 2)",
                "o_2",
                square[1:],
                _normal(np.concatenate([z, z**2], axis=1), w, v, ridge.item()),
            ),
            Equation(
                "with equal weights it is global ridge regression, each product of channels once",
                "o_3",
                flat[2:],
                _normal(products, 0 * first + 1, values, half.item()),
            ),
            Equation(
                "degree 1 is local linear attention",
                "o",
                layers.local_polynomial_attention(q, k, v, degree=1, ridge=ridge).o,
                layers.local_linear_attention(q, k, v, ridge=ridge).o,
            ),
            Equation(
                "degree 0 is softmax attention",
                "o",
                layers.local_polynomial_attention(q, k, v, degree=0, ridge=ridge).o,
                layers.softmax_attention(q, k, v).o,
            ),
        ),
    )


def parallax() -> Derivation:
    """o_t = v̄ - Cov_p(v, k) r_t: softmax attention and its derivative along the probe."""
    q, k, v, _ = symbolic(d_k=1)
    probe, ridge, step = real("r", 2, 1), positive("l"), sympy.Symbol("e", real=True)
    o = layers.parallax(q, k, v, probe=probe).o
    moved = layers.softmax_attention(q - step * probe, k, v).o
    softmax = layers.softmax_attention(q, k, v).o
    slope = np.vectorize(lambda x: sympy.diff(x, step).subs(step, 0), otypes=[object])(moved)
    solved = np.concatenate([_solving_probe(q[t], k[: t + 1], ridge.item()) for t in range(2)])
    return Derivation(
        "o_t = vbar - Cov_p(v, k) r_t, p_i proportional to exp(q_t.k_i): one preconditioned step on the local slope",
        (
            Equation("it is softmax attention at q - e r to first order, at e = 1", "o", o, softmax + slope),
            Equation("probe 0 is softmax attention", "o", layers.parallax(q, k, v, probe=0 * probe).o, softmax),
            Equation(
                "the probe (C + l/w I)^-1 (kbar - q) gives local linear attention",
                "o",
                layers.parallax(q, k, v, probe=solved).o,
                layers.local_linear_attention(q, k, v, ridge=ridge).o,
            ),
        ),
    )


def _normal(phi: np.ndarray, w: np.ndarray, v: np.ndarray, ridge: sympy.Expr) -> np.ndarray:
    """The intercept of ½Σ w‖v - c - φC‖² + ½λ‖C‖² from its normal equations, by SymPy."""
    rows = np.concatenate([0 * w + 1, phi], axis=1)
    penalty = sympy.diag(0, *[ridge] * phi.shape[1])
    return np.array((sympy.Matrix((w * rows).T @ rows) + penalty).LUsolve(sympy.Matrix(rows.T @ (w * v))))[:1]


def _far(x: np.ndarray, symbol: sympy.Symbol) -> np.ndarray:
    """The limit of every entry, rational in `symbol` and in exponentials, as `symbol` goes to infinity."""
    near = sympy.Symbol("e", positive=True)

    def entry(y: sympy.Expr) -> sympy.Expr:
        named = {e: sympy.Dummy(positive=True) for e in y.atoms(sympy.exp)}
        rational = sympy.cancel(sympy.together(y.subs(named).subs(symbol, 1 / near)))
        return rational.subs(near, 0).subs({dummy: e for e, dummy in named.items()})

    return np.vectorize(entry, otypes=[object])(x)


def _solved(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.array(sympy.Matrix(A).LUsolve(sympy.Matrix(B)))


def _solving_probe(q: np.ndarray, k: np.ndarray, ridge: sympy.Expr) -> np.ndarray:
    """(Cov_p(k, k) + λ/ω)⁻¹ (k̄ - q) of one query in one channel, (1, 1)."""
    w = _exp(k @ q)[:, None]
    omega, mean = np.sum(w), np.sum(w * k) / np.sum(w)
    return matrix([[(mean - q[0]) / (np.sum(w * (k - mean) ** 2) / omega + ridge / omega)]])
