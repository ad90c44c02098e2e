"""Recall by softmax attention with gain β: o_i = Σ_j p_j v_j, p_j ∝ exp(β k_i·k_j), read at the n stored unit keys.

A kernel smoother at bandwidth β^-½; a modern Hopfield network that retrieves in one step.
"""

import numpy as np
from scipy import optimize, special, stats

__all__ = [
    "log_mean_weight",
    "ramsauer_capacity",
    "softmax_argmax_half",
    "softmax_error_half",
    "softmax_exponent",
    "softmax_load",
    "softmax_recall_bound",
    "sufficient_gain",
]


def softmax_recall_bound(n: int, gain: float, gap: np.ndarray, largest: float = 1.0) -> np.ndarray:
    """2(n-1) e^{-βΔ_i} max‖v‖ ≥ ‖o_i - v_i‖, Δ_i = 1 - max_{j≠i} k_i·k_j the gap of unit key i; always.

    Proof: o_i - v_i = Σ_{j≠i} p_j (v_j - v_i), each p_j ≤ p_j/p_i ≤ e^{-βΔ_i}. Source: derived here.
    """
    return 2 * (n - 1) * np.exp(-gain * np.asarray(gap)) * largest


def sufficient_gain(n: int, error: float, gap: float) -> float:
    """ln(2(n-1)/ε)/Δ: from this gain on ‖o_i - v_i‖ ≤ ε for unit values, by `softmax_recall_bound`."""
    return float(np.log(2 * (n - 1) / error)) / gap


def log_mean_weight(d: int, gain: float) -> float:
    """ln E e^{β k·q}, k uniform on the sphere of dimension d, q any unit vector: ln Γ(ν+1)(2/β)^ν I_ν(β), ν = d/2 - 1.

    Raises ValueError where e^{-β} I_ν(β) underflows, for d in the thousands at a gain far below d.
    Reference: Mardia and Jupp, Directional Statistics, section 9.3 (the von Mises-Fisher normaliser).

    At d = 3 it is sinh β/β:

    >>> bool(abs(log_mean_weight(3, 2.0) - np.log(np.sinh(2.0) / 2.0)) < 1e-14)
    True
    """
    order = d / 2 - 1
    scaled = float(special.ive(order, gain))  # e^{-β} I_ν(β): does not overflow
    if scaled == 0:
        raise ValueError(f"d, gain: expected a Bessel function above the least double, got d = {d}, gain = {gain}")
    return float(special.gammaln(order + 1)) + order * float(np.log(2 / gain)) + float(np.log(scaled)) + gain


def softmax_load(n: int, d: int, gain: float) -> float:
    """(n-1) E e^{β(k·q - 1)}: what all other keys weigh on average, the right one weighing 1.

    At load L the output is off by about L/(1+L): within ε up to L = ε/(1-ε). With 2β for β it is the mean of the
    squared weights, which decides whether the right value still scores highest. Source: derived here.
    """
    return (n - 1) * float(np.exp(log_mean_weight(d, gain) - gain))


def softmax_exponent(gain_per_dimension: float) -> float:
    """a = c - ψ(c), ψ = c x + ½ ln(1-x²), x = (√(1+4c²)-1)/(2c): n = e^{ad} keys have load 1 at gain β = c d, d → ∞.

    Laplace's method on `log_mean_weight`; at a the sum has its mean, since 1 - x > 0. For the highest score the
    exponent is that of 2c. Source: derived here.

    >>> round(softmax_exponent(1.0), 4)
    0.6226
    """
    c = gain_per_dimension
    x = ((1 + 4 * c * c) ** 0.5 - 1) / (2 * c)
    return float(c - c * x - 0.5 * np.log(1 - x * x))


def softmax_error_half(d: int, gain: float, error: float) -> float:
    """The n with (L² + W)/(1+L)² = ε²: about half of unit values in many dimensions come back to within ε.

    L is `softmax_load`, W that at 2β: o - v_i = Σ w_j(v_j - v_i)/(1+L), and independent values add in squares. An
    *approximation* that takes both sums at their means. Source: derived here.
    """

    def excess(log_others: float) -> float:
        L, W = _loads(log_others, d, gain)
        return (L * L + W) / (1 + L) ** 2 - error**2

    return 1 + float(np.exp(optimize.brentq(excess, -50.0, 5000.0)))


def softmax_argmax_half(d: int, gain: float, d_v: int) -> float:
    """The n with Φ(√(d_v/(1+W)))^(n-1) = ½: about half of unit values score highest among all n.

    Another value's score is N(0, (1+W)/d_v), W = `softmax_load` at 2β, against 1 of the right one. An *approximation*:
    independent competitors, W at its mean. Source: derived here.
    """

    def excess(log_others: float) -> float:
        _, W = _loads(log_others, d, gain)
        return float(np.exp(log_others) * stats.norm.logcdf((d_v / (1 + W)) ** 0.5) + np.log(2))

    return 1 + float(np.exp(optimize.brentq(excess, 0.0, 600.0)))


def _loads(log_others: float, d: int, gain: float) -> tuple[float, float]:
    """L and W of n - 1 = e^log_others."""
    mean, square = (log_mean_weight(d, g) - g for g in (gain, 2 * gain))
    return float(np.exp(min(log_others + mean, 300.0))), float(np.exp(min(log_others + square, 300.0)))


def ramsauer_capacity(d: int, inverse_temperature: float, radius: float, failure: float) -> float:
    """√p c^((d-1)/4) patterns on the sphere of radius K√(d-1) are stored with probability 1 - p, at least.

    c = b/W₀(e^{a + ln b}), a = 2(1 + ln(2βK²p(d-1)))/(d-1), b = 2K²β/5. On unit keys the gain is βK²(d-1).
    Reference: Ramsauer et al., arXiv 2008.02217, theorem 3 (with its own example, c ≥ 3.1546).

    >>> d, p = 20, 0.001
    >>> round(float((ramsauer_capacity(d, 1.0, 3.0, p) / p**0.5) ** (4 / (d - 1))), 4)
    3.1546
    """
    a = 2 / (d - 1) * (1 + np.log(2 * inverse_temperature * radius**2 * failure * (d - 1)))
    b = 2 * radius**2 * inverse_temperature / 5
    c = b / float(np.real(special.lambertw(np.exp(a + np.log(b)))))
    return float(failure**0.5 * c ** ((d - 1) / 4))
