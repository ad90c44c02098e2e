"""Iterative solvers after k steps on A x = b, spectrum of A in [λ, κλ], and how many steps an error takes."""

import math

__all__ = ["chebyshev_bound", "chebyshev_steps", "conjugate_gradient_bound", "conjugate_gradient_steps"]


def conjugate_gradient_bound(steps: int, kappa: float) -> float:
    """min(1, 2 ((√κ-1)/(√κ+1))^k) ≥ ‖e_k‖_A / ‖e_0‖_A, ‖e‖_A² = e'Ae. Proved, in exact arithmetic.

    Tight only for spectra that fill [λ, κλ]; with m distinct eigenvalues e_m = 0.
    Reference: Saad, Iterative Methods for Sparse Linear Systems, equation 6.128.

    >>> conjugate_gradient_bound(2, 9.0)
    0.5
    """
    root = math.sqrt(kappa)
    return min(1.0, 2 * ((root - 1) / (root + 1)) ** steps)


def chebyshev_bound(steps: int, kappa: float) -> float:
    """1/T_k((κ+1)/(κ-1)) ≥ ‖e_k‖/‖e_0‖, in ‖·‖₂ and in ‖·‖_A, T_k the Chebyshev polynomial. Proved; attained.

    e_k = p(A) e_0, p(z) = T_k((κ+1-2z/λ)/(κ-1)) / T_k((κ+1)/(κ-1)), at most 1/T_k there on [λ, κλ].
    Reference: Saad, Iterative Methods for Sparse Linear Systems, theorem 6.25.

    >>> round(chebyshev_bound(30, 51.0), 5)
    0.00042
    """
    if kappa <= 1:
        return float(steps == 0)
    grown = steps * math.acosh((kappa + 1) / (kappa - 1))
    return 2 * math.exp(-grown) / (1 + math.exp(-2 * grown))


def chebyshev_steps(error: float, kappa: float) -> int:
    """The fewest k with `chebyshev_bound(k, κ)` ≤ `error`: about (√κ/2) ln(2/error).

    >>> chebyshev_steps(4.2e-4, 51.0)
    31
    """
    if kappa <= 1:
        return 1
    return math.ceil(math.acosh(1 / error) / math.acosh((kappa + 1) / (kappa - 1)))


def conjugate_gradient_steps(error: float, kappa: float) -> int:
    """The fewest k with `conjugate_gradient_bound(k, κ)` ≤ `error` < 1: about (√κ/2) ln(2/error).

    >>> conjugate_gradient_steps(0.5, 9.0)
    2
    """
    root = math.sqrt(kappa)
    if root <= 1:
        return 1
    return max(1, math.ceil(math.log(2 / error) / math.log((root + 1) / (root - 1)) - 1e-12))
