"""Error to the *last* value of a key that was given several, `between` pairs of other keys behind each of them.

The list is `assignments` rounds of the key and then `between` others; the key is asked at its end. Keys and values are
independent unit vectors, keys isotropic.
"""

import numpy as np

__all__ = ["reassigned_additive_error", "reassigned_delta_error", "reassigned_mean_error"]


def reassigned_additive_error(assignments: int, between: int, d: int, decay: float = 1.0) -> float:
    """(1-g^a)² + Σ_{older values} g^2a' + Σ_{other keys} g^2a"/d for S_t = g S_{t-1} + k_t v_t', exactly.

    a = `between` is the age of the last value, older ones follow at distances of `between` + 1. Without decay
    (j - 1) + j·between/d: what is added up is the sum of the j values. Source: derived here.

    >>> reassigned_additive_error(3, 8, 8)
    5.0
    """
    squares = decay ** (2.0 * np.arange(assignments * (between + 1)))
    own = squares[between :: between + 1]
    return float((1 - own[0] ** 0.5) ** 2 + np.sum(own[1:]) + (np.sum(squares) - np.sum(own)) / d)


def reassigned_mean_error(assignments: int) -> float:
    """(j-1)/j: what the mean of the j values is off from the last; least squares of up to d keys answers the mean.

    >>> reassigned_mean_error(4)
    0.75
    """
    return (assignments - 1) / assignments


def reassigned_delta_error(assignments: int, between: int, d: int, beta: float = 1.0, decay: float = 1.0) -> float:
    """r - 2p + 1 after S̄ = αS, S = S̄ + βk(v - kS̄) over the list, exactly: r = E‖xS‖², p = E xS·v, F = E‖S‖², x asked.

    Each step first takes F, r to α² of them and p to αp. The asked key itself then makes F ← F - 2βr + β²(1+r),
    r ← (1-β)²r + β², p = β; any other key r ← r(1-2β/d) + β²(1/d + (F+2r)/(d(d+2))), p ← p(1-β/d),
    F ← F(1-(2β-β²)/d) + β². Source: derived here (second moments close for isotropic keys).

    Nothing in between: the last value is exact, whatever came before.

    >>> reassigned_delta_error(5, 0, 8)
    0.0
    """
    F = r = p = 0.0
    for token in range(assignments * (between + 1)):
        F, r, p = decay**2 * F, decay**2 * r, decay * p
        if token % (between + 1) == 0:
            F, r, p = F - 2 * beta * r + beta**2 * (1 + r), (1 - beta) ** 2 * r + beta**2, beta
            continue
        r = r * (1 - 2 * beta / d) + beta**2 * (1 / d + (F + 2 * r) / (d * (d + 2)))
        F, p = F * (1 - (2 * beta - beta**2) / d) + beta**2, p * (1 - beta / d)
    return r - 2 * p + 1
