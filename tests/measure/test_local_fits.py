"""The error of local polynomial fits against the weights of the exact smoother, simulation, and its orders in h."""

import numpy as np
import pytest
from scipy import integrate, stats

from analysis.switching import rates
from ttr_numerics import exact
from ttr_numerics.measure import bounds

U = 2.0**-53
NOISE = 0.25


def weights(q, K, log_weights, degree, h):
    """The smoother's own s (queries, keys): its answers to unit values."""
    kernel = exact.kernels.Gaussian(h)
    return exact.local_polynomial(q, K, np.eye(len(K)), degree=degree, kernel=kernel, log_weights=log_weights)


@pytest.mark.parametrize(
    ("degree", "d", "nodes"), [(0, 1, 60), (1, 1, 60), (2, 1, 60), (3, 1, 60), (1, 2, 16), (2, 2, 16)]
)
def test_bias_and_variance_are_those_of_the_weights_of_the_smoother_on_a_fine_design(degree, d, nodes):
    x, share = np.polynomial.legendre.leggauss(nodes)
    K = np.stack(np.meshgrid(*[x] * d, indexing="ij"), axis=-1).reshape(-1, d)
    of_design = np.prod(np.stack(np.meshgrid(*[share / 2] * d, indexing="ij"), axis=-1), axis=-1).reshape(-1)
    s = weights(K, K, np.log(of_design), degree, 0.4)
    bias = s @ rates.wave(K) - rates.wave(K)
    squared_bias, variance = of_design @ bias[:, 0] ** 2, NOISE * of_design @ np.sum(s**2 / of_design, axis=-1)
    found = bounds.local_fit_error(degree, d, 1.0, 0.4, NOISE, rates.channel, nodes)
    noiseless = bounds.local_fit_error(degree, d, 1.0, 0.4, 0.0, rates.channel, nodes)
    # Monomials of z/h up to (2/0.4)^p under a Gaussian weight: some nodes^d roundoffs of columns that are nearly
    # orthogonal inside, and conditioned by (2/0.4)^p at most at the ends.
    rounding = 8 * len(K) * 5.0**degree * U
    assert abs(found.squared_bias - squared_bias) <= rounding
    assert abs(found.variance - noiseless.variance - variance) <= rounding * variance


@pytest.mark.parametrize(("degree", "stated"), [(0, 3), (1, 4), (2, 7), (3, 8)])
def test_squared_bias_of_the_smoother_itself_falls_by_its_stated_order_in_the_bandwidth(degree, stated):
    x, share = np.polynomial.legendre.leggauss(800)
    keys, squares = x[:, None], []
    for h in (0.08, 0.04, 0.02, 0.01):
        given = {"kernel": exact.kernels.Gaussian(h), "log_weights": np.log(share)}
        o = exact.local_polynomial(keys, keys, rates.wave(keys), degree=degree, **given)
        squares.append(share @ (o - rates.wave(keys))[:, 0] ** 2)
    slopes = -np.diff(np.log2(squares))
    # A slope is off by order h. Extrapolated to h = 0 from two, it is off by h², a quarter for half of h.
    early, late = 2 * slopes[1:] - slopes[:-1]
    assert bounds.squared_bias_order(degree) == stated
    assert abs(late - stated) < abs(early - stated) / 2
    # Orders are whole numbers.
    assert abs(late - stated) < 1 / 32


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_variance_falls_as_the_bandwidth_to_the_minus_d(degree, d):
    variances = [
        bounds.local_fit_error(degree, d, 1.0, h, 1.0, np.zeros_like, 400).variance for h in (0.08, 0.04, 0.02)
    ]
    wide, narrow = np.diff(np.log2(variances))
    # The layer at the boundary adds a share of order h.
    assert abs(narrow - d) < 0.65 * abs(wide - d)
    assert abs(wide - d) < d / 2


@pytest.mark.parametrize(("degree", "d", "h"), [(0, 1, 0.1), (0, 2, 0.25), (1, 2, 0.25), (2, 2, 0.4)])
def test_error_over_random_designs_is_bias_and_variance(degree, d, h):
    rng = np.random.default_rng([degree, d])
    n, kernel = 2000, exact.kernels.Gaussian(h)
    K, q = rng.uniform(-1, 1, (40, n, d)), rng.uniform(-1, 1, (40, 60, d))
    V = rates.wave(K) + NOISE**0.5 * rng.standard_normal((40, n, 8))
    o = exact.local_polynomial(q, K, V, degree=degree, kernel=kernel)
    samples = np.mean((o - rates.wave(q)) ** 2, axis=(-2, -1))
    found = bounds.local_fit_error(degree, d, n, h, NOISE, rates.channel)
    allowed = stats.t.ppf(1 - 1e-6 / 2, 39) * np.std(samples, ddof=1) / 40**0.5
    assert abs(np.mean(samples) - found.error) <= allowed
    # Planted: the error without its squared bias, or of half as much noise, is told.
    assert abs(np.mean(samples) - found.variance) > allowed or found.squared_bias < allowed


def test_misfit_of_the_best_linear_function_is_its_integral():
    def mean(function):
        return integrate.quad(function, -1, 1, epsabs=1e-14)[0] / 2

    g = rates.channel
    level, slope = mean(g), 3 * mean(lambda x: x * g(x))
    left = mean(lambda x: (g(x) - level - slope * x) ** 2)
    # Quadrature to 1e-14, and a difference of terms below 1.
    assert abs(rates.misfit() - left) < 1e-13
