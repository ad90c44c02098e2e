"""The number of pairs at one half, against a probit regression of statsmodels and its own interval by simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from ttr_numerics.measure import pairs_at_half

FALSE_ALARM = 1e-6
Z = float(stats.norm.ppf(1 - FALSE_ALARM / 2))
PAIRS = np.array([20, 28, 40, 56, 80, 112, 160])


def transition(n: np.ndarray, half: float, slope: float) -> np.ndarray:
    """Φ(-slope ln(n/half))."""
    return stats.norm.cdf(-slope * np.log(n / half))


@pytest.mark.parametrize(("half", "slope"), [(50.0, 1.3), (66.6, 0.9), (60.0, 2.5)])
def test_a_normal_transition_is_read_off_exactly(half, slope):
    found = pairs_at_half(PAIRS, transition(PAIRS, half, slope))
    assert found is not None
    # Quantile and logarithm invert each other to some ulps, which the line's condition, below 1e3, multiplies.
    slack = half * 1e4 * 2.0**-53
    assert abs(found.value - half) <= slack
    assert found.high - found.low <= 2 * 10 * slack  # and t₀.₉₇₅ ≤ 12.7 of such residuals


@pytest.mark.parametrize("seed", range(5))
def test_counts_have_the_half_of_a_probit_regression(seed):
    trials = 4000
    counts = np.random.default_rng(seed).binomial(trials, transition(PAIRS, 55.0, 1.0))
    found = pairs_at_half(PAIRS, counts / trials)
    probit = sm.GLM(
        np.stack([counts, trials - counts], -1),
        sm.add_constant(np.log(PAIRS)),
        family=sm.families.Binomial(sm.families.links.Probit()),
    ).fit()
    a, b = probit.params
    gradient = np.array([-1 / b, a / b**2])
    error = float(gradient @ probit.cov_params() @ gradient) ** 0.5  # of ln n½, by the delta method
    assert found is not None
    # The likelihood weights the points, least squares does not: its variance is larger, below four times on these.
    assert abs(np.log(found.value) + a / b) <= Z * 2 * error
    assert abs(np.log(found.value / 55.0)) <= Z * 2 * error


def test_the_interval_covers_the_half_as_often_as_it_says():
    draws, covered, rng = 2000, 0, np.random.default_rng(7)
    for _ in range(draws):
        quantiles = -np.log(PAIRS / 55.0) * 0.8 + 0.03 * rng.standard_normal(len(PAIRS))
        found = pairs_at_half(PAIRS, stats.norm.cdf(quantiles))
        assert found is not None
        assert found.trials == len(PAIRS)
        covered += found.low <= 55.0 <= found.high
    assert abs(covered / draws - 0.95) <= Z * (0.95 * 0.05 / draws) ** 0.5


def test_the_interval_ends_where_students_t_of_the_line_does():
    share = transition(PAIRS, 55.0, 0.8) + 0.02 * np.cos(PAIRS)
    found = pairs_at_half(PAIRS, share)
    x, y = sm.add_constant(np.log(PAIRS)), stats.norm.ppf(share)
    fit = sm.OLS(y, x).fit()

    def excess(log_n: float) -> float:
        ends = fit.get_prediction([[1.0, log_n]]).conf_int(alpha=0.05)[0]
        return float(ends[0] * ends[1])  # 0 where an end of the interval of the mean is 0

    assert found is not None
    low, high = (optimize.brentq(excess, *sorted((np.log(found.value), np.log(found.value) + e))) for e in (-1, 1))
    assert np.log([found.low, found.high]) == pytest.approx([low, high], abs=4e-12 + 1e4 * 2.0**-53)


def test_two_points_have_no_interval_and_order_does_not_matter():
    found = pairs_at_half(np.array([40, 10]), np.array([0.0, 1.0]))
    assert found is not None
    assert found.value == pytest.approx(20.0, rel=64 * 2.0**-53)
    assert np.isnan([found.low, found.high]).all()
    assert found.trials == 2
    order = np.random.default_rng(0).permutation(len(PAIRS))
    share = transition(PAIRS, 50.0, 1.0)
    assert pairs_at_half(PAIRS[order], share[order]) == pairs_at_half(PAIRS, share)


def test_points_that_do_not_fall_have_no_interval():
    found = pairs_at_half(np.array([10, 20, 40, 80]), np.array([0.5, 0.3, 0.8, 0.4]))
    assert found is not None
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("share", [[1.0, 0.9, 0.7], [0.4, 0.2, 0.1], []])
def test_a_share_that_does_not_fall_through_one_half_has_none(share):
    assert pairs_at_half(np.arange(1, len(share) + 1), np.array(share)) is None


@pytest.mark.parametrize(
    ("n", "share", "message"),
    [
        ([10, 20], [0.9], "n: expected different positive numbers, as many as shares"),
        ([10, 10], [0.9, 0.1], "n: expected different positive numbers"),
        ([0, 10], [0.9, 0.1], "n: expected different positive numbers"),
        ([5, 10], [1.1, 0.1], "share: expected numbers from 0 to 1"),
        ([5, 10], [np.nan, 0.1], "share: expected numbers from 0 to 1"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(n, share, message):
    with pytest.raises(ValueError, match=message):
        pairs_at_half(np.array(n), np.array(share))
