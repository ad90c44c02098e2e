"""Exact answers in rational arithmetic (python-flint's fmpq_mat) and to 120 digits (mpmath): oracles of the balls."""

from fractions import Fraction
from typing import Any

import flint
import mpmath
import numpy as np

from ttr_numerics.arrays.balls import BallArray

DIGITS = 120


def rational(x: Any) -> Any:
    """Floats as the rationals they are: an array of Fractions."""
    return np.frompyfunc(lambda y: Fraction(float(y)), 1, 1)(np.asarray(x, dtype=np.float64))


def solution(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """X with A X = B, by flint's fraction-free elimination."""
    left, right = (flint.fmpq_mat([[_fmpq(y) for y in row] for row in x]) for x in (A, B))
    X = left.solve(right).tolist()
    return np.array([[Fraction(int(y.p), int(y.q)) for y in row] for row in X], dtype=object).reshape(B.shape)


def _fmpq(x: Fraction) -> Any:
    return flint.fmpq(x.numerator, x.denominator)


def contains(x: BallArray, truth: np.ndarray) -> np.ndarray:
    """Which balls hold their rational number."""
    with flint.ctx.workprec(1 << 14):  # flint asks with the rational as a ball of the current precision
        pairs = zip(x.x.flat, truth.flat, strict=True)
        return np.array([ball.contains(_fmpq(Fraction(y))) for ball, y in pairs], dtype=bool).reshape(x.shape)


def meets(x: BallArray, truth: np.ndarray) -> np.ndarray:
    """Which balls meet their number of 120 digits, an mpmath one known to a unit in its 110th."""
    with flint.ctx.workprec(4 * DIGITS):
        known = [_known(y) for y in truth.flat]
        return np.array([ball.overlaps(y) for ball, y in zip(x.x.flat, known, strict=True)]).reshape(x.shape)


def _known(y: Any) -> Any:
    with mpmath.workdps(DIGITS):
        middle = flint.arb(mpmath.nstr(mpmath.mpf(y), DIGITS))
    return middle + flint.arb(0, 1) * middle * flint.arb(10) ** (10 - DIGITS)
