"""Recall error of the delta rule by age: second moments that close for isotropic keys."""

import numpy as np

__all__ = ["delta_rule_age_error", "delta_rule_errors"]


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


def delta_rule_age_error(age: np.ndarray, d: int) -> np.ndarray:
    """2(1-(1-1/d)^a): the stationary error at age a for β = 1, whatever the length. Half of it at a ≈ 0.69 d.

    Source: derived here, `delta_rule_errors` in the limit of a long sequence (F = d).
    """
    return 2 * (1 - (1 - 1 / d) ** np.asarray(age, dtype=float))
