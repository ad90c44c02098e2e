"""Recall error by age of solved memories: weighted ridge regression in high dimension, and a divided sum.

Keys, values and errors as in `age`. These are *approximations*, each with its reason.
"""

import numpy as np
from scipy import optimize

__all__ = ["divided_age_errors", "frobenius_ridge", "ridge_age_errors"]


def ridge_age_errors(weights: np.ndarray, ridge: float, d: int) -> np.ndarray:
    """1/((1 - ρg²)(1 + w_a g)²) (n,): E‖v_a - S'k_a‖², S = (Σ_b w_b k_bk_b' + λI)⁻¹ Σ_b w_b k_bv_b'; weights w (n,).

    g solves gλ + (1/d) Σ_b w_bg/(1 + w_bg) = 1 and ρ = (1/d) Σ_b w_b²/(1 + w_bg)². The limit d → ∞ at fixed n/d
    (Marchenko-Pastur), relative error O(1/d): k_a'Qk_a is replaced by its mean g where Q lacks k_a. Without ridge and
    with w_b = γ^b for ever g = exp(d(1-γ)) - 1 as γ → 1: only the effective window over d matters. For λ = 0 and at
    most d weights above 0 the answer interpolates: 0 at those, 1 at ages of weight 0. Source: derived here.

    >>> float(ridge_age_errors(np.ones(8), 0.0, 4)[0])   # plain least squares: 1 - d/n
    0.5
    """
    stored = weights > 0
    if ridge == 0 and np.count_nonzero(stored) <= d:
        return 1.0 - stored
    g = float(np.exp(optimize.brentq(_balance, -60.0, 700.0, (weights[stored], ridge, d), xtol=1e-14)))
    shrunk = 1 + weights * g
    return 1 / ((1 - np.sum((weights * g / shrunk) ** 2) / d) * shrunk**2)


def frobenius_ridge(weights: np.ndarray, ratio: float, d: int) -> float:
    """a (E‖Σ_b w_b k_bk_b'‖_F²)^½ = a (Σw² + ((Σw)² - Σw²)/d)^½, a = `ratio`: the ridge of Gated KalmaNet."""
    squares = np.sum(weights**2)
    return float(ratio * np.sqrt(squares + (np.sum(weights) ** 2 - squares) / d))


def divided_age_errors(weights: np.ndarray, d: int) -> np.ndarray:
    """E_y[(1 - w_a/N)² + σ²/N²] (n,), N = max(|w_a + y|, 1), y ~ N(0, σ²), σ² = Σ_{b≠a} w_b²/d: mLSTM, weights w (n,).

    Takes Σ_{b≠a} w_b k_a·k_b for Gaussian and the sum of its squares for its mean: relative error O(1/(number of
    tokens in the window)) + O(1/d). Exact while Σw ≤ 1, where nothing is divided. Source: derived here.
    """
    z = np.linspace(-8.5, 8.5, 2001)
    density = np.exp(-z * z / 2)
    variance = (np.sum(weights**2) - weights**2)[:, None] / d
    below = np.maximum(np.abs(weights[:, None] + np.sqrt(variance) * z), 1.0)
    return ((1 - weights[:, None] / below) ** 2 + variance / below**2) @ (density / np.sum(density))


def _balance(log_g: float, weights: np.ndarray, ridge: float, d: int) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(log_g) * ridge + np.sum(1 / (1 + np.exp(-log_g) / weights)) / d - 1)
