"""Formulas of the capacity study against simulation, an exact case, or the sum they abbreviate."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from ttr_numerics import exact, layers
from ttr_numerics.measure import bounds, list_recall, ranks
from ttr_numerics.tasks import isotropic_unit_keys

FALSE_ALARM = 1e-6


def agrees(samples: np.ndarray, formula: float) -> bool:
    """Whether the mean of independent `samples` (m,) may be `formula`, by a t test at FALSE_ALARM."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    return bool(abs(np.mean(samples) - formula) <= stats.t.ppf(1 - FALSE_ALARM / 2, len(samples) - 1) * error)


@pytest.mark.parametrize(("n", "d", "beta"), [(1, 4, 1.0), (40, 8, 1.0), (300, 16, 0.3), (64, 32, 0.0)])
def test_the_mean_of_the_delta_rule_is_the_mean_over_its_ages(n, d, beta):
    # Sums of n terms below 2 in two orders, and powers of n factors: n u each, some eight of them.
    rounding = 8 * n * 2.0**-53 * 4
    assert abs(bounds.delta_rule_mean_error(n, d, beta) - np.mean(bounds.delta_rule_errors(n, d, beta))) <= rounding


def test_the_best_step_is_that_of_the_ages_and_falls_like_width_over_pairs():
    found = bounds.best_constant_step(200, 16)
    of_ages = [float(np.mean(bounds.delta_rule_errors(200, 16, found * shift))) for shift in (0.99, 1.0, 1.01)]
    assert of_ages[1] == min(of_ages)
    steps = [bounds.best_constant_step(n, 64) for n in (64, 256, 4096, 65536)]
    assert steps == sorted(steps, reverse=True)
    # β ~ d/n up to a slowly varying factor between 1 and 2.
    assert 1 < steps[-1] * 65536 / 64 < 2


@pytest.mark.parametrize("d", [2, 5, 64])
@pytest.mark.parametrize("gain", [0.5, 8.0, 300.0])
def test_the_mean_weight_is_its_integral(d, gain):
    def weighted(power: float) -> tuple[float, float]:
        """∫ e^{power (cos a - 1)} sin^{d-2} a da and quad's own bound of its error, both ends of the mass told."""

        def integrand(angle: float) -> float:
            return float(np.exp(power * (np.cos(angle) - 1)) * np.sin(angle) ** (d - 2))

        ends = [0.0, 0.5, 1.5, np.pi]
        parts = [integrate.quad(integrand, a, b, epsabs=0, limit=200) for a, b in pairwise(ends)]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)

    (top, top_error), (bottom, bottom_error) = weighted(gain), weighted(0.0)
    # The logarithm has the relative error; the Bessel function and the logarithms add some roundings of size d + β.
    allowed = top_error / top + bottom_error / bottom + 16 * (d + gain) * 2.0**-53
    assert abs(bounds.log_mean_weight(d, gain) - gain - np.log(top / bottom)) <= allowed


@pytest.mark.parametrize(("n", "d", "gain"), [(20, 8, 4.0), (200, 16, 8.0)])
def test_the_softmax_load_is_the_mean_of_the_other_weights(n, d, gain):
    K = isotropic_unit_keys(np.random.default_rng(n), (400, n, d))
    weights = np.exp(gain * (np.sum(K[:, :1] * K[:, 1:], axis=-1) - 1))
    assert agrees(np.sum(weights, axis=-1), bounds.softmax_load(n, d, gain))
    assert agrees(np.sum(weights**2, axis=-1), bounds.softmax_load(n, d, 2 * gain))
    assert not agrees(np.sum(weights, axis=-1), bounds.softmax_load(n, d, 1.05 * gain))


def test_the_softmax_bound_holds_and_is_attained_within_a_factor():
    rng = np.random.default_rng(3)
    worst = 0.0
    for n, d, gain in ((2, 3, 1.0), (2, 3, 20.0), (50, 8, 10.0), (50, 8, 40.0)):
        K, V = (isotropic_unit_keys(rng, (200, n, d)) for _ in range(2))
        O = layers.bidirectional_softmax_attention(gain * K, K, V).o
        gram = K @ np.swapaxes(K, -1, -2) - 2 * np.eye(n)
        allowed = bounds.softmax_recall_bound(n, gain, 1 - np.max(gram, axis=-1))
        # Logits of size β with an error of β(d+2)u, and a mean of n values.
        ratio = np.linalg.norm(O - V, axis=-1) / (allowed + 2 * (gain * (d + 2) + n + d) * 2.0**-53)
        assert np.all(ratio <= 1)
        worst = max(worst, float(np.max(ratio)))
    assert worst > 0.5  # two opposite values reach it up to p_i
    assert np.any(
        np.linalg.norm(O - V, axis=-1) > bounds.softmax_recall_bound(n, gain, 2 * (1 - np.max(gram, axis=-1)))
    )


def test_the_sufficient_gain_is_where_the_bound_is_the_error():
    gain = bounds.sufficient_gain(100, 0.1, 0.4)
    assert abs(float(bounds.softmax_recall_bound(100, gain, 0.4)) - 0.1) <= 0.1 * 64 * 2.0**-53


