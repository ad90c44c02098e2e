"""The formulas of drift and of rates against simulation, the filter, and the identities they contain.

A simulated mean must lie within Student's t of its formula at a false-alarm rate of 1e-6 a comparison.
"""

import numpy as np
import pytest
from scipy import optimize

from tests.measure.test_bounds import agrees
from ttr_numerics import exact, layers, tasks
from ttr_numerics.measure import bounds

U = 2.0**-53


def excesses(d: int, q: float, decay: float, beta: float, noise: float) -> np.ndarray:
    """Mean excess (m,) of the layer itself after twelve memory lengths, one a draw."""
    rng = np.random.default_rng([d, round(1e4 * q), round(10 * noise)])
    burn = int(12 * d / (2 * beta - beta**2))
    x = rng.standard_normal((40, burn + 300, d))
    task = tasks.drifting_regression(rng, x, q, noise, 2)
    step = beta / np.sum(x**2, axis=-1)
    gate = np.full(step.shape, np.log(decay))
    o = layers.chunked.gated_delta_rule(np.roll(x, -1, axis=-2), x, task.v, log_decay=gate, beta=step).o
    return np.mean((decay * o[:, burn:-1] - task.target[:, burn + 1 :]) ** 2, axis=(-2, -1))


@pytest.mark.parametrize(
    ("d", "q", "decay", "beta", "noise"),
    [(8, 0.02, 0.99, 1.0, 0.0), (8, 0.05, 0.95, 0.6, 0.3), (16, 0.2, 1.0, 0.5, 1.0)],
)
def test_the_closed_form_is_the_layers_steady_state(d, q, decay, beta, noise):
    samples = excesses(d, q, decay, beta, noise)
    assert agrees(samples, bounds.gated_delta_rule_drift_error(d, q, decay, beta, noise))
    assert not agrees(samples, bounds.gated_delta_rule_drift_error(d, q, 0.9 * decay, beta, noise))


@pytest.mark.parametrize(("d", "q", "noise"), [(32, 0.02, 1.0), (8, 0.1, 0.1), (16, 0.3, 1.0), (8, 0.02, 0.01)])
def test_the_best_pair_is_a_minimum_of_the_closed_form(d, q, noise):
    best = bounds.best_gated_delta_rule(d, q, noise)
    found = optimize.minimize(
        lambda x: bounds.gated_delta_rule_drift_error(d, q, *x, noise),
        [best.decay * 0.97, best.beta * 0.8],
        bounds=[(0, 1), (0, 1)],
        method="Nelder-Mead",
    )
    # The quadratic and the closed form are a dozen operations each on numbers of size 1.
    rounding = 50 * U / (1 - best.decay**2 * (1 - best.beta / d))
    assert abs(bounds.gated_delta_rule_drift_error(d, q, best.decay, best.beta, noise) - best.excess) <= rounding
    assert found.fun >= best.excess - rounding
    for shift in (0.99, 1.01):
        assert bounds.gated_delta_rule_drift_error(d, q, best.decay * shift, best.beta, noise) > best.excess
        assert bounds.gated_delta_rule_drift_error(d, q, best.decay, best.beta * shift, noise) > best.excess


def test_the_reference_gate_and_the_noiseless_value():
    assert round(bounds.best_gate(32, 0.02, 1.0, 1.0), 3) == 0.951
    for d, q in ((8, 0.1), (32, 0.02)):
        exactly = q * d / (1 + q * (d - 1))
        assert abs(bounds.best_gated_delta_rule(d, q).excess / exactly - 1) <= 20 * U


