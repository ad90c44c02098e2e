"""The formulas of iterative solvers and of number formats against other libraries, every number, or simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.sparse.linalg import cg

from analysis.precision.storage import dithered
from ttr_numerics import layers, tasks
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.exact.smoother import kernel_smoother
from ttr_numerics.measure import bounds
from ttr_numerics.precision import FORMATS

U = 2.0**-53


def spread_matrix(rng: np.random.Generator, d: int, kappa: float) -> np.ndarray:
    axes, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return (axes * np.geomspace(1 / kappa, 1.0, d)) @ axes.T


def scipy_errors(A: np.ndarray, b: np.ndarray, steps: int) -> list[float]:
    """‖e_k‖_A/‖e_0‖_A of SciPy's conjugate gradients."""
    x, found = np.linalg.solve(A, b), []
    cg(A, b, rtol=0.0, atol=0.0, maxiter=steps, callback=lambda xk: found.append(math.sqrt((xk - x) @ A @ (xk - x))))
    return [error / math.sqrt(x @ A @ x) for error in found]


@pytest.mark.parametrize("kappa", [4.0, 51.0, 1e3])
def test_scipys_conjugate_gradients_stay_below_the_bound_and_not_below_that_of_a_better_matrix(kappa):
    rng = np.random.default_rng(round(kappa))
    errors = scipy_errors(spread_matrix(rng, 200, kappa), rng.standard_normal(200), 30)
    rounding = 230 * kappa * U  # a κu for every step and every term of a product
    assert all(e <= bounds.conjugate_gradient_bound(k, kappa) + rounding for k, e in enumerate(errors, start=1))
    better = [bounds.conjugate_gradient_bound(k, 1 + (kappa - 1) / 8) for k in range(1, 31)]
    assert any(e > bound for e, bound in zip(errors, better, strict=True))


@pytest.mark.parametrize("kappa", [1.5, 51.0, 1e4])
def test_the_chebyshev_bound_is_numpys_polynomial(kappa):
    for k in (1, 2, 10, 30):
        direct = 1 / np.polynomial.chebyshev.Chebyshev.basis(k)((kappa + 1) / (kappa - 1))
        # acosh near 1 loses the digits of (κ+1)/(κ-1) - 1 = 2/(κ-1): κu relative in its square; k steps of that.
        assert abs(bounds.chebyshev_bound(k, kappa) - direct) <= 8 * (k + 1) * kappa * U * direct


@pytest.mark.parametrize("kappa", [2.0, 51.0, 1e3])
@pytest.mark.parametrize("error", [0.3, 1e-3, 1e-12])
def test_steps_are_the_fewest(kappa, error):
    for bound, steps in (
        (bounds.chebyshev_bound, bounds.chebyshev_steps),
        (bounds.conjugate_gradient_bound, bounds.conjugate_gradient_steps),
    ):
        k = steps(error, kappa)
        assert bound(k, kappa) <= error * (1 + 1e3 * kappa * U)
        assert bound(k - 1, kappa) > error


def test_a_perfect_matrix_takes_one_step():
    assert bounds.chebyshev_steps(1e-9, 1.0) == bounds.conjugate_gradient_steps(1e-9, 1.0) == 1
    assert bounds.chebyshev_bound(1, 1.0) == bounds.conjugate_gradient_bound(1, 1.0) == 0


@pytest.mark.parametrize("bits", [8.0, 8.25, 8.5, 9.0])
def test_the_unforgotten_share_counts_every_number_of_the_format(bits):
    delta, bf16 = 2.0**-bits, FORMATS["bfloat16"]
    m = 1 + np.arange(128) / 128
    kept = bf16.nearest(m * (1 - delta)) == m
    weight = np.log2((m + 1 / 128) / m)  # of ln m uniform, each number standing for those up to the next
    assert abs(np.sum(weight * kept) - bounds.unforgotten_share(delta, 8)) <= 2.0**-7


