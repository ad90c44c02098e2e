"""Argmax recall of a sum of outer products among the words of a codebook, most of which were never stored."""

import numpy as np
from scipy import special, stats

__all__ = ["argmax_accuracy"]


def argmax_accuracy(noise: float, rivals: int, words: int, d_k: int, d_v: int) -> float:
    """E[F(x/√(x²+ρ))^(N-1-m) · E_c[F(y/√(y²+ρ))]^m], y = x - c: how often o = v + Σ_j c_j v_j ranks v first of N words.

    `noise` associations beside the asked one were added, c_j = k_j·q; m = `rivals` of their values are in the codebook
    of N = `words`. F is the law of a coordinate of a unit vector (d_v), c that of c_j (d_k), x = o·v = 1 + z√ν with
    z normal and ν = noise/(d_k d_v), ρ = ν χ²(d_v - 1) the squared length of o across v.

    Given o the scores of words never stored are independent coordinates, which is exact. A rival j is behind iff
    (1 + c_j v_j·v) + e > (c_j + v_j·v) + e', whose first parts differ by (1 - c_j)(1 - v_j·v): that it is the nearer v,
    the more it helps v, is why independent rivals (`top1_accuracy`) recall too little. *Approximations* are that the
    noise is Gaussian and that rivals are independent given x and ρ: from d = 16 within three points of simulation or
    so, the quadrature within half a point. Source: derived here. d_k, d_v ≥ 2.

    >>> argmax_accuracy(0, 0, 100, 16, 16)
    1.0
    """
    if min(d_k, d_v) < 2:
        raise ValueError(f"d_k, d_v: expected at least 2, got {d_k}, {d_v}")
    nu = noise / (d_k * d_v)
    z, weight = _normal_nodes(49)
    level, mass = special.roots_legendre(8)
    across = nu * stats.chi2.ppf((1 + level) / 2, d_v - 1)
    x = (1 + z * nu**0.5)[:, None]
    c, share = special.roots_jacobi(16, (d_k - 3) / 2, (d_k - 3) / 2)
    rival = np.sum(share / np.sum(share) * _behind(x[..., None] - c, across[:, None], d_v), axis=-1)
    with np.errstate(divide="ignore"):  # log 0 where x is far below 0
        logs = special.xlogy(rivals, rival) + special.xlogy(words - 1 - rivals, _behind(x, across, d_v))
    return float(np.sum(weight[:, None] * mass / np.sum(mass) * np.exp(logs)))


def _behind(x: np.ndarray, across: np.ndarray, d: int) -> np.ndarray:
    """P(u·o < x) for u uniform on the sphere and o of length √(x² + across); 1 where o = x v and x > 0."""
    length = np.sqrt(x * x + across)
    t = np.divide(x, length, out=np.ones_like(length), where=length > 0)
    return 0.5 + 0.5 * np.sign(t) * special.betainc(0.5, (d - 1) / 2, np.minimum(t * t, 1))


def _normal_nodes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of E f(z), z standard normal, by the trapezoidal rule."""
    z = np.linspace(-6, 6, n)
    weight = np.exp(-z * z / 2)
    return z, weight / np.sum(weight)
