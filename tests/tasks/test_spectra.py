"""Spectra have the condition and trace they are asked for; keys have the covariance and the mean."""

import numpy as np
import pytest
from scipy import stats

from ttr_numerics import tasks
from ttr_numerics.measure import mean_key_share, whitened, whitening_metric

SPECTRA = [tasks.log_uniform_spectrum, tasks.power_law_spectrum, tasks.two_level_spectrum]


@pytest.mark.parametrize("spectrum", SPECTRA, ids=lambda f: f.__name__)
@pytest.mark.parametrize("cond", [1.0, 1e3, 1e6])
def test_spectra_have_the_condition_number_and_a_mean_of_one(spectrum, cond):
    for d in (2, 7, 64):
        found = spectrum(d, cond)
        # Powers of numbers of size cond lose ln(cond) roundoffs; the mean adds d.
        slack = 4 * (np.log(cond) + d) * 2.0**-53
        assert abs(found[0] / found[-1] / cond - 1) <= slack
        assert abs(np.mean(found) - 1) <= slack
        assert (np.diff(found) <= 0).all()


def test_gaussian_keys_have_the_variances_asked_for():
    spectrum = tasks.log_uniform_spectrum(8, 1e4)
    K = tasks.gaussian_keys(np.random.default_rng(0), (4, 5000, 8), spectrum)
    ratios = np.sum(K**2, axis=(0, 1)) / spectrum
    # Each is χ² of 20000 degrees of freedom: eight two-sided tests at 1e-6.
    assert ((ratios > stats.chi2.ppf(5e-7, 20000)) & (ratios < stats.chi2.isf(5e-7, 20000))).all()


def test_the_mean_key_carries_its_share():
    for share in (0.0, 0.3, 0.9):
        K = tasks.unit_keys_with_mean(np.random.default_rng(1), (50, 400, 64), share)
        # Scaling to unit norm moves the share by O(1/√d) of each key, O(1/d) in the mean; 1/n is an isotropic mean's.
        assert abs(np.mean(mean_key_share(K)) - share) < 2 / 64 + 1 / 400
        assert np.max(np.abs(np.linalg.norm(K, axis=-1) - 1)) <= 64 * 2.0**-53


def test_the_metric_whitens_the_keys_it_was_made_of_and_others_nearly():
    rng = np.random.default_rng(2)
    K, other = tasks.gaussian_keys(rng, (2, 4000, 6), tasks.log_uniform_spectrum(6, 100.0))
    own = K @ whitening_metric(K)
    # κ(K) = 10 roundings of n-long sums.
    assert np.max(np.abs(own - whitened(K))) <= 8 * 10 * 4000 * 2.0**-53 * np.max(np.abs(own))
    moment = (K @ whitening_metric(other)).T @ (K @ whitening_metric(other)) / 4000
    # Two Wishart fluctuations: eigenvalues of each within (1 ± √(d/n))², and a factor for the tail.
    assert np.max(np.abs(np.linalg.eigvalsh(moment) - 1)) < 4 * 2 * (6 / 4000) ** 0.5
    with pytest.raises(np.linalg.LinAlgError, match="full column rank"):
        whitening_metric(K[:4])
