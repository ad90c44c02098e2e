"""Recall error by age of robust delta rules, S ← αS + k'βψ(v - kS): what the influence ψ leaves of a Gaussian error.

Keys, values and errors as in `age`, d_v = d.
"""

from collections.abc import Callable

import numpy as np

__all__ = ["entrywise_influence", "robust_age_errors", "shortening_influence"]

Influence = Callable[[float], tuple[float, float]]


def robust_age_errors(n: int, d: int, influence: Influence, beta: float, decay: float = 1.0) -> np.ndarray:
    """Error (n,) by age: `delta_rule_errors` at steps βb_t, with (b_t, P_t) = `influence`(1 + F_t/d), F = E‖S‖².

    The error's entries are taken for Gaussian, so ψ(e) = be + noise of E ψ(e)² = P in all (Bussgang), and terms of
    order 1/d² a token are left out: the limit d → ∞, where the error is read on the *undecayed* S.
    F ← α²F - 2αβbF/d + β²P, p ← (α - βb/d)p from βb, s ← (α² - 2αβb/d)s + β²P/d from
    α²F/d - 2αβbF/d + β²P. Source: derived here.
    """
    F, s, p = 0.0, np.zeros(0), np.zeros(0)
    for _ in range(n):
        b, P = influence(1 + F / d)
        drop, power = 2 * decay * beta * b / d, beta**2 * P
        s, p = (decay**2 - drop) * s + power / d, (decay - beta * b / d) * p
        s, p = np.append(s, decay**2 * F / d - drop * F + power), np.append(p, beta * b)
        F = (decay**2 - drop) * F + power
    return (1 - 2 * p + s)[::-1]


def shortening_influence(delta: float) -> Influence:
    """ψ(e) = e min(1, δ/‖e‖), ‖e‖² at its mean ρ²: b = min(1, δ/ρ), P = b²ρ².

    >>> shortening_influence(1.0)(4.0)
    (0.5, 1.0)
    """

    def found(square: float) -> tuple[float, float]:
        b = min(1.0, delta / square**0.5)
        return b, b * b * square

    return found


def entrywise_influence(psi: Callable[[np.ndarray], np.ndarray], d: int) -> Influence:
    """ψ entry by entry on N(0, ρ²/d): b = E[xψ(x)]/E x², P = d E ψ(x)², by the trapezoidal rule.

    >>> [round(x, 9) for x in entrywise_influence(lambda x: x, 8)(2.0)]
    [1.0, 2.0]
    """
    z = np.linspace(-8.5, 8.5, 2001)
    density = np.exp(-z * z / 2)
    density = density / np.sum(density)

    def found(square: float) -> tuple[float, float]:
        x = z * (square / d) ** 0.5
        y = psi(x)
        return float(np.sum(density * x * y) * d / square), float(d * np.sum(density * y * y))

    return found