def test_a_stochastically_stored_delta_state_errs_as_the_formula_says():
    d, tokens, decay, rng = 16, 120, 0.9, np.random.default_rng(0)
    k, v = (tasks.isotropic_unit_keys(rng, (400, tokens, d)).astype(np.float32) for _ in range(2))
    gates = {"log_decay": np.full((400, 1), np.log(decay), np.float32), "beta": np.ones((400, 1), np.float32)}
    S = exact = np.zeros((400, d, d), np.float32)
    for t in range(tokens):
        now = [x[:, t : t + 1] for x in (k, k, v)]
        exact = layers.gated_delta_rule(*now, **gates, initial_state=exact).state
        S = dithered(layers.gated_delta_rule(*now, **gates, initial_state=S).state, rng)
    square = np.sum((S - exact) ** 2, axis=(-2, -1)) / np.mean(np.sum(exact**2, axis=(-2, -1)))
    standard_error = np.std(square, ddof=1) / 20
    t = float(stats.t.ppf(1 - 5e-7, 399))
    assert abs(np.mean(square) - bounds.stored_state_error(decay, d, 2.0**-8) ** 2) <= t * standard_error
    # A decay that is forgotten in the formula would be seen.
    assert abs(np.mean(square) - bounds.stored_state_error(1.0, d, 2.0**-8) ** 2) > t * standard_error


def test_gates_overflow_where_the_formula_says():
    limit = bounds.overflow_gate(16, 2.0**128)
    with np.errstate(over="ignore"):
        inside, outside = (np.exp(np.float32(-15 * limit * factor)) for factor in (1 - 1e-6, 1 + 1e-6))
    assert np.isfinite(inside)
    assert np.isinf(outside)


def test_norm_weights_make_softmax_of_nadaraya_watson():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((12, 5)) for _ in range(3))
    softmax = layers.bidirectional_softmax_attention(0.5 * q, k, v).o
    smooth = kernel_smoother(q, k, v, kernel=Gaussian(2**0.5), log_weights=bounds.norm_log_weights(k, 0.5))
    # Logits of size s are off by (d + few) u s, weights by that of themselves.
    size = 0.5 * np.max(np.linalg.norm(q, axis=-1)) * np.max(np.linalg.norm(k, axis=-1))
    assert np.max(abs(softmax - smooth)) <= 40 * size * U * np.max(abs(v)) * 2
    wrong = kernel_smoother(q, k, v, kernel=Gaussian(2**0.5), log_weights=bounds.norm_log_weights(k, 0.505))
    assert np.max(abs(softmax - wrong)) > 1e6 * U


def test_the_effective_sample_size_is_the_variance_of_a_weighted_mean():
    rng = np.random.default_rng(0)
    logs = rng.standard_normal(30)
    weights = np.exp(logs) / np.sum(np.exp(logs))
    means = rng.standard_normal((40_000, 30)) @ weights
    # Sample variances of Gaussians have relative standard deviation √(2/m).
    assert abs(np.var(means) * bounds.effective_sample_size(logs) - 1) <= 5 * (2 / 40_000) ** 0.5


def test_no_key_gets_more_attention_than_the_bound_and_antipodal_keys_get_it():
    rng = np.random.default_rng(0)
    K, n = tasks.isotropic_unit_keys(rng, (50, 9, 3)), 9
    one = np.broadcast_to(np.eye(n), (50, n, n))
    for gain in (0.1, 1.0, 5.0):
        p = layers.bidirectional_softmax_attention(gain * K, K, one).o
        assert np.max(p) <= bounds.largest_attention(n, gain)
    opposite = np.concatenate([np.ones((1, 1)), -np.ones((n - 1, 1))])
    p = layers.bidirectional_softmax_attention(2.0 * opposite, opposite, np.eye(n)).o
    assert abs(p[0, 0] - bounds.largest_attention(n, 2.0)) <= 10 * n * U
