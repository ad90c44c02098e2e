"""Fitted constants and their intervals against SciPy's own regression, and their coverage by simulation."""

import numpy as np
import pytest
from scipy import stats

from ttr_numerics.measure import constant, line, power_law

FALSE_ALARM = 1e-6


def points(m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(1, 5, m), rng.standard_normal(m)


def within(found: float, expected: float, m: int, x: np.ndarray) -> bool:
    """To the rounding of sums of m centred terms: 8 m u relative to the sizes, times the spread's condition."""
    condition = float(np.sum(x**2) / np.sum((x - np.mean(x)) ** 2))
    return abs(found - expected) <= 8 * m * 2.0**-53 * condition * max(1.0, abs(expected))


@pytest.mark.parametrize("m", [3, 6, 50])
def test_line_is_scipys_regression_with_students_interval(m):
    x, y = points(m, m)
    found, expected = line(x, y), stats.linregress(x, y)
    t = stats.t.ppf(0.975, m - 2)
    for interval, value, error in (
        (found.slope, expected.slope, expected.stderr),
        (found.intercept, expected.intercept, expected.intercept_stderr),
    ):
        assert within(interval.value, value, m, x)
        # A difference of squares in SciPy's own error: the square root of rounding is not reached at these residuals.
        assert within(interval.high - interval.value, t * error, m, x)
        assert interval.trials == m


def test_power_law_is_a_line_in_logarithms():
    x, y = points(7, 1)
    fitted, straight = power_law(x, np.exp(y)), line(np.log(x), y)
    assert fitted.exponent.value == pytest.approx(straight.slope.value, rel=64 * 2.0**-53)
    assert fitted.constant.low < fitted.constant.value < fitted.constant.high


def test_intervals_cover_the_truth_as_often_as_they_say():
    draws, x = 2000, np.linspace(0.0, 1.0, 5)
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(draws):
        slope = line(x, 3 * x + rng.standard_normal(5)).slope
        covered += slope.low <= 3 <= slope.high
    slack = stats.norm.ppf(1 - FALSE_ALARM / 2) * (0.95 * 0.05 / draws) ** 0.5
    assert abs(covered / draws - 0.95) <= slack


def test_constant_is_scipys_interval_of_a_mean():
    _, y = points(9, 3)
    found = constant(y)
    low, high = stats.ttest_1samp(y, 0.0).confidence_interval(0.95)
    assert abs(found.low - low) <= 64 * 2.0**-53
    assert abs(found.high - high) <= 64 * 2.0**-53


@pytest.mark.parametrize(
    ("x", "y"),
    [([1.0], [2.0]), ([1.0, 1.0], [2.0, 3.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]), ([], [])],
    ids=["one point", "one abscissa", "not finite", "lengths", "none"],
)
def test_what_no_line_goes_through_is_refused(x, y):
    with pytest.raises(ValueError, match="expected"):
        line(np.array(x), np.array(y))


def test_a_power_law_needs_positive_numbers():
    with pytest.raises(ValueError, match="expected positive"):
        power_law(np.array([1.0, 2.0]), np.array([0.0, 1.0]))


def test_two_points_leave_no_interval():
    found = power_law(np.array([1.0, 2.0]), np.array([1.0, 4.0])).exponent
    assert found.value == 2.0
    assert np.isnan([found.low, found.high]).all()
