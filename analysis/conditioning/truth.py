"""S_t = (H_t + Λ_t)⁻¹ G_t in decimal arithmetic of many digits, H_t and G_t the moments of tokens 1..t with forgetting.

By Gaussian elimination without pivoting, as H_t + Λ_t is positive definite; all chosen positions at once. Arrays hold
`decimal.Decimal`, to which floats convert exactly.
"""

import decimal
import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

__all__ = [
    "IntegerMoments",
    "answers",
    "integer_moments",
    "largest_error",
    "least_norm_solutions",
    "prefix_solutions",
    "ridge_solutions",
]

DIGITS = 80  # condition numbers reach 1e22
VANISHING, MANY = Decimal("1e-150"), 350  # a ridge over the largest eigenvalue, and digits to see it beside 1
_decimals = np.frompyfunc(lambda x: Decimal(float(x)), 1, 1)
_of_integers = np.frompyfunc(Decimal, 1, 1)


class IntegerMoments(NamedTuple):
    """scale [H_t | G_t] (positions, d_k, d_k + d_v), without forgetting: integers, nothing rounded."""

    joint: np.ndarray
    scale: int

    @property
    def last(self) -> "IntegerMoments":
        """Those at the last position alone."""
        return IntegerMoments(self.joint[-1:], self.scale)


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


def integer_moments(k: np.ndarray, v: np.ndarray, positions: Sequence[int]) -> IntegerMoments:
    """The moments of tokens 1..t for increasing t in `positions`: floats are integers times a power of two."""
    mantissas, exponents = np.frexp(np.concatenate([k, v], axis=-1).astype(float))
    least = int(np.min(exponents, where=mantissas != 0, initial=0))
    shifts = np.where(mantissas != 0, exponents - least, 0).astype(object)
    rows = (mantissas * 2.0**53).astype(np.int64).astype(object) << shifts
    total, kept = 0 * rows[0, : k.shape[-1], None] * rows[0], []
    for start, end in itertools.pairwise([0, *positions]):
        total = total + rows[start:end, : k.shape[-1]].T @ rows[start:end]
        kept.append(total)
    return IntegerMoments(np.stack(kept), 4 ** (53 - least))


def ridge_solutions(moments: IntegerMoments, ridge: float) -> np.ndarray:
    """(H_t + ridge I)⁻¹ G_t (positions, d_k, d_v); with a ridge of 0 the keys have to span the space."""
    with decimal.localcontext(prec=DIGITS):
        return _penalised(moments, Decimal(float(ridge)) * moments.scale)


def least_norm_solutions(moments: IntegerMoments) -> np.ndarray:
    """H_t⁺ G_t (positions, d_k, d_v) at any rank, by a ridge that vanishes beside every singular value of floats.

    It errs by the ridge over the square of the smallest singular value that is not 0.
    """
    with decimal.localcontext(prec=MANY):
        largest = max((int(x) for x in np.trace(moments.joint, axis1=-2, axis2=-1)), default=0)
        return _penalised(moments, VANISHING * (largest or 1))


def answers(q: np.ndarray, S: np.ndarray) -> np.ndarray:
    """o_t = q_t S_t (positions, d_v)."""
    with decimal.localcontext(prec=DIGITS):
        return (_decimals(q)[:, :, None] * S).sum(axis=1)


def largest_error(o: np.ndarray, truth: np.ndarray) -> float:
    """max_t ‖ô_t - o_t‖/‖o_t‖ of computed o (positions, d_v): 0 for a zero that is found, ∞ for one that is not."""
    with decimal.localcontext(prec=DIGITS):
        apart = (_decimals(o) - truth).astype(float)
    errors, sizes = (np.linalg.norm(x, axis=-1) for x in (apart, truth.astype(float)))
    missed = np.where(errors == 0, 0.0, np.inf)
    return float(np.max(np.where(sizes > 0, errors / np.where(sizes > 0, sizes, 1.0), missed)))


def _penalised(moments: IntegerMoments, penalty: Decimal) -> np.ndarray:
    joint, diagonal = _of_integers(moments.joint), np.arange(moments.joint.shape[-2])
    joint[:, diagonal, diagonal] += penalty
    return _solved(joint, len(diagonal))


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