@pytest.mark.parametrize("gain", [0.5, 1.0, 3.0])
def test_the_exponent_is_the_limit_of_the_load(gain):
    # Laplace: the corrections to ln E e^{βk·q} are of the order ln d, and a difference of two widths takes them off.
    near, far = (gain * d - bounds.log_mean_weight(d, gain * d) for d in (400, 800))
    assert abs((far - near) / 400 - bounds.softmax_exponent(gain)) < np.log(2) / 400


@pytest.mark.parametrize(("d", "gain"), [(8, 16.0), (16, 16.0)])
def test_half_of_the_values_come_back_about_where_mean_weights_say(d, gain):
    n, width = round(bounds.softmax_error_half(d, gain, 0.1)), 64
    rng, near = np.random.default_rng(d), []
    for size in (n // 3, 3 * n):
        K, V = isotropic_unit_keys(rng, (size, d)), isotropic_unit_keys(rng, (size, width))
        O = exact.kernel_smoother(K[:200], K, V, kernel=exact.kernels.Exponential(gain**-0.5))
        near.append(float(np.mean(np.linalg.norm(O - V[:200], axis=-1) <= 0.1)))
    assert near[0] > 0.5 > near[1]


def test_the_constants_of_ramsauer_et_al():
    for d, radius, c in ((20, 3.0, 3.1546), (75, 1.0, 1.3718)):
        found = (bounds.ramsauer_capacity(d, 1.0, radius, 0.001) / 0.001**0.5) ** (4 / (d - 1))
        assert abs(found - c) <= 0.5e-4 + 0.5e-4  # four decimals are printed, rounded either way


@pytest.mark.parametrize(("d", "degree"), [(16, 1), (16, 2), (24, 3)])
def test_the_moment_of_binary_keys(d, degree):
    K = np.random.default_rng(d).choice([-1.0, 1.0], (2, 200_000, d)) / d**0.5
    samples = np.sum(K[0] * K[1], axis=-1) ** (2 * degree)
    assert agrees(samples, bounds.polynomial_moment(d, degree))
    assert not agrees(samples, 1.2 * bounds.polynomial_moment(d, degree))


def test_signs_come_back_more_often_than_gaussian_noise_says_by_no_more_than_stated():
    n, d = 24, 128
    rng = np.random.default_rng(5)
    K, V = (rng.choice([-1.0, 1.0], (150, n, d)) for _ in range(2))
    K = K / d**0.5
    O = K @ layers.linear_attention(K, K, V).state
    shares = np.mean(np.all(O * V > 0, axis=-1), axis=-1)
    predicted = bounds.signs_recalled(n, d, 1)
    slack = stats.t.ppf(1 - FALSE_ALARM / 2, 149) * float(np.std(shares, ddof=1)) / 150**0.5
    gap = float(np.mean(shares)) - predicted
    assert -slack <= gap <= 0.1 + slack
    assert float(np.mean(shares)) - bounds.signs_recalled(n + n // 2, d, 1) > 0.1 + slack


def test_dense_capacity_is_mceliece_at_degree_one_and_the_half_tends_to_it():
    assert abs(bounds.dense_capacity(100, 1) - 100 / (2 * np.log(100))) <= 100 * 2.0**-50
    ratio = [bounds.dense_half(d, 1) / bounds.dense_capacity(d, 1) for d in (10**2, 10**3, 10**4)]
    assert ratio == sorted(ratio, reverse=True)
    assert 1 < ratio[-1] < 1.5


@pytest.mark.parametrize("d", [16, 64])
def test_half_recalled_is_where_the_approximation_is_one_half(d):
    n = bounds.half_recalled(d)
    assert bounds.top1_accuracy(int(n), int(n), d, d) >= 0.5 >= bounds.top1_accuracy(int(n) + 1, int(n) + 1, d, d)
    listed = bounds.half_recalled(d, 0.05)
    assert listed > n


def test_forgetting_layers_are_at_half_about_where_their_signal_meets_the_noise():
    d = 128
    rng, shares = np.random.default_rng(8), {}
    n = bounds.forgetting_half(1 / d, 1 / d)
    for size in (round(n / 1.5), round(1.5 * n)):
        K, V = (isotropic_unit_keys(rng, (size, d)) for _ in range(2))
        S = layers.chunked.delta_rule(K, K, V, beta=np.ones(size)).state
        shares[size] = float(list_recall(ranks(K @ S, V), 1))
    first, last = shares.values()
    assert first > 0.5 > last
    with pytest.raises(ValueError, match="noise"):
        bounds.forgetting_half(0.1, 1.0)


def test_expected_misses_are_those_of_linear_attention():
    n, d = 96, 64
    rng, misses = np.random.default_rng(6), []
    for _ in range(150):
        K, V = (isotropic_unit_keys(rng, (n, d)) for _ in range(2))
        rank = ranks(K @ layers.linear_attention(K, K, V).state, V)
        misses.append(float(np.sum(rank)))
    # A heuristic: Gaussian throughout. Within a third, where d² ~ 9 n ln n; leaving out the logarithm's 8 is far off.
    expected = bounds.expected_misses(n, d)
    assert abs(np.mean(misses) / expected - 1) < 1 / 3
    assert abs(np.mean(misses) / bounds.expected_misses(2 * n, d) - 1) > 1 / 3
    assert abs(bounds.all_recalled_probability(n, d) - np.exp(-expected)) == 0
    assert list_recall(rank, 1) <= 1
