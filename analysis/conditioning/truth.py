"""S_t = (H_t + Λ_t)⁻¹ G_t in decimal arithmetic of many digits, H_t and G_t the moments of tokens 1..t with forgetting.

By Gaussian elimination without pivoting, as H_t + Λ_t is positive definite; all chosen positions at once. Arrays hold
`decimal.Decimal`, to which floats convert exactly.
"""

import decimal
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

__all__ = ["answers", "largest_error", "prefix_solutions"]

DIGITS = 80  # condition numbers reach 1e22
_decimals = np.frompyfunc(lambda x: Decimal(float(x)), 1, 1)


def prefix_solutions(
    k: np.ndarray, v: np.ndarray, positions: Sequence[int], ridge: float, log_decay: float = 0.0, ageing: float = 0.0
) -> np.ndarray:
    """S_t (positions, d_k, d_v) from tokens 1..t, for a data decay of `log_decay` nats a token and Λ_t of `ageing`.

    Λ_t = ridge exp(ageing t): 0 for a fixed ridge, `log_decay` for one that is forgotten with the data.
    """
    # Until another key points its way, a key ages by up to d_k |log_decay| nats: so many digits cancel.
    with decimal.localcontext(prec=DIGITS + int(k.shape[-1] * abs(log_decay))):
        decay, fading = (Decimal(float(rate)).exp() for rate in (log_decay, ageing))
        moments = _moments(_decimals(k), _decimals(np.concatenate([k, v], axis=-1)), decay, positions)
        diagonal = np.arange(k.shape[-1])
        penalties = [Decimal(float(ridge)) * fading**t for t in positions]
        moments[:, diagonal, diagonal] += np.array(penalties)[:, None]
        return _solved(moments, k.shape[-1])


def answers(q: np.ndarray, S: np.ndarray) -> np.ndarray:
    """o_t = q_t S_t (positions, d_v)."""
    with decimal.localcontext(prec=DIGITS):
        return (_decimals(q)[:, :, None] * S).sum(axis=1)


def largest_error(o: np.ndarray, truth: np.ndarray) -> float:
    """max_t ‖ô_t - o_t‖/‖o_t‖ of computed o (positions, d_v)."""
    with decimal.localcontext(prec=DIGITS):
        apart = (_decimals(o) - truth).astype(float)
    return float(np.max(np.linalg.norm(apart, axis=-1) / np.linalg.norm(truth.astype(float), axis=-1)))


def _moments(K: np.ndarray, rows: np.ndarray, decay: Decimal, positions: Sequence[int]) -> np.ndarray:
    """[H_t | G_t] after t tokens, t in `positions`, from rows [k | v]."""
    total, kept = 0 * K[0][:, None] * rows[0], {}
    for t, (key, row) in enumerate(zip(K, rows, strict=True), start=1):
        total = decay * total + key[:, None] * row
        kept[t] = total
    return np.stack([kept[t] for t in positions])


def _solved(joint: np.ndarray, d: int) -> np.ndarray:
    """A⁻¹ B from joint = [A | B] (..., d, d + d_v)."""
    for j in range(d):
        joint[:, j, j:] = joint[:, j, j:] / joint[:, j, j, None]
        joint[:, j + 1 :, j:] -= joint[:, j + 1 :, j, None] * joint[:, j, None, j:]
    S = joint[:, :, d:]
    for j in range(d - 1, 0, -1):
        S[:, :j] -= joint[:, :j, j, None] * S[:, j, None]
    return S
