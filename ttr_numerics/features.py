"""Feature maps φ: (..., d) → (..., D). A layer with a feature map is the layer called on φ(q), φ(k).

No map scales its input: the caller does.
"""

from ttr_numerics.arrays import Array, namespace

__all__ = ["elu_plus_one", "taylor"]


def elu_plus_one(x: Array) -> Array:
    """φ(x) = x + 1 for x > 0, exp(x) otherwise; D = d, positive.

    Reference: Katharopoulos et al., arXiv 2006.16236, equation 7.
    """
    xp = namespace(x)
    negative = xp.where(x > 0, xp.zeros_like(x), x)  # exp sees no large positive entry: no overflow, no NaN gradient
    return xp.where(x > 0, x + 1, xp.exp(negative))


def taylor(x: Array) -> Array:
    """φ(x)'φ(y) = 1 + x'y + (x'y)²/2, the exponential to second order; D = 1 + d + d(d+1)/2.

    The kernel is positive but *decreasing* for x'y < -1. Reference: Arora et al. (Based), arXiv 2402.18668.

    >>> import numpy as np
    >>> x, y = np.array([[1.0, 2.0]]), np.array([[0.5, -1.0]])
    >>> round(float((taylor(x) @ taylor(y).T)[0, 0]), 12)   # x'y = -1.5: 1 - 1.5 + 1.125
    0.625
    """
    xp = namespace(x)
    squares = [x[..., i : i + 1] * x[..., i : i + 1] / _root(x, 2) for i in range(x.shape[-1])]
    cross = [x[..., i : i + 1] * x[..., i + 1 :] for i in range(x.shape[-1] - 1)]
    return xp.concat([xp.ones_like(x[..., :1]), x, *squares, *cross], axis=-1)


def _root(x: Array, n: int) -> Array:
    """√n as a number of x's own arithmetic (an exact √2 for symbols)."""
    xp = namespace(x)
    return xp.sqrt(n * xp.ones_like(x[..., :1]))
