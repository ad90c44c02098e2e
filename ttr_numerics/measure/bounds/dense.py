"""Recall of binary patterns by a sum with polynomial kernel: o_i = Σ_j (k_i·k_j)^p v_j, keys ±1/√d, values ±1.

The signs of o_i are read. Degree 1 is linear attention and a Hopfield network between patterns; degree p is a dense
associative memory whose energy has degree p + 1.
"""

import numpy as np
from scipy import special, stats

__all__ = ["dense_capacity", "dense_half", "polynomial_moment", "signs_recalled"]

QUANTILES = (np.arange(400) + 0.5) / 400  # the midpoint rule in probability


def polynomial_moment(d: int, degree: int, order: int = 2) -> float:
    """E(k·k')^{p·order} for independent keys ±1/√d, exactly, by the binomial law of the signs that agree.

    At order 2 it tends to (2p-1)!!/d^p.

    >>> round(polynomial_moment(16, 1) * 16, 12), round(polynomial_moment(16, 2) * 16**2, 12)   # 3 - 2/d
    (1.0, 2.875)
    """
    agree = np.arange(d + 1)
    return float(np.sum(stats.binom.pmf(agree, d, 0.5) * (2 * agree / d - 1) ** (degree * order)))


def signs_recalled(n: int, d: int, degree: int) -> float:
    """E_W Φ(W^-½)^d: all d signs of a stored pattern right, W = Σ_{j≠i} (k_i·k_j)^{2p} over the n-1 others.

    An *approximation*: given W each sign's noise is Gaussian, and W has the Gamma law of its own mean and variance.
    W is the same for all signs of a pattern, which is why it must not be put at its mean. A sum of n-1 signs has
    thinner tails than a Gaussian, and may be 0, which recalls nothing: on the grid of `analysis/capacity` simulation
    lies from 7 points below to 15 above at degree 1. Source: derived here.
    """
    if n < 2:
        return 1.0
    mean, fourth = polynomial_moment(d, degree), polynomial_moment(d, degree, 4)
    shape = (n - 1) * mean**2 / (fourth - mean**2)
    W = special.gammaincinv(shape, QUANTILES) * (n - 1) * mean / shape
    with np.errstate(divide="ignore"):  # W = 0: no noise
        return float(np.mean(np.exp(d * special.log_ndtr(W**-0.5))))


def dense_half(d: int, degree: int) -> float:
    """The n at which `signs_recalled` is ½, interpolated in ln n between whole numbers.

    In units of `dense_capacity` it tends to 1, slowly: Φ(t)^d = ½ has t² = 2 ln d - ln ln d up to a constant.
    """
    above = 2
    while signs_recalled(above, d, degree) >= 0.5:
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if signs_recalled(middle, d, degree) >= 0.5 else (below, middle)
    high, low = (signs_recalled(n, d, degree) for n in (below, above))
    return float(below * (above / below) ** ((high - 0.5) / (high - low)))


def dense_capacity(d: int, degree: int) -> float:
    """d^p/(2(2p-1)!! ln d): the n up to which most patterns are recalled without a wrong sign, d → ∞.

    Degree 1: d/(2 ln d), McEliece et al., IEEE IT 33 (1987). Degree p: Krotov and Hopfield, arXiv 1606.01164, for
    their energies of degree p + 1. Both are of patterns that recall themselves; that the same law holds from keys to
    values is derived here.
    """
    return float(d**degree / (2 * special.factorial2(2 * degree - 1) * np.log(d)))
