"""Attention with compact kernels derived: kernel smoothers, and what entmax is among them."""

from typing import Any

import numpy as np
import sympy

from ttr_numerics import exact, layers
from ttr_numerics.derivations.derivation import Derivation, Equation
from ttr_numerics.derivations.symbols import matrix, real, step_from
from ttr_numerics.exact import kernels

__all__ = ["compact_kernel_attention", "entmax_attention", "normalized_relu_attention", "unit_rows"]

_2, _15 = sympy.Integer(2), sympy.Rational(3, 2)


def compact_kernel_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} (1 - ‖q_t - k_i‖²/h²)_+ⁿ ‖v_i - c‖², minimised over constants c."""
    (q, k), v, h = _rational(), real("v", 3, 1), sympy.Rational(7, 5)
    o = layers.compact_kernel_attention(q, k, v, bandwidth=h, order=2).o
    kernel = kernels.SymmetricBeta(2, h)
    weights = np.array([sympy.Max(0, 1 - sum((q[2] - x) ** 2) / h**2) ** 2 for x in k], dtype=object)
    stationary = step_from(lambda c: sum((weights[:, None] * (v - c) ** 2).flat) / 2, o[2:])
    n, r = sympy.Symbol("n", positive=True), sympy.Symbol("r", positive=True)
    to_gaussian = sympy.limit((1 - r**2 / (2 * n)) ** n, n, sympy.oo)
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} (1 - |q_t - k_i|^2/h^2)_+^n |v_i - c|^2, minimised over constants c; here n = 2",
        (
            Equation("the gradient of J vanishes at the output", "o_3 - grad J(o_3)", stationary, o[2:]),
            Equation(
                "it is Nadaraya-Watson with the biweight kernel, computed by logarithms of formed differences",
                "o",
                o,
                exact.kernel_smoother_prefixes(q, k, v, kernel=kernel).o,
            ),
            Equation(
                "the key out of reach has no weight",
                "do_3/dv_1",
                matrix([[sympy.diff(o[2, 0], v[0, 0])]]),
                matrix([[0]]),
            ),
            Equation(
                "h^2 = 2n and n to infinity is the Gaussian kernel of bandwidth 1",
                "limit",
                matrix([[to_gaussian]]),
                matrix([[sympy.exp(-(r**2) / 2)]]),
            ),
        ),
    )


def normalized_relu_attention() -> Derivation:
    """J(c) = ½ Σ_{i≤t} (q_t·k_i - b)_+ⁿ ‖v_i - c‖², minimised over constants c."""
    (q, k), v, b = _rational(), real("v", 3, 1), sympy.Rational(1, 10)
    o = layers.normalized_relu_attention(q, k, v, threshold=b, order=2).o
    weights = np.array([sympy.Max(0, z - b) ** 2 for z in k @ q[2]], dtype=object)
    stationary = step_from(lambda c: sum((weights[:, None] * (v - c) ** 2).flat) / 2, o[2:])
    rectified = exact.kernel_smoother_prefixes(q, k, v, kernel=kernels.Rectified(b, 2)).o
    own = sympy.sqrt(q[2] @ q[2] + 1 - 2 * b)
    compact = exact.kernel_smoother(q[2:], k, v, kernel=kernels.SymmetricBeta(2, own))
    return Derivation(
        "J_t(c) = 1/2 sum_{i<=t} (q_t.k_i - b)_+^n |v_i - c|^2, minimised over constants c; here n = 2",
        (
            Equation("the gradient of J vanishes at the output", "o_3 - grad J(o_3)", stationary, o[2:]),
            Equation("it is Nadaraya-Watson with the kernel (x.y - b)_+^n", "o", o, rectified),
            Equation("keys of norm one make that the biweight of bandwidth h_t", "o_3", o[2:], compact),
            _inner_product_is_a_distance(),
        ),
    )


def entmax_attention() -> Derivation:
    """p = argmax_{p ∈ Δ} Σ p_i q_t·k_i + H_α(p), o = Σ p_i v_i."""
    (q, k), v = _rational(), real("v", 3, 1)
    o = {alpha: layers.entmax_attention(q, k, v, alpha=alpha).o for alpha in (_2, _15)}
    solved = {alpha: exact.tsallis_smoother_prefixes(q, k, v, alpha=alpha).o for alpha in (_2,)}
    p = {alpha: layers.entmax_attention(q, k, matrix(np.eye(3, dtype=int)), alpha=alpha).o[2] for alpha in o}
    logits = k @ q[2]
    entropy = sympy.Symbol("p", positive=True)
    slope = sympy.diff((entropy - entropy**_15) / (_15 * (_15 - 1)), entropy)
    alike = [z + slope.subs(entropy, w) for z, w in zip(logits, p[_15], strict=True) if w != 0]
    order, x, pair = sympy.Symbol("a", positive=True), real("x", 1), real("k", 2, 1)
    weights = layers.softmax_attention(np.stack([x, x]), pair, matrix(np.eye(2, dtype=int))).o[1]
    shannon = sympy.diff(-entropy * sympy.log(entropy), entropy)
    balanced = [z + shannon.subs(entropy, w) for z, w in zip(pair @ x, weights, strict=True)]
    own = sympy.sqrt(q[2] @ q[2] + 1 - 2 * _threshold(p[2], logits, 1))
    epanechnikov = exact.kernel_smoother(q[2:], k, v, kernel=kernels.SymmetricBeta(1, own))
    return Derivation(
        "p = argmax over the simplex of sum_i p_i q_t.k_i + sum_i (p_i - p_i^a)/(a(a - 1)); o = sum_i p_i v_i",
        (
            Equation("a = 2: the output is that of Newton's iteration on sum p = 1", "o", o[2], solved[2]),
            Equation("a = 3/2: weights sum to one", "sum p", matrix([[sum(p[_15])]]), matrix([[1]])),
            Equation(
                "a = 3/2: z + dH/dp is the same on the support, the stationarity condition",
                "z_i + dH/dp_i",
                matrix([alike[1:]]),
                matrix([alike[:1] * (len(alike) - 1)]),
            ),
            Equation(
                "a -> 1 makes that Shannon's entropy: softmax attention",
                "lim H_a",
                matrix([[sympy.limit((entropy - entropy**order) / (order * (order - 1)), order, 1)]]),
                matrix([[-entropy * sympy.log(entropy)]]),
            ),
            Equation(
                "whose stationarity condition the weights of softmax attention meet (two keys)",
                "z_i + dH/dp_i",
                matrix([balanced[:1]]),
                matrix([balanced[1:]]),
            ),
            Equation("a = 2, keys of norm one: Nadaraya-Watson, Epanechnikov, h_t", "o_3", o[2][2:], epanechnikov),
            _inner_product_is_a_distance(),
        ),
    )


def unit_rows(name: str) -> np.ndarray:
    """Two rows (c, √(1 - c²)) of norm one."""
    first = real(name, 2)
    return np.stack([first, np.vectorize(sympy.sqrt, otypes=[object])(1 - first**2)], axis=-1)


def _inner_product_is_a_distance() -> Equation:
    """On keys of one norm r a shifted inner product is a multiple of one minus a squared distance."""
    x, angle, r, b = real("x", 1, 2), unit_rows("c")[:1], sympy.Symbol("r", positive=True), sympy.Symbol("b")
    y = r * angle
    square = (x @ x.T)[0, 0] + r**2 - 2 * b
    distance = ((x - y) @ (x - y).T)[0, 0]
    claim = "for |k| = r, q.k - b is (1 - |q - k|^2/h^2) h^2/2 with h^2 = |q|^2 + r^2 - 2b, the same for all keys"
    return Equation(claim, "q.k - b", x @ y.T - b, matrix([[(1 - distance / square) * square / 2]]))


def _threshold(p: np.ndarray, logits: np.ndarray, order: int) -> Any:
    """τ/(α - 1) from a key in the support: p = ((α - 1) z - τ)ⁿ."""
    return next(z - order * w ** sympy.Rational(1, order) for z, w in zip(logits, p, strict=True) if w != 0)


def _rational() -> tuple[np.ndarray, np.ndarray]:
    """Queries, and keys of norm one, in rational numbers: comparisons are decided. The first key is far from q_3."""
    fifths = lambda rows: matrix(rows) / sympy.Integer(5)  # noqa: E731
    return fifths([[-4, 3], [3, 4], [5, 2]]), fifths([[-3, 4], [3, 4], [4, 3]])
