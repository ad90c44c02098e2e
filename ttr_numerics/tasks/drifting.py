"""Regression on maps that drift as a random walk."""

from typing import NamedTuple

import numpy as np

__all__ = ["Drifting", "drifting_regression"]


class Drifting(NamedTuple):
    """Regressors `k` (..., T, d), values `v` (..., T, d_v), noisy, `target` = k_t w_t, clean, and the first map `w`."""

    k: np.ndarray
    v: np.ndarray
    target: np.ndarray
    w: np.ndarray


def drifting_regression(rng: np.random.Generator, k: np.ndarray, q: float, noise: float, d_v: int) -> Drifting:
    """v_t = k_t w_t + √noise ε_t, w_t = √(1-q) w_{t-1} + √(q/d) ξ_t for given regressors k (..., T, d).

    Each column of w (..., d, d_v) drifts on its own from N(0, I/d), its stationary law: E‖w_t‖² = d_v at every t. `w`
    in the answer is w_0, before the first token's drift. Memory of one map: the path is not kept.

    q = 0 is one map for all tokens, q = 1 a new one at each. An example, two tokens of one channel with q = 3/4, so
    that w_1 = w_0/2 + √(3/4) ξ_1:

    | t | w_t | k_t | target | v_t, noise 0 |
    |---|---|---|---|---|
    | 0 | 0.6 | | | |
    | 1 | 0.3 + 0.866 · 0.5 = 0.733 | 2 | 1.466 | 1.466 |
    | 2 | 0.367 - 0.866 · 1 = -0.499 | 1 | -0.499 | -0.499 |

    >>> task = drifting_regression(np.random.default_rng(0), np.ones((5, 1)), q=0.0, noise=0.0, d_v=1)
    >>> bool(np.all(task.v == task.w))
    True
    """
    if not (0 <= q <= 1 and noise >= 0):
        raise ValueError(f"q, noise: expected q in [0, 1] and noise at least 0, got {q} and {noise}")
    *batch, T, d = k.shape
    first = w = rng.standard_normal((*batch, d, d_v)) / d**0.5
    target = np.empty((*batch, T, d_v))
    for t in range(T):
        w = (1 - q) ** 0.5 * w + (q / d) ** 0.5 * rng.standard_normal(w.shape)
        target[..., t : t + 1, :] = k[..., t : t + 1, :] @ w
    return Drifting(k, target + noise**0.5 * rng.standard_normal(target.shape), target, first)
