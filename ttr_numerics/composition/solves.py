"""Solves of (H_t + Λ) x = q_t from the moments H_t, G_t of a class linear in θ; the answer is o_t = x' G_t.

    Newton:              θ = -(∇²J)⁻¹ ∇J(0), which is G solved once: x by a Cholesky factor
    conjugate gradient:  x of least error in the norm of H + Λ over the Krylov space, by Hestenes and Stiefel
    Chebyshev:           x by the polynomial of least residual on [λ, λ + ‖H‖_F], λ = ridge_ratio ‖H‖_F

Rows x (..., 1, d). An iteration stops where its residual is rounding; symbols are never rounding.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from ttr_numerics.arrays import Array, diagonal_matrix, namespace, solve_posdef, unit_roundoff
from ttr_numerics.axes import Moments, initial_matrix, row_ridge
from ttr_numerics.choices import Chebyshev, ConjugateGradient, Newton, Optimiser, Start
from ttr_numerics.composition.weighting import Arrays

__all__ = ["MomentSum", "solve_at"]


@dataclass(frozen=True)
class MomentSum:
    """Σ_i γ_i (x_i' x_i, x_i' v_i), read by an optimiser's solve."""

    optimiser: Optimiser
    arrays: Arrays
    channels: bool = False

    def start(self, q: Array, v: Array, given: Moments | None) -> Moments:
        H, G = (None, None) if given is None else given
        return Moments(initial_matrix(H, q, q, "initial_state.H"), initial_matrix(G, q, v, "initial_state.G"))

    def of(self, x: Array, v: Array, weight: Array) -> Moments:
        columns = namespace(x).matrix_transpose(weight * x)
        return Moments(columns @ x, columns @ v)

    def scaled(self, factor: Array, total: Moments) -> Moments:
        return Moments(factor * total.H, factor * total.G)

    def plus(self, total: Moments, more: Moments) -> Moments:
        return Moments(total.H + more.H, total.G + more.G)

    def read(self, total: Moments, q: Array) -> Array:
        return solve_at(self.optimiser, total.H, q, self.arrays) @ total.G


@singledispatch
def solve_at(optimiser: Optimiser, H: Array, q: Array, arrays: Arrays) -> Array:
    """x ≈ q (H + Λ)⁻¹ (..., 1, d) by the optimiser."""
    raise TypeError(f"optimiser: expected one that solves from moments, got {optimiser}")


@solve_at.register
def _(optimiser: Newton, H: Array, q: Array, arrays: Arrays) -> Array:
    xp, regulariser = namespace(q), diagonal_matrix(row_ridge(arrays["ridge"], q))
    return xp.matrix_transpose(solve_posdef(H + regulariser, xp.matrix_transpose(q), "H + ridge"))


@solve_at.register
def _(optimiser: ConjugateGradient, H: Array, q: Array, arrays: Arrays) -> Array:
    xp, ridge = namespace(q), row_ridge(arrays["ridge"], q)[..., None, :]
    x = {Start.ZERO: xp.zeros_like(q), Start.QUERY: q}[optimiser.start]
    residual = q - x @ H - ridge * x
    direction, square = residual, _inner(residual, residual)
    for _ in range(optimiser.steps):
        live = _above_rounding(square, q)
        image = direction @ H + ridge * direction
        length = _quotient(square, _inner(direction, image), live)
        x, residual = x + length * direction, residual - length * image
        square, before = _inner(residual, residual), square
        direction = residual + _quotient(square, before, live) * direction
    return x


@solve_at.register
def _(optimiser: Chebyshev, H: Array, q: Array, arrays: Arrays) -> Array:
    xp, ratio = namespace(q), arrays["ridge_ratio"]
    norm = xp.sqrt(xp.sum(xp.sum(H * H, axis=-1, keepdims=True), axis=-2, keepdims=True))
    norm = norm if norm.dtype == object else xp.where(norm > 0, norm, xp.ones_like(norm))
    centre, radius = (ratio + 0.5) * norm, norm / 2
    step = q / centre
    x, rate = step, radius / centre
    for _ in range(optimiser.steps - 1):
        residual = q - x @ H - ratio * norm * x
        scale = 1 / (2 * centre - radius * rate)
        step = radius * scale * rate * step + 2 * scale * residual
        x, rate = x + step, radius * scale
    return x


def _inner(x: Array, y: Array) -> Array:
    return namespace(x).sum(x * y, axis=-1, keepdims=True)


def _above_rounding(square: Array, q: Array) -> Any:
    """Where a residual's square exceeds that of rounding q; None for symbols."""
    return None if q.dtype == object else square > unit_roundoff(q) ** 2 * _inner(q, q)


def _quotient(a: Array, b: Array, live: Any) -> Array:
    """a/b where `live`, else 0: after convergence both are rounding, or 0."""
    if live is None:
        return a / b
    xp = namespace(a)
    return xp.where(live, a / xp.where(live, b, xp.ones_like(b)), xp.zeros_like(a))
