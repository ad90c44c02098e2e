"""Steady-state error of the gated delta rule and of the Kalman filter on maps that drift as a random walk.

    w_t = √(1-q) w_{t-1} + √(q/d) ξ_t,   y_t = x_t'w_t + √noise ε_t,   x_t, ξ_t ~ N(0, I_d):   E‖w_t‖² = 1.

The excess is E(x_t'(w_t - ŵ_t))² for ŵ_t, the guess from all before y_t; x_t'w_t itself has variance 1.
Steps are relative: β/‖x_t‖², the delta rule on unit keys. Dimensions enter large limits by the product qd.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize

__all__ = [
    "BestStep",
    "best_gate",
    "best_gated_delta_rule",
    "best_gated_delta_rule_limit",
    "coloured_gated_delta_rule_error",
    "gated_delta_rule_drift_error",
    "kalman_drift_limit",
    "metric_penalty",
    "noiseless_drift_constant",
]


class BestStep(NamedTuple):
    """The gate and the relative step of least steady-state excess, and that excess."""

    decay: float
    beta: float
    excess: float


def gated_delta_rule_drift_error(d: int, q: float, decay: float, beta: float, noise: float = 0.0) -> float:
    """[(α-a)² + 2α(α-a)(1-β/d)c + α²β² noise/(d-2) + q] / [1 - α²(1-(2β-β²)/d)], c = (a(α-a)-q)/(1-aα(1-β/d)).

    α the gate, a = √(1-q): exact for Gaussian x, d > 2. With e the error of αS before a write, writing leaves
    E‖e‖²(1-(2β-β²)/d) + β² noise E‖x‖⁻² of it and (1-β/d) of E w'e = -c, and drift adds (a-α)w + ξ; the fixed point is
    the formula. Without noise and at α = a, β = 1 it is qd/(1+q(d-1)). Infinite where it is unstable.
    Source: derived here; an unpublished study found it within 0.5 % in 42 settings.

    >>> round(gated_delta_rule_drift_error(32, 0.02, 0.98**0.5, 1.0), 6)  # 0.64/1.62
    0.395062
    """
    a, kept = (1 - q) ** 0.5, 1 - (2 * beta - beta**2) / d
    shrink = 1 - decay**2 * kept
    if shrink <= 0:
        return float("inf")
    c = (a * (decay - a) - q) / (1 - a * decay * (1 - beta / d))
    grown = (decay - a) ** 2 + 2 * decay * (decay - a) * (1 - beta / d) * c + q
    return (grown + decay**2 * beta**2 * noise / (d - 2)) / shrink


def best_gate(d: int, q: float, beta: float, noise: float = 0.0) -> float:
    """The gate in [0, 1] of least `gated_delta_rule_drift_error` at a given step (Brent's bounded search, 1e-9).

    With a full step on noisy values it is below √(1-q):

    >>> round(best_gate(32, 0.02, 1.0, 1.0), 3)
    0.951
    """

    def excess(decay: float) -> float:
        return gated_delta_rule_drift_error(d, q, decay, beta, noise)

    return float(optimize.minimize_scalar(excess, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}).x)


def best_gated_delta_rule(d: int, q: float, noise: float = 0.0) -> BestStep:
    """Gate and step of least `gated_delta_rule_drift_error`: α = √(1-q), β = m/(m+s), s = noise d/(d-2), with

        m²(q + (1-q)/d) + m q(s-1) - q s = 0.

    At a given m the error is least at that β; the state is then uncorrelated with its error, so that no gate other
    than the drift's own helps, and β in the fixed point gives the quadratic. Source: derived here.

    >>> best_gated_delta_rule(32, 0.02).excess == 0.64 / 1.62
    True
    >>> [round(x, 3) for x in best_gated_delta_rule(32, 0.02, 1.0)]
    [0.99, 0.374, 0.636]
    """
    s = noise * d / (d - 2)
    m = _positive_root(q + (1 - q) / d, q * (s - 1), -q * s)
    return BestStep((1 - q) ** 0.5, m / (m + s), m)


def best_gated_delta_rule_limit(qd: float, noise: float = 0.0) -> float:
    """m with m²(1+κ) + mκ(noise-1) - κ noise = 0, κ = qd: `best_gated_delta_rule` for d → ∞. Source: derived here.

    >>> best_gated_delta_rule_limit(1.0)
    0.5
    """
    return _positive_root(1 + qd, qd * (noise - 1), -qd * noise)


def kalman_drift_limit(qd: float, noise: float = 0.0) -> float:
    """exp(κ/z - 1 + κ noise (1+z)/z²) z²/(κ(1+z)) - noise, κ = qd, κ/z + κ noise (2+z)/z² = (2+z)/(1+z), z > 0.

    The Kalman filter's excess for d → ∞ at fixed κ. Let μ be the spectrum of R = d·P and f(z) = ∫ λz/(λ+z) dμ, which
    rises to the excess f(∞) = tr P. In d tokens drift moves every λ by κ(1-λ), and each token deflates R by
    Rxx'R/(x'Rx + d noise), which raises tr(R+z)⁻¹ by a ratio of two forms in x. For large d these are their
    means, so that f stands still where, with g = κ(1+z)(noise + f)/z²,

        (1-g) g'/g = κ/z² + κ noise (2+z)/z³ - (2+z)/(z(1+z)).

    The variables separate; f is smooth only through the point where g = 1 and the right side is 0, which fixes the
    constant, and z → ∞ gives the formula. Source: derived here, not proved. As 0 ≤ R ≤ I, the forms over d differ from
    their means by O(d^-1/2), whatever the spectrum. Assumed are that the spectrum has a stationary limit, that the
    limits of many tokens and of large d may be exchanged, and that f is smooth. No rate is proved: in simulation the
    excess is higher by a term like 1/d, without noise by 3 % at d = 32 and 0.8 % at d = 128.

    >>> round(best_gated_delta_rule_limit(1.0) / kalman_drift_limit(1.0), 4)
    1.1416
    """

    def balance(z: float) -> float:
        return qd / z + qd * noise * (2 + z) / z**2 - (2 + z) / (1 + z)

    # Below κ/2 the first term alone exceeds 2; above κ + 2√(κ noise) + 2κ noise both are below 1/2 of (2+z)/(1+z) > 1.
    z = float(optimize.brentq(balance, qd / 2, 2 * (qd + 4 * qd * noise + 2 * (qd * noise) ** 0.5), xtol=1e-15 * qd))
    exponent = qd / z - 1 + qd * noise * (1 + z) / z**2
    return float(np.exp(exponent)) * z * z / (qd * (1 + z)) - noise


def noiseless_drift_constant() -> float:
    """4/e = 1.4715: the best gated delta rule's excess over the Kalman filter's, noise = 0, first d → ∞, then qd → 0.

    `kalman_drift_limit` is eκ/4 + O(κ²) there (z → κ/2), the gated delta rule's κ. At κ = 0.01 it is 1.464 still,
    the plateau that an unpublished study measured as 1.465 ± 0.004. Source: derived here, as `kalman_drift_limit`.

    >>> round(noiseless_drift_constant(), 4)
    1.4715
    """
    return 4 / float(np.e)


def metric_penalty(spectrum: Sequence[float], power: float) -> float:
    """(E λ^s)(E λ^(1-s))/(E √λ)² over the eigenvalues λ of the keys' covariance, metric Σ^-s: 1 at s = 1/2, the least.

    `coloured_gated_delta_rule_error` over that with the metric Σ^-1/2, as d → ∞ and then qd → 0, full steps. The same
    at s and at 1-s: whitened keys do as badly as plain ones. Source: an unpublished study; derived here.

    >>> metric_penalty([1.0, 4.0], 0.0), metric_penalty([1.0, 4.0], 0.5)  # 2.5/1.5²
    (1.1111111111111112, 1.0)
    """
    lam = np.asarray(spectrum, dtype=float)
    return float(np.mean(lam**power) * np.mean(lam ** (1 - power)) / np.mean(lam**0.5) ** 2)


def coloured_gated_delta_rule_error(spectrum: Sequence[float], q: float, beta: float, power: float) -> float:
    """m = Σ λ_i v_i, v_i = [q/d + a²β²λ_i^(1-2s) m/D²]/[1 - a²(1 - 2βλ_i^(1-s)/D)], D = Σ λ_i^(1-s): an approximation.

    The excess without noise for keys N(0, diag λ), drift N(0, q/d I), gate a = √(1-q), relative step β in the metric
    Σ^-s: the step is β Σ^-s x/(x'Σ^-s x), and the norm x'Σ^-s x is replaced by its mean D. Exact for λ = 1; otherwise
    the fewer channels the keys fill, the worse. A channel of small λ is hardly seen and keeps the drift's own variance
    1/d: hence below q dE λ^s E λ^(1-s), the limit of slow drift. Source: derived here.

    >>> round(coloured_gated_delta_rule_error([1.0] * 32, 0.02, 1.0, 0.0), 6)  # 0.64/1.62
    0.395062
    """
    lam = np.asarray(spectrum, dtype=float)
    D, kept = np.sum(lam ** (1 - power)), 1 - q
    shrink = 1 - kept * (1 - 2 * beta * lam ** (1 - power) / D)
    mixed = float(np.sum(lam * kept * beta**2 * lam ** (1 - 2 * power) / D**2 / shrink))
    return float(np.sum(lam * q / len(lam) / shrink)) / (1 - mixed) if mixed < 1 else float("inf")


def _positive_root(a: float, b: float, c: float) -> float:
    """The root of ax² + bx + c with a > 0 ≥ c that is above 0, without cancellation."""
    root = (b * b - 4 * a * c) ** 0.5
    return (root - b) / (2 * a) if b < 0 else 2 * -c / (root + b)
