"""Formulas to draw over measurements: recall errors, capacities and condition numbers of random keys.

Unless said otherwise keys are independent, uniform on the unit sphere of dimension d, values are unit vectors
independent of the keys, errors are E‖o_i - v_i‖² averaged over the n stored pairs (so relative to the values), and
the tests check each formula against simulation.
"""

import numpy as np
from scipy import optimize, stats

__all__ = [
    "argmax_capacity",
    "argmax_load",
    "best_constant_step",
    "coherence_error",
    "delta_rule_age_error",
    "delta_rule_errors",
    "gated_linear_attention_error",
    "least_squares_floor",
    "linear_attention_error",
    "linear_attention_fixed_keys",
    "linear_attention_scaled_error",
    "list_recall_probability",
    "marchenko_pastur_condition",
    "marchenko_pastur_edges",
    "top1_accuracy",
    "welch_coherence",
]


def linear_attention_error(n: int, d: int) -> float:
    """(n-1)/d for S = Σ k_j v_j', exactly: each other key adds E(k_i·k_j)² = 1/d. Source: derived here."""
    return (n - 1) / d


def linear_attention_scaled_error(n: int, d: int) -> float:
    """(n-1)/(n-1+d) with the best output scale d/(n-1+d), exact for that scale. Source: derived here."""
    return (n - 1) / (n - 1 + d)


def linear_attention_fixed_keys(n: int, participation_ratio: float) -> tuple[float, float]:
    """Raw and best-scaled error n/PR - 1 and 1 - PR/n of linear attention on *given* unit keys, n of them.

    Exact in expectation over independent zero-mean unit values: mean_i Σ_{j≠i}(k_i·k_j)² = n tr M² - 1, and
    tr M² = 1/PR (`covariance.participation_ratio`, not centred). The scaled one is for the scale PR/n.
    Source: derived here.

    >>> linear_attention_fixed_keys(8, 4.0)
    (1.0, 0.5)
    """
    return n / participation_ratio - 1, 1 - participation_ratio / n


def gated_linear_attention_error(n: int, d: int, decay: float) -> float:
    """Mean over ages a of (1-g^a)² + Σ_{j≠i} g^(2 age_j)/d, exactly, for S_t = g S_{t-1} + k_t v_t'; ages 0..n-1.

    Source: derived here; the noise tends to 1/(d(1-g²)).
    """
    kept = decay ** np.arange(n, dtype=float)
    return float(np.mean((1 - kept) ** 2 + (np.sum(kept**2) - kept**2) / d))


def least_squares_floor(n: int, d: int) -> float:
    """max(0, 1 - d/n): the residual that a d-dimensional key space leaves of n unit values, exactly. Source: trace."""
    return max(0.0, 1 - d / n)


def delta_rule_errors(n: int, d: int, beta: float, decay: float = 1.0) -> np.ndarray:
    """Error of the item of age a = 0..n-1 (n,) after n steps S̄ = αS, S = S̄ + β k (v - kS̄), exactly.

    With F = E‖S‖² before a write: F' = α²F(1-(2β-β²)/d) + β². An item just written has s = α²(1-β)²F/d + β², p = β;
    each later write makes s' = α²[s(1-2β/d+2β²/(d(d+2))) + β²F/(d(d+2))] + β²/d and p' = α(1-β/d)p, where F is its
    size before that write; the error is s - 2p + 1. Source: derived here (second moments close for isotropic keys).

    Two keys, β = 1: the older item is off by E[c²(1+c²)] = 1/d + 3/(d(d+2)), c = k_1·k_2.

    >>> [round(float(x), 12) for x in delta_rule_errors(2, 4, 1.0)]
    [0.0, 0.375]
    """
    c, shrink, mix = decay * decay, 1 - 2 * beta / d + 2 * beta**2 / (d * (d + 2)), beta**2 / (d * (d + 2))
    F, s, p = 0.0, np.zeros(0), np.zeros(0)
    for _ in range(n):
        s = c * (s * shrink + mix * F) + beta**2 / d
        p = decay * (1 - beta / d) * p
        s = np.append(s, c * (1 - beta) ** 2 * F / d + beta**2)
        p = np.append(p, beta)
        F = c * F * (1 - (2 * beta - beta**2) / d) + beta**2
    return (s - 2 * p + 1)[::-1]


def best_constant_step(n: int, d: int) -> float:
    """The constant β in (0, 1] that minimises the mean of `delta_rule_errors` (Brent's bounded search, 1e-5)."""

    def mean(beta: float) -> float:
        return float(np.mean(delta_rule_errors(n, d, beta)))

    return float(optimize.minimize_scalar(mean, bounds=(0.0, 1.0), method="bounded").x)


def delta_rule_age_error(age: np.ndarray, d: int) -> np.ndarray:
    """2(1-(1-1/d)^a): the stationary error at age a for β = 1, whatever the length. Half of it at a ≈ 0.69 d.

    Source: derived here, `delta_rule_errors` in the limit of a long sequence (F = d).
    """
    return 2 * (1 - (1 - 1 / d) ** np.asarray(age, dtype=float))


def coherence_error(n: int, coherence: float) -> float:
    """(n-1) μ ≥ ‖o_i - v_i‖ for linear attention on unit keys and values, μ = max_{i≠j}|k_i·k_j|: a worst case."""
    return (n - 1) * coherence


def welch_coherence(n: int, d: int) -> float:
    """√((n-d)/(d(n-1))) ≤ max_{i≠j}|k_i·k_j| for any n ≥ d unit keys (0 for n < d). Welch, IEEE IT 20 (1974).

    Attained by equiangular tight frames: three keys at 120° in the plane have coherence 1/2.

    >>> round(welch_coherence(3, 2), 12)
    0.5
    """
    return max(0.0, (n - d) / (d * (n - 1))) ** 0.5


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


def marchenko_pastur_edges(aspect: float) -> tuple[float, float]:
    """(1 ∓ √g)², g = d/n ≤ 1: the ends of the limiting spectrum of K'K/n for n × d keys with independent unit entries.

    Reference: Marchenko and Pastur, Math. USSR-Sbornik 1 (1967); Bai and Yin, Ann. Probab. 21 (1993).

    >>> marchenko_pastur_edges(0.25)
    (0.25, 2.25)
    """
    return (1 - aspect**0.5) ** 2, (1 + aspect**0.5) ** 2


def marchenko_pastur_condition(aspect: float) -> float:
    """κ(K) → (1+√g)/(1-√g), g = d/n < 1; ∞ at g = 1, where E ln κ ≈ ln n + 1.54 (Edelman 1988). Finite sizes lie below.

    >>> marchenko_pastur_condition(0.25)
    3.0
    """
    low, high = marchenko_pastur_edges(aspect)
    return (high / low) ** 0.5 if low > 0 else float("inf")


def _gaussian_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of E f(z), z standard normal: the trapezoidal rule, for f that may be as steep as a step."""
    z = np.linspace(-8.5, 8.5, 2001)
    weight = np.exp(-z * z / 2)
    return z, weight / np.sum(weight)
