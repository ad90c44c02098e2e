"""The delta rule's error averaged over all stored pairs, in one pass over n numbers; and the step best for it."""

import numpy as np
from scipy import optimize

__all__ = ["best_constant_step", "delta_rule_mean_error"]


def delta_rule_mean_error(n: int, d: int, beta: float) -> float:
    """Mean over ages of `delta_rule_errors` without decay, in O(n).

    The recursion is affine in s, so the sum over items obeys it too: Σs ← κΣs + (t-1)(mF + β²/d) + s_0, with
    κ = 1-2β/d+2β²/(d(d+2)), m = β²/(d(d+2)), F = (1-r^{t-1}) βd/(2-β), r = 1-(2β-β²)/d. Source: derived here.

    >>> round(delta_rule_mean_error(2, 4, 1.0), 12)
    0.1875
    """
    before = np.arange(n, dtype=float)  # writes before this one
    F = beta * d / (2 - beta) * (1 - (1 - (2 * beta - beta**2) / d) ** before)
    kept, mixed = 1 - 2 * beta / d + 2 * beta**2 / (d * (d + 2)), beta**2 / (d * (d + 2))
    added = before * (mixed * F + beta**2 / d) + (1 - beta) ** 2 * F / d + beta**2
    s = np.sum(kept ** before[::-1] * added)
    p = np.sum(beta * (1 - beta / d) ** before)
    return float(s - 2 * p) / n + 1


def best_constant_step(n: int, d: int) -> float:
    """The constant β in (0, 1] that minimises `delta_rule_mean_error` (Brent, bounded, to 1e-5): d/n, late."""
    found = optimize.minimize_scalar(
        lambda beta: delta_rule_mean_error(n, d, beta), bounds=(0.0, 1.0), method="bounded"
    )
    return float(found.x)
