"""Intervals for what was repeated: 95 % for shares and geometric means, one standard error for means."""

from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["Interval", "geometric_interval", "mean_interval", "proportion_interval"]


class Interval(NamedTuple):
    """An estimate, the ends of its interval, and how many repetitions made it."""

    value: float
    low: float
    high: float
    trials: int


def mean_interval(x: np.ndarray) -> Interval:
    """mean ± s/√m over m repetitions x (m,): one standard error; the ends are NaN for m = 1.

    >>> mean_interval(np.array([1.0, 3.0]))
    Interval(value=2.0, low=1.0, high=3.0, trials=2)
    """
    mean = float(np.mean(x))
    error = float(np.std(x, ddof=1)) / len(x) ** 0.5 if len(x) > 1 else float("nan")
    return Interval(mean, mean - error, mean + error, len(x))


def geometric_interval(x: np.ndarray) -> Interval:
    """exp of mean ± t₀.₉₇₅ s/√m of log x (m,), x > 0: a 95 % interval for the geometric mean (Student's t).

    >>> round(geometric_interval(np.array([2.0, 8.0])).value, 12)
    4.0
    """
    logs = np.log(x)
    middle, half = float(np.mean(logs)), float("nan")
    if len(x) > 1:
        half = float(stats.t.ppf(0.975, len(x) - 1) * np.std(logs, ddof=1)) / len(x) ** 0.5
    value, low, high = (float(np.exp(m)) for m in (middle, middle - half, middle + half))
    return Interval(value, low, high, len(x))


def proportion_interval(shares: np.ndarray, pairs: int) -> Interval:
    """Wilson's 95 % interval for the mean of m shares (m,), each of `pairs` yes-or-no answers.

    Answers of one repetition are dependent, so the sample counts as p(1-p)/se² answers, se the standard error over
    repetitions, and as at most m·pairs: with no spread at all the plain Wilson interval remains, never a bar of
    length zero. Reference: Korn and Graubard, Survey Methodology 24 (1998), with Wilson's interval.

    >>> [round(x, 3) for x in proportion_interval(np.ones(4), 24)[:3]]
    [1.0, 0.962, 1.0]
    """
    p, most = float(np.mean(shares)), len(shares) * pairs
    variance = float(np.var(shares, ddof=1)) / len(shares) if len(shares) > 1 else 0.0
    size = min(p * (1 - p) / variance, most) if variance > 0 else most
    z = float(stats.norm.ppf(0.975))
    middle = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z * (p * (1 - p) / size + z * z / (4 * size * size)) ** 0.5 / (1 + z * z / size)
    return Interval(p, min(middle - half, p), max(middle + half, p), len(shares))
