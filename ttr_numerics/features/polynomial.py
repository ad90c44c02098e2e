"""Polynomial kernels as explicit features: (x'y)², the exponential to second order, and ReBased's learned parabola."""

from dataclasses import dataclass

from ttr_numerics.arrays import Array, concat, namespace

__all__ = ["ReBased", "quadratic", "taylor"]


def quadratic(x: Array) -> Array:
    """φ(x)'φ(y) = (x'y)²: x_i² and √2 x_i x_j for i < j; D = d(d+1)/2. Features may be negative, the kernel not."""
    squares, products = _second_order(x)
    return concat([*squares, *(_root_two(x) * pair for pair in products)], -1)


def taylor(x: Array) -> Array:
    """φ(x)'φ(y) = 1 + x'y + (x'y)²/2, the exponential to second order; D = 1 + d + d(d+1)/2.

    The kernel is at least ½, but *decreasing* for x'y < -1: a key opposite to the query counts more than one half as
    opposite. Based, and FLA's TaylorFeatureMap, take q'k/√d: `taylor(x / d**0.25)` (the same features, the squares
    before the products). Reference: Arora et al. (Based), arXiv 2402.18668, section 4.1.

    >>> import numpy as np
    >>> x, y = np.array([[1.0, 2.0]]), np.array([[0.5, -1.0]])
    >>> round(float((taylor(x) @ taylor(y).T)[0, 0]), 12)   # x'y = -1.5: 1 - 1.5 + 1.125
    0.625
    """
    squares, products = _second_order(x)
    return concat([namespace(x).ones_like(x[..., :1]), x, *(s / _root_two(x) for s in squares), *products], -1)


@dataclass(frozen=True, eq=False)
class ReBased:
    """φ(x)'φ(y) = (x̂'ŷ)², x̂ = γ (x - mean x) / √(var x + ε) + β; D = d(d+1)/2.

    `gamma`, `beta` (d,) are learned, one pair for queries and one for keys; var is the mean square over the d channels.
    ε = 10⁻⁵ is the released value: it is absolute, so a row shrunk by a large factor is not the same row. FLA divides
    by d in its feature map, (x̂'ŷ)²/d: γ and β over d**0.25 give that.
    Reference: Aksenov et al., arXiv 2402.10644, section 4.
    """

    gamma: Array
    beta: Array
    epsilon: float = 1e-5

    def __call__(self, x: Array) -> Array:
        """φ of the rows of x (..., d)."""
        xp = namespace(x)
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        variance = xp.mean(centred * centred, axis=-1, keepdims=True)
        return quadratic(self.gamma * (centred / xp.sqrt(variance + self.epsilon)) + self.beta)


def _second_order(x: Array) -> tuple[list[Array], list[Array]]:
    """The columns x_i², and for each i the columns x_i x_j, j > i."""
    d = x.shape[-1]
    squares = [x[..., i : i + 1] * x[..., i : i + 1] for i in range(d)]
    return squares, [x[..., i : i + 1] * x[..., i + 1 :] for i in range(d - 1)]


def _root_two(x: Array) -> Array:
    """√2 as a number of x's own arithmetic (exact for symbols)."""
    xp = namespace(x)
    return xp.sqrt(2 * xp.ones_like(x[..., :1]))
