"""The error of a weighted sum of random values: its mean over every pattern of signs, and over drawn unit values."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ttr_numerics import tasks
from ttr_numerics.measure import bounds

FALSE_ALARM = 1e-6


@pytest.mark.parametrize("gates", [1.0, np.array([0.25, 1.5, -1.0])])
def test_error_is_the_mean_over_all_signs_of_the_values(gates):
    """Signs over √d_v are isotropic, unit and independent: 2⁹ patterns of three values of three channels."""
    n, d_v = 3, 3
    W = np.random.default_rng(0).standard_normal((n, n))
    V = np.array(list(product([-1.0, 1.0], repeat=n * d_v))).reshape(-1, n, d_v) / d_v**0.5
    found = np.mean(np.sum((gates * (W @ V) - V) ** 2, axis=-1), axis=0)
    # 2⁹ sums of n d_v squares, each of n products of numbers below 4.
    rounding = 2**9 * n * n * d_v * 16 * 2.0**-53
    assert np.max(np.abs(found - bounds.weighted_sum_errors(W, gates))) <= rounding


def test_error_is_that_of_drawn_unit_values():
    """2000 draws, d_v = 5, ten pairs: within Student's t of all ten at once."""
    rng, m, n = np.random.default_rng(1), 2000, 10
    W = rng.standard_normal((n, n)) / n**0.5
    V = tasks.isotropic_unit_keys(rng, (m, n, 5))
    errors = np.sum((W @ V - V) ** 2, axis=-1)
    slack = stats.t.ppf(1 - FALSE_ALARM / 2 / n, m - 1) * np.std(errors, axis=0, ddof=1) / m**0.5
    gap = np.abs(np.mean(errors, axis=0) - bounds.weighted_sum_errors(W))
    assert np.all(gap <= slack)
    assert np.any(np.abs(np.mean(errors, axis=0) - bounds.weighted_sum_errors(1.1 * W)) > slack)


def test_linear_attention_on_orthogonal_keys_makes_no_error():
    assert not np.any(bounds.weighted_sum_errors(np.eye(4)))


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_leading_axes_are_a_batch(batch):
    W = np.random.default_rng(2).standard_normal((*batch, 4, 4))
    found = bounds.weighted_sum_errors(W)
    assert found.shape == (*batch, 4)
    assert np.array_equal(found.reshape(-1, 4)[-1], bounds.weighted_sum_errors(W.reshape(-1, 4, 4)[-1]))
