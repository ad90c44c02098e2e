"""The error of a memory that is linear in its values, against simulation and against the formulas it contains."""

import numpy as np
from scipy import stats

from ttr_numerics import exact, features
from ttr_numerics.measure import bounds, participation_ratio, relative_squared_error
from ttr_numerics.tasks import isotropic_unit_keys

FALSE_ALARM = 1e-6
U = 2.0**-53


def agrees(samples: np.ndarray, formula: float) -> bool:
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    return abs(np.mean(samples) - formula) <= stats.t.ppf(1 - FALSE_ALARM / 2, len(samples) - 1) * error


def test_error_of_given_features_at_any_scale_is_a_trace_and_a_norm():
    rng = np.random.default_rng(0)
    F = features.taylor(1.5 * isotropic_unit_keys(rng, (30, 4)))
    V = isotropic_unit_keys(rng, (4000, 30, 6))
    A = F @ F.T
    for scale in (0.02, 0.1):
        samples = relative_squared_error(scale * A @ V, V)
        formula = bounds.smoothing_error(np.trace(A), np.sum(A * A), 30, scale)
        assert agrees(samples, formula)
        assert not agrees(samples, bounds.smoothing_error(np.trace(A), 1.05 * np.sum(A * A), 30, scale))


def test_linear_attention_and_least_squares_are_cases():
    rng = np.random.default_rng(1)
    F = features.relu(rng.standard_normal((40, 9)))
    A = F @ F.T
    best = bounds.smoothing_error(np.trace(A), np.sum(A * A), 40)
    # Squares of singular values, and of a Gram matrix: no cancellation but in 1 - PR/n, of size 1.
    assert abs(best - bounds.linear_attention_fixed_keys(40, float(participation_ratio(F)))[1]) <= 40 * 9 * 8 * U
    H = F @ exact.least_norm(F, np.eye(40)).S
    hat = bounds.smoothing_error(np.trace(H), np.sum(H * H), 40)
    # A projection: errors of the condition number times some 40 roundoffs.
    assert abs(hat - bounds.least_squares_floor(40, 9)) <= 40 * 40 * U * np.linalg.cond(F)


def test_effective_dimension_of_plain_keys_is_their_dimension():
    for n, d in ((8, 3), (200, 64)):
        assert abs(bounds.effective_dimension(bounds.linear_attention_scaled_error(n, d), n) - d) <= 16 * n * U * d


def test_effective_dimension_of_unit_features_is_one_over_their_mean_squared_similarity():
    rng = np.random.default_rng(2)
    F = features.quadratic(isotropic_unit_keys(rng, (300, 5)))
    A = F @ F.T
    distinct = (np.sum(A * A) - 300) / (300 * 299)
    found = bounds.effective_dimension(bounds.smoothing_error(np.trace(A), np.sum(A * A), 300), 300)
    assert abs(found * distinct - 1) <= 300 * 300 * U
    # E(x·y)⁴ = 3/(d(d+2)) for unit keys, over 44850 pairs of standard deviation below 1.
    assert abs(distinct - 3 / 35) <= 5 / 300
