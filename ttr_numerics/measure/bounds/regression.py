"""Errors on unseen queries: v = kS + noise is fitted to n Gaussian keys and asked at a new key of the same law.

Errors are E‖q(Ŝ - S)‖² relative to E‖qS‖²; `noise` is the noise's variance in units of that signal's. Where a formula
asks for isotropic keys it holds for any covariance Σ when the keys are read through Σ^(-1/2).
"""

import numpy as np

__all__ = [
    "best_normalized_steps",
    "forgetting_misadjustment",
    "hebbian_regression_error",
    "least_norm_regression_error",
    "normalized_delta_errors",
    "normalized_delta_misadjustment",
    "ridge_regression_error",
]


def hebbian_regression_error(n: int, d: int, noise: float) -> float:
    """(d+1+dσ²)/(n+d+1+dσ²): Ŝ = c Σ k_i'v_i with the best c, isotropic keys, exactly.

    E(K'K/n)² = (1 + (d+1)/n) I for standard normal keys, so the mean (1/n) Σ k_i'v_i is off by (d+1+dσ²)/n.
    Source: derived here.
    """
    loss = d + 1 + d * noise
    return loss / (n + loss)


def least_norm_regression_error(n: int, d: int, noise: float) -> float:
    """σ²d/(n-d-1) for n > d+1, any Σ; 1 - n/d + σ²n/(d-n-1) for n < d-1, isotropic; infinite in between; exactly.

    With σ² = 0 the error is 0 from n = d on. The mean of the inverse Wishart matrix; the peak at n = d is the double
    descent. Reference: Hastie et al., arXiv 1903.08560, section 3, in the limit; Wishart: Anderson, Multivariate
    Statistical Analysis, section 7.7.

    >>> least_norm_regression_error(16, 32, 0.0), least_norm_regression_error(65, 32, 1.0)
    (0.5, 1.0)
    """
    bias = max(0.0, 1 - n / d)
    if noise == 0 or n == 0:
        return bias
    gap = abs(n - d) - 1
    return bias + noise * min(n, d) / gap if gap > 0 else float("inf")


def normalized_delta_errors(d: int, noise: float, steps: np.ndarray) -> np.ndarray:
    """m_t = m_{t-1}(1 - (2β_t-β_t²)/d) + β_t²σ²/(d-2), m_0 = 1 (n+1,): isotropic keys, steps β_t/‖k_t‖², exactly.

    For d > 2. A Gaussian key's direction does not depend on its length, whose E 1/‖k‖² = 1/(d-2). Source: derived here;
    the limit for a constant step is `normalized_delta_misadjustment`.
    """
    errors = [1.0]
    for beta in np.asarray(steps, dtype=float).tolist():
        errors.append(errors[-1] * (1 - (2 * beta - beta * beta) / d) + beta * beta * noise / (d - 2))
    return np.array(errors)


def best_normalized_steps(n: int, d: int, noise: float) -> np.ndarray:
    """β_t = m/(m + σ²d/(d-2)) (n,), m the error of `normalized_delta_errors` before step t: each minimises the next m.

    The errors tend to σ²d²/((d-2)t): a scalar gain on isotropic keys ends up within d/(d-2) of least squares.
    Source: derived here.
    """
    steps, m, floor = [], 1.0, noise * d / (d - 2)
    for _ in range(n):
        beta = m / (m + floor) if m > 0 else 1.0
        steps.append(beta)
        m *= 1 - beta / d
    return np.array(steps)


def normalized_delta_misadjustment(d: int, noise: float, beta: float) -> float:
    """σ² β/(2-β) d/(d-2): where the error of a constant step 0 < β < 2 ends, isotropic Gaussian keys, exactly.

    Reference: Haykin, Adaptive Filter Theory, chapter 6 (normalised LMS).
    """
    return noise * beta / (2 - beta) * d / (d - 2)


def forgetting_misadjustment(d: int, noise: float, decay: float) -> float:
    """σ² d (1-γ)/(1+γ): where least squares with weights γ^age ends. A *heuristic*, for d(1-γ) far below 1.

    Too low above. Reference: Haykin, Adaptive Filter Theory, chapter 10.
    """
    return noise * d * (1 - decay) / (1 + decay)


def ridge_regression_error(aspect: float, ridge: float, noise: float) -> float:
    """λ²m' + σ²g(m - λm'), g = d/n, m = m(-λ) the Stieltjes transform: ridge (K'K/n + λ)⁻¹K'V/n, isotropic, n → ∞.

    m = (-(1-g+λ) + √((1-g+λ)² + 4gλ))/(2gλ). The prior and the noise are isotropic; λ = σ²g is best, with error σ²g m.
    The limit of proportional n and d; at finite sizes off by O(1/d).
    Reference: Dobriban and Wager, arXiv 1507.03003, theorem 2.1; Hastie et al., arXiv 1903.08560, theorem 5.
    """
    g, lam = aspect, ridge
    a = 1 - g + lam
    root = (a * a + 4 * g * lam) ** 0.5
    m = (root - a) / (2 * g * lam)
    # d/dλ of g λ m² + a m - 1 = 0; m' of the resolvent is -dm/dλ.
    slope = (g * m * m + m) / (2 * g * lam * m + a)
    return lam * lam * slope + noise * g * (m - lam * slope)
