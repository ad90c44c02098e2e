"""Constants of scaling laws, fitted to measurements, with intervals: least squares and Student's t."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from ttr_numerics.measure.intervals import Interval

__all__ = ["Line", "PowerLaw", "constant", "line", "power_law"]


class Line(NamedTuple):
    """y = slope x + intercept, each with its 95 % interval, and the standard deviation of the residuals."""

    slope: Interval
    intercept: Interval
    residual: float


class PowerLaw(NamedTuple):
    """y = constant x^exponent, each with its 95 % interval."""

    exponent: Interval
    constant: Interval


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """y = a x + b by least squares over m ≥ 2 points, a and b ± t₀.₉₇₅(m-2) standard errors; NaN ends for m = 2.

    The intervals hold for independent residuals of equal variance: they say how well the law fits these points, not
    how well each point is known. The residual is √(Σe²/(m-2)).

    Raises ValueError where x and y are not m ≥ 2 finite numbers each, x of at least two values.

    >>> line(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])).slope
    Interval(value=2.0, low=2.0, high=2.0, trials=3)
    """
    x, y = _points("x", x), _points("y", y)
    m = len(x)
    if m != len(y) or m < 2 or float(np.ptp(x)) == 0:
        raise ValueError(f"x, y: expected as many of each and two values of x at least, got {x.tolist()}, {y.tolist()}")
    centre, spread = float(np.mean(x)), float(np.sum((x - np.mean(x)) ** 2))
    slope = float(np.sum((x - centre) * (y - np.mean(y)))) / spread
    intercept = float(np.mean(y)) - slope * centre
    residual = float("nan")
    if m > 2:
        residual = float(np.sum((y - slope * x - intercept) ** 2) / (m - 2)) ** 0.5
    half = float(stats.t.ppf(0.975, m - 2)) * residual if m > 2 else float("nan")
    of_slope, of_intercept = half / spread**0.5, half * (1 / m + centre**2 / spread) ** 0.5
    return Line(_around(slope, of_slope, m), _around(intercept, of_intercept, m), residual)


def power_law(x: np.ndarray, y: np.ndarray) -> PowerLaw:
    """y = c x^p: `line` through (ln x, ln y), x and y > 0; the interval of c is exp of the intercept's.

    >>> power_law(np.array([1.0, 2.0, 4.0]), np.array([3.0, 12.0, 48.0])).exponent.value
    2.0
    """
    x, y = _points("x", x), _points("y", y)
    if np.any(x <= 0) or np.any(y <= 0):
        raise ValueError(f"x, y: expected positive numbers, got {x.tolist()}, {y.tolist()}")
    fitted = line(np.log(x), np.log(y))
    value, low, high = (float(np.exp(end)) for end in fitted.intercept[:3])
    return PowerLaw(fitted.slope, Interval(value, low, high, len(x)))


def constant(y: np.ndarray) -> Interval:
    """mean ± t₀.₉₇₅(m-1) s/√m of m values y (m,): a 95 % interval; NaN ends for m = 1.

    >>> constant(np.array([2.0, 2.0])).high
    2.0
    """
    y = _points("y", y)
    m, mean = len(y), float(np.mean(y))
    half = float(stats.t.ppf(0.975, m - 1) * np.std(y, ddof=1)) / m**0.5 if m > 1 else float("nan")
    return _around(mean, half, m)


def _around(value: float, half: float, trials: int) -> Interval:
    return Interval(value, value - half, value + half, trials)


def _points(name: str, x: np.ndarray) -> np.ndarray:
    points = np.asarray(x, dtype=float)
    if points.ndim != 1 or not points.size or not np.all(np.isfinite(points)):
        raise ValueError(f"{name}: expected a sequence of finite numbers, got {points.tolist()}")
    return points
