"""Recall error by age of isotropic memories with several coupled states, several writes a token, or mini-batches.

Keys, values and errors as in `age`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Write", "coupled_age_errors", "minibatch_age_errors", "momentum_write"]


class Write(NamedTuple):
    """x ← (A⊗I - B⊗kk')x + g⊗kv' on m states x = (S, ...): A, B (m, m) and g (m,). The delta rule: α, αβ, β."""

    A: np.ndarray
    B: np.ndarray
    g: np.ndarray


def momentum_write(beta: float, momentum: float, decay: float = 1.0) -> Write:
    """U ← μU + βk(v - k'S), S ← αS + U on (S, U): heavy ball; Titans has β = 2θ."""
    A = np.array([[decay, momentum], [0.0, momentum]])
    return Write(A, np.array([[beta, 0.0], [beta, 0.0]]), np.array([beta, beta]))


def coupled_age_errors(n: int, d: int, writes: Sequence[Write]) -> np.ndarray:
    """Error (n, len(writes)) by age and by which write of its token stored the pair; the first state is read.

    With F = E tr xx' and s = E[c'xx'c], both (m, m), one write makes
    s ← AsA' - (BsA' + AsB')/d + B(2s + F)B'/(d(d+2)) + gg'/d, F ← AFA' - (BFA' + AFB')/d + BFB'/d + gg' and
    p ← (A - B/d)p; the pair written has s = (A-B)(F/d)(A-B)' + gg', p = g. The error is s_00 - 2p_0 + 1. One state and
    one write are `delta_rule_errors`. Exact. Source: derived here.

    >>> one = np.ones((1, 1))
    >>> [round(float(x), 12) for x in coupled_age_errors(2, 4, [Write(one, one, np.ones(1))])[:, 0]]
    [0.0, 0.375]
    """
    m = len(writes[0].g)
    F, s, p = np.zeros((m, m)), np.zeros((0, m, m)), np.zeros((0, m))
    for _ in range(n):
        for A, B, g in writes:
            both = B @ s @ A.T
            s = A @ s @ A.T - (both + np.swapaxes(both, 1, 2)) / d + B @ (2 * s + F) @ B.T / (d * (d + 2))
            p = p @ (A - B / d).T
            s, p = s + np.outer(g, g) / d, np.concatenate([p, g[None]])
            s = np.concatenate([s, ((A - B) @ F @ (A - B).T / d + np.outer(g, g))[None]])
            cross = B @ F @ A.T / d
            F = A @ F @ A.T - cross - cross.T + B @ F @ B.T / d + np.outer(g, g)
    return (s[:, 0, 0] - 2 * p[:, 0] + 1).reshape(n, len(writes))[::-1]


def minibatch_age_errors(n: int, d: int, step: float, batch: int) -> np.ndarray:
    """Error (n,) by age of S ← S + η Σ_{j in batch} k_j(v_j - k_j'S), n a multiple of b = `batch`: steps of b ages.

    F ← F(1 - 2ηb/d + η²(b/d + b(b-1)/d²)) + η²b; a later batch makes
    s ← s(1 - 2ηb/d + η²(2b/(d(d+2)) + b(b-1)/d²)) + η²bF/(d(d+2)) + η²b/d and p ← (1 - ηb/d)p; its own leaves p = η,
    s = (F/d)[(1-η)² - 2(1-η)ηr + η²(r + (b-1)(b-2)/d²)] + η²(1 + r), r = (b-1)/d. Exact. Source: derived here.
    """
    if n % batch:
        raise ValueError(f"n: expected a multiple of the batch {batch}, got {n}")
    b, r, square = batch, (batch - 1) / d, step**2
    fourth = 1 / (d * (d + 2))
    shrink = 1 - 2 * step * b / d + square * (2 * b * fourth + b * r / d)
    F, s, p = 0.0, np.zeros(0), np.zeros(0)
    for _ in range(n // batch):
        s, p = shrink * s + square * b * (F * fourth + 1 / d), (1 - step * b / d) * p
        within = (1 - step) ** 2 - 2 * (1 - step) * step * r + square * (r + r * (b - 2) / d)
        s, p = np.append(s, F / d * within + square * (1 + r)), np.append(p, step)
        F = F * (1 - 2 * step * b / d + square * (b / d + b * r / d)) + square * b
    return np.repeat((s - 2 * p + 1)[::-1], batch)
