"""Argmax and list recall of linear attention, and how many pairs a d × d memory ranks first."""

import numpy as np
from scipy import optimize, stats

__all__ = ["argmax_capacity", "argmax_load", "list_recall_probability", "top1_accuracy"]


def top1_accuracy(n: int, words: int, d_k: int, d_v: int) -> float:
    """E_z[Φ(x/s_s)^(n-1) Φ(x/s_u)^(N-n)], x = 1 + z√((n-1)/(d_k d_v)): argmax recall among N words, n of them stored.

    s_u² = 1/d_v + (n-1)/(d_k d_v) for words not stored, s_s² = s_u² + 1/d_k for the others stored. An *approximation*
    that takes the competitors for independent Gaussians: below simulation with N = n, by
    up to 14 points of accuracy at d = 16, 11 at d = 32 and 7 at d = 64.
    Source: derived here. z by the trapezoidal rule.
    """
    z, weight = _gaussian_nodes()
    noise = (n - 1) / (d_k * d_v)
    unstored = 1 / d_v + noise
    x = 1 + z * noise**0.5
    log_stored = (n - 1) * stats.norm.logcdf(x / (unstored + 1 / d_k) ** 0.5)
    log_unstored = (words - n) * stats.norm.logcdf(x / unstored**0.5)
    return float(np.sum(weight * np.exp(log_stored + log_unstored)))


def list_recall_probability(n: int, length: int, d_k: int, d_v: int) -> float:
    """E_z[P(Binomial(n-1, Φ(-x/s_s)) < ℓ)]: the right word among the best ℓ of n stored; x, s_s of `top1_accuracy`.

    The same independence approximation, of which ℓ = 1 is `top1_accuracy` with N = n. For ℓ = f n, n = ρ d² and d → ∞
    it tends to Φ(1/√ρ - Φ⁻¹(1-f)): a short list holds of the order of d² pairs, without a logarithm.
    Source: derived here.

    >>> abs(list_recall_probability(100, 1, 16, 16) - top1_accuracy(100, 100, 16, 16)) < 1e-12
    True
    """
    z, weight = _gaussian_nodes()
    noise = (n - 1) / (d_k * d_v)
    ahead = stats.norm.sf((1 + z * noise**0.5) / (1 / d_v + noise + 1 / d_k) ** 0.5)
    return float(np.sum(weight * stats.binom.cdf(length - 1, n - 1, ahead)))


def argmax_load(n: np.ndarray | int, d: int) -> np.ndarray:
    """2 n ln n / d²: the load in units of the argmax capacity (1 at the transition).

    Reference: arXiv 2605.05189, where the order n ln n is proved and the constant 2 conjectured.
    """
    return 2 * np.asarray(n) * np.log(n) / d**2


def argmax_capacity(d: int) -> float:
    """The n with n = d²/(2 ln n): about how many pairs a d × d memory holds for argmax recall.

    >>> round(argmax_capacity(64))
    350
    """
    return float(optimize.brentq(lambda n: 2 * n * np.log(n) - d**2, 1.0, d**2 + 2.0))


def _gaussian_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of E f(z), z standard normal: the trapezoidal rule, for f that may be as steep as a step."""
    z = np.linspace(-8.5, 8.5, 2001)
    weight = np.exp(-z * z / 2)
    return z, weight / np.sum(weight)