def filter_excesses(d: int, qd: float, noise: float, draws: int = 32) -> np.ndarray:
    """The filter's excess (draws,), a mean over four memory lengths after four others that began at the limit."""
    rng, q, limit = np.random.default_rng(d), qd / d, bounds.kalman_drift_limit(qd, noise)
    piece, found = int(d * (1 + (noise / qd) ** 0.5)), []
    state = exact.Recursion(np.zeros((draws, d, 1)), np.broadcast_to(np.eye(d) * limit / d, (draws, d, d)))
    for _ in range(8):
        k = rng.standard_normal((draws, piece, d))
        known = {"drift": q / d, "noise": noise, "log_decay": np.full(k.shape[:-1], np.log1p(-q) / 2)}
        state = exact.random_walk_kalman(k, k, np.zeros_like(k[..., :1]), **known, initial_state=state).state
        found.append((1 - q) * np.einsum("...ii->...", state.P) + q)
    return np.mean(found[4:], axis=0)


@pytest.mark.parametrize(("qd", "noise"), [(0.01, 0.0), (1.0, 0.0), (10.0, 0.1), (0.3, 1.0)])
def test_the_filter_approaches_its_limit_like_one_over_d(qd, noise):
    """E_d = E(1 + c/d + c₂/d² + ...): (4 E_64 - E_16)/3 has no term in 1/d, and c₂/1024 is below its error."""
    large, small = filter_excesses(64, qd, noise), filter_excesses(16, qd, noise)
    without = (4 * large - small) / 3
    assert agrees(without, bounds.kalman_drift_limit(qd, noise))
    assert not agrees(small, bounds.kalman_drift_limit(qd, noise))
    for wrong in (0.95, 1.05):
        assert not agrees(without, bounds.kalman_drift_limit(wrong * qd, noise))


def test_four_over_e_is_where_the_noiseless_ratio_tends():
    ratios = [bounds.best_gated_delta_rule_limit(qd) / bounds.kalman_drift_limit(qd) for qd in (1e-2, 1e-4, 1e-6)]
    gaps = [bounds.noiseless_drift_constant() - ratio for ratio in ratios]
    # e κ/4 (1 + O(κ)): each hundredth of κ takes at least fifty times off the gap.
    assert gaps[0] > 50 * gaps[1] > 2500 * gaps[2] > 0
    assert abs(bounds.kalman_drift_limit(1e-6) / 1e-6 - np.e / 4) < 1e-6


def test_the_coloured_approximation_is_exact_for_one_variance_and_its_limit_is_the_penalty_law():
    for q, beta in ((0.02, 1.0), (0.1, 0.5)):
        closed = bounds.gated_delta_rule_drift_error(32, q, (1 - q) ** 0.5, beta)
        assert abs(bounds.coloured_gated_delta_rule_error([1.0] * 32, q, beta, 0.5) / closed - 1) <= 200 * 32 * U
    spectrum = np.geomspace(1.0, 0.1, 4000)
    slow = [bounds.coloured_gated_delta_rule_error(spectrum, 1e-9, 1.0, s) for s in (0.0, 0.5, 1.0)]
    penalty = bounds.metric_penalty(spectrum, 0.0)
    # Corrections are of order 1/d.
    assert abs(slow[0] / slow[1] / penalty - 1) < 10 / 4000
    assert abs(slow[2] / slow[1] / penalty - 1) < 10 / 4000
    assert bounds.metric_penalty(spectrum, 0.3) == pytest.approx(bounds.metric_penalty(spectrum, 0.7), rel=4000 * U)
    assert penalty > bounds.metric_penalty(spectrum, 0.4) > 1


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_rate_is_the_balance_of_bias_and_variance(d, degree):
    bias = bounds.squared_bias_order(degree)

    def best(n: float) -> tuple[float, float]:
        found = optimize.minimize_scalar(
            lambda h: np.exp(bias * h) + np.exp(-d * h) / n, bounds=(-12, 2), method="bounded"
        )
        return float(found.fun), float(found.x)

    (early, wide), (late, narrow) = best(1e4), best(1e6)
    # The balance is a power law exactly; the bounded search finds log h to 1e-5, and the minimum to its square.
    assert abs(np.log(early / late) / np.log(100) - bounds.local_polynomial_exponent(degree, d)) < 1e-6
    assert abs((wide - narrow) / np.log(100) - bounds.best_bandwidth_exponent(d, bias)) < 1e-4
