"""Where argmax recall of a d × d memory ends, for one pair and for all of them, and what its logarithms cost."""

import numpy as np
from scipy import optimize, stats

from ttr_numerics.measure.bounds.ranked import list_recall_probability

__all__ = ["all_recalled_probability", "expected_misses", "forgetting_half", "half_recalled"]


def half_recalled(d: int, share: float | None = None) -> float:
    """The n at which `list_recall_probability` is ½: for the first place, or for the best `share` of n values.

    It tends to d²/(2 ln n), from above and slowly: at one half, 2 n ln n/d² - 1 falls like ln ln n/(2 ln n).
    """

    def recalled(n: int) -> float:
        return list_recall_probability(n, 1 if share is None else max(1, round(share * n)), d, d)

    def excess(log_n: float) -> float:
        above, whole = np.modf(np.exp(log_n))
        return float((1 - above) * recalled(int(whole)) + above * recalled(int(whole) + 1)) - 0.5

    return float(np.exp(optimize.brentq(excess, np.log(2.0), np.log(4.0 * d * d), xtol=1e-4)))


def forgetting_half(rate: float, noise: float) -> float:
    """n = ln(1/(2 σ² ln n))/r: half of n pairs rank first if signals fade as e^{-ra} and the noise of a score is σ².

    The oldest recalled has signal √(2σ² ln n) and the age n/2. Delta rule, β = 1: r = 1/d, σ² = 1/d. Linear attention
    with a fixed gate γ: r = -ln γ, σ² = 1/(d²(1-γ²)). A *heuristic* for memories that have forgotten their beginning,
    rn > 2. Source: derived here.

    Raises ValueError where no n above 2 solves it: the noise exceeds the newest signal.
    """
    if 2 * noise * np.log(2.0) * np.exp(2 * rate) >= 1:
        raise ValueError(f"rate, noise: expected a recalled pair at least, got {rate}, {noise}")
    return float(optimize.brentq(lambda n: rate * n + np.log(2 * noise * np.log(n)), 2.0, 2 + 50 / rate))


def expected_misses(n: int, d: int) -> float:
    """n(n-1) E Q(d√(1-r)(1-c)/√(2(n-2))), r, c ~ N(0, 1/d): of all pairs (i, j), how often j scores at least as i.

    The gap (v_i - v_j)·o_i of linear attention: v_i·v_j = r, k_i·k_j = c, and the noise of the n-2 others has variance
    2(1-r)(n-2)/d². A *heuristic*: Gaussian throughout. Source: derived here; the root of 1 is d² ~ 8 n ln n.
    """
    z, weight = np.polynomial.hermite_e.hermegauss(40)
    weight = weight / np.sum(weight)
    r, c = np.minimum(z, 0.99 * d**0.5)[:, None] / d**0.5, z[None, :] / d**0.5
    miss = stats.norm.sf(d * np.sqrt(1 - r) * (1 - c) / (2 * max(n - 2, 1)) ** 0.5)
    return float(n * (n - 1) * weight @ miss @ weight)


def all_recalled_probability(n: int, d: int) -> float:
    """exp(-`expected_misses`): all n pairs rank first, if misses were independent. A heuristic."""
    return float(np.exp(-expected_misses(n, d)))
