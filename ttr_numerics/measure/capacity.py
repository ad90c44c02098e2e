"""How many pairs a memory holds: where the share that it recalls falls through one half."""

from itertools import pairwise

import numpy as np
from scipy import stats

from ttr_numerics.measure.fits import Line, line
from ttr_numerics.measure.intervals import Interval

__all__ = ["pairs_at_half"]

WINDOW = (0.1, 0.9)  # shares in which a share is a straight line in ln n, as a normal quantile
NEAREST = 1e-3  # shares nearer to 0 or 1 have no quantile that means anything


def pairs_at_half(n: np.ndarray, share: np.ndarray) -> Interval | None:
    """n½ = exp(-a/b) of Φ⁻¹(share) = a + b ln n, and its 95 % interval: the number of pairs at which half are recalled.

    n (m,) numbers of pairs and the share (m,) recalled of each, in any order. Least squares over the shares from 0.1
    to 0.9 where these are three or more, about ½; else the line through the two points between which the share first
    falls below ½, whose ends are NaN. None where it does not fall through ½. The interval is Fieller's for the zero
    of a fitted line, the x with |a + b x| ≤ t₀.₉₇₅(m-2) s √(1/m + (x - x̄)²/S_xx): how well the law fits these points,
    NaN ends where the slope may be 0. Raises ValueError where n and the shares are not as many positive numbers and
    numbers from 0 to 1, or one n comes twice.
    Reference: Finney, Probit Analysis; Fieller, JRSS B 16 (1954).

    >>> found = pairs_at_half(np.array([16, 24, 32, 48, 64, 96]), np.array([0.93, 0.8, 0.66, 0.41, 0.24, 0.08]))
    >>> [round(x) for x in found[:3]], found.trials
    ([41, 40, 42], 4)
    >>> pairs_at_half(np.array([10, 20]), np.array([1.0, 0.9])) is None
    True
    """
    n, share = _checked(n, share)
    crossing = next((i for i, (one, other) in enumerate(pairwise(share)) if one >= 0.5 > other), None)
    if crossing is None:
        return None
    inner = np.flatnonzero((share >= WINDOW[0]) & (share <= WINDOW[1]))
    inside = len(inner) > 2 and share[inner[0]] >= 0.5 > share[inner[-1]]
    kept = inner if inside else np.array([crossing, crossing + 1])
    x, y = np.log(n[kept]), stats.norm.ppf(np.clip(share[kept], NEAREST, 1 - NEAREST))
    fitted = line(x, y)
    low, high = (float(np.exp(end)) for end in _fieller(x, y, fitted))
    return Interval(float(np.exp(-fitted.intercept.value / fitted.slope.value)), low, high, len(kept))


def _checked(n: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As floats, in the order of n."""
    n, share = np.asarray(n, dtype=float), np.asarray(share, dtype=float)
    if n.ndim != 1 or n.shape != share.shape or not np.all(np.isfinite(n) & (n > 0)) or len(set(n.tolist())) < len(n):
        raise ValueError(f"n: expected different positive numbers, as many as shares {share.shape}, got {n.tolist()}")
    if not np.all((share >= 0) & (share <= 1)):
        raise ValueError(f"share: expected numbers from 0 to 1, got {share.tolist()}")
    order = np.argsort(n)
    return n[order], share[order]


def _fieller(x: np.ndarray, y: np.ndarray, fitted: Line) -> tuple[float, float]:
    """The ends of {x : (ȳ + b (x - x̄))² ≤ t² s² (1/m + (x - x̄)²/S_xx)}; NaN where that is not an interval."""
    m, b, mean = len(x), fitted.slope.value, float(np.mean(y))
    if m < 3:
        return float("nan"), float("nan")
    allowed, spread = (float(stats.t.ppf(0.975, m - 2)) * fitted.residual) ** 2, float(np.sum((x - np.mean(x)) ** 2))
    square = b * b - allowed / spread
    if square <= 0:
        return float("nan"), float("nan")
    # square z² + 2 b ȳ z + ȳ² - t² s²/m = 0 in z = x - x̄, whose discriminant is a sum of squares.
    root = (allowed * (square / m + mean * mean / spread)) ** 0.5
    low, high = (float(np.mean(x)) + (-b * mean + sign * root) / square for sign in (-1, 1))
    return low, high
