"""The mean squared error of local polynomial fits at finite n, by quadrature: Gaussian kernel, keys on [-1, 1]^d.

At a query q the fit of degree p is ∫ ρ f, ρ(x) = w(x) Σ_{|α| ≤ p} Π_a P_{α_a}(q_a) P_{α_a}(x_a), with P_0, P_1, ... the
orthonormal polynomials of the weight w = κ(q, ·), normalised, on each channel: the weight is a product, so products of
one-dimensional polynomials are orthonormal too. For f(x) = Σ_a g(x_a)/√d everything is a sum over one channel:

    bias         B = Σ_a b(q_a)/√d, b the bias of the one-dimensional fit of g;   mean of B² = E b² + (d - 1)(E b)²
    variance     (1/n) ∫ ρ² (σ² + r²), r = Σ_a r(x_a)/√d what the fit leaves of f around q

The mean of ∫ ρ² over queries is the sum of the coefficients of orders i, j ≤ p of M(s, t)^d, M the moments of one
channel by the orders in the two factors ρ; r² puts its own moments in place of one M or of two.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["LocalFitError", "local_fit_error"]

Function = Callable[[np.ndarray], np.ndarray]


class LocalFitError(NamedTuple):
    """Squared bias and variance of a local fit at a bandwidth, means over uniform queries."""

    squared_bias: float
    variance: float
    bandwidth: float

    @property
    def error(self) -> float:
        """Their sum: the mean squared error."""
        return self.squared_bias + self.variance


class _Channel(NamedTuple):
    """One channel: bias b (queries,), and E_q ∫ ρ_i ρ_j r^m for m = 0, 1, 2, each (p + 1, p + 1)."""

    bias: np.ndarray
    moments: tuple[np.ndarray, np.ndarray, np.ndarray]


def local_fit_error(
    degree: int, d: int, n: float, bandwidth: float, noise: float, g: Function, nodes: int = 100
) -> LocalFitError:
    """E (o(q) - f(q))² for the fit of degree p to n keys of f(x) = Σ_a g(x_a)/√d, values with noise of variance σ².

    The squared bias as n → ∞ and the variance of leading order in 1/n, h fixed. Left out are what gaps of the design
    add to the bias, of order 1/(n h^d), and 1/n²: exact where n h^d passes the number of monomials by far, too low
    where it does not. `nodes` are Gauss-Legendre nodes on [-1, 1]; h of two spacings π/nodes is resolved to rounding.
    Reference: Ruppert and Wand, Annals of Statistics 22 (1994), theorem 4.1, whose expansion in h is not made here.

    >>> local_fit_error(1, 2, 1e3, 0.3, 0.0, lambda x: 2 * x).squared_bias < 1e-25  # in the class of the fit
    True
    """
    x, share = np.polynomial.legendre.leggauss(nodes)
    share = share / 2  # of the uniform law
    channel = _of_channel(degree, bandwidth, x, share, g)
    plain, crossed, square = channel.moments
    others = [_product(degree, [plain] * many) for many in (d, d - 1, max(d - 2, 0))]
    left = _total(degree, square, others[1])
    left += (d - 1) * _total(degree, _product(degree, [crossed, crossed]), others[2])
    mean, mean_square = share @ channel.bias, share @ channel.bias**2
    squared_bias = mean_square + (d - 1) * mean**2
    return LocalFitError(float(squared_bias), float(noise * np.sum(others[0]) + left) / n, bandwidth)


def _of_channel(degree: int, bandwidth: float, x: np.ndarray, share: np.ndarray, g: Function) -> _Channel:
    z = (x - x[:, None]) / bandwidth
    w = share * np.exp(-(z**2) / 2)
    w /= np.sum(w, axis=-1, keepdims=True)
    monomials = z[..., None] ** np.arange(degree + 1)
    root = np.sqrt(w)[..., None]
    Q, R = np.linalg.qr(root * monomials)  # columns √w P_j up to sign
    at_query = np.linalg.inv(R)[..., 0, :]  # P_j at z = 0
    shares = root * Q * at_query[..., None, :]  # (queries, keys, orders), summing to the fit's own
    fitted = monomials @ np.linalg.solve(R, np.swapaxes(root * Q, -1, -2) @ g(x)[:, None])
    bias = np.sum(shares, axis=-1) @ g(x) - g(x)
    left = g(x) - fitted[..., 0]
    moments = [
        np.einsum("q,qkj,qki,qk->ji", share, shares, shares, left**power / share, optimize=True) for power in (0, 1, 2)
    ]
    return _Channel(bias, (moments[0], moments[1], moments[2]))


def _product(degree: int, factors: list[np.ndarray]) -> np.ndarray:
    """The product of polynomials in two variables, orders up to p in each; 1 where there are none."""
    found = np.zeros((degree + 1, degree + 1))
    found[0, 0] = 1.0
    for factor in factors:
        held, found = found, np.zeros_like(found)
        for i, j in np.ndindex(factor.shape):
            found[i:, j:] += factor[i, j] * held[: degree + 1 - i, : degree + 1 - j]
    return found


def _total(degree: int, one: np.ndarray, others: np.ndarray) -> float:
    return float(np.sum(_product(degree, [one, others])))
