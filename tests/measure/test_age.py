"""The age curves against simulation, against each other where one is a case of another, and against exact integrals.

A simulated mean must lie within Student's t of its formula at a false-alarm rate of 1e-6 a comparison.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special, stats

from ttr_numerics import layers
from ttr_numerics.measure import bounds
from ttr_numerics.tasks import isotropic_unit_keys

FALSE_ALARM, TRIALS, N, D = 1e-6, 4000, 12, 4
U = 2.0**-53
DECAYS = np.linspace(0.4, 0.95, D)
ERASE = np.linspace(0.8, 0.3, D)


def agrees(samples: np.ndarray, formula: np.ndarray) -> np.ndarray:
    """Whether each column mean of `samples` (m, n) may be the formula's entry, with rounding as its own spread."""
    error = np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples)) + 100 * N * U
    return np.abs(np.mean(samples, axis=0) - formula) <= stats.t.ppf(1 - FALSE_ALARM / 2, len(samples) - 1) * error


def pairs(n: int = N, d: int = D, trials: int = TRIALS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d])
    return isotropic_unit_keys(rng, (trials, n, d)), isotropic_unit_keys(rng, (trials, n, d))


def by_age(S: np.ndarray, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.sum((K @ S - V) ** 2, axis=-1)[:, ::-1]


def every(K: np.ndarray, x: float | np.ndarray) -> np.ndarray:
    return np.broadcast_to(x, (*K.shape[:2], *np.shape(x))).copy()


def per_channel(K, V):
    gates = {"log_decay": every(K, np.log(DECAYS)), "beta": every(K, 0.7)}
    return by_age(layers.gated_delta_rule(K, K, V, **gates).state, K, V)


def erase_write(K, V):
    named = {"log_decay": every(K, np.log(DECAYS)), "erase": every(K, ERASE), "write": every(K, ERASE)}
    return by_age(layers.erase_write_delta_rule(K, K, V, **named).state, K, V)


def fed_back(K, V):
    named = {"log_decay": every(K, np.log(DECAYS)), "beta": every(K, 0.7), "p": 0.9 * K}
    return by_age(layers.comba(K, K, V, **named).state, K, V)


def added(K, V):
    return by_age(layers.gated_linear_attention(K, K, V, log_decay=every(K, np.log(DECAYS))).state, K, V)


def diagonal(K, V):
    return by_age(layers.longhorn_diagonal(K, K, V, beta=every(K, np.full(D, 3.0))).state, K, V)


def titans(K, V):
    gates = {"log_momentum": every(K, np.log(0.6)), "log_decay": every(K, np.log(0.9))}
    return by_age(layers.titans(K, K, V, theta=every(K, 0.15), **gates).state.S, K, V)


def mini_batches(K, V):
    return by_age(layers.ttt_linear(K, K, V, eta=every(K, 0.3), batch=4).state.now, K, V)


def powers(d: int = D) -> np.ndarray:
    return DECAYS[:d] ** np.arange(N)[:, None]


CASES: list[tuple[Callable[..., np.ndarray], Callable[[float], np.ndarray]]] = [
    (per_channel, lambda x: bounds.erasing_age_errors(N, DECAYS, 0.7 * x * DECAYS, 0.7 * x)),
    (erase_write, lambda x: bounds.erasing_age_errors(N, DECAYS, x * ERASE * DECAYS, x * ERASE)),
    (fed_back, lambda x: bounds.erasing_age_errors(N, DECAYS, np.full(D, 0.63 * x), 0.7)),
    (added, lambda x: bounds.additive_age_errors(x * powers())),
    (diagonal, lambda x: bounds.diagonal_age_errors(N, D, 0.75 * x)),
    (titans, lambda x: bounds.coupled_age_errors(N, D, [bounds.momentum_write(0.3 * x, 0.6, 0.9)])[:, 0]),
    (mini_batches, lambda x: bounds.minibatch_age_errors(N, D, 0.3 * x, 4)),
]


@pytest.mark.parametrize(("simulate", "formula"), CASES, ids=lambda f: getattr(f, "__name__", ""))
def test_error_by_age_follows_its_exact_formula(simulate, formula):
    samples = simulate(*pairs())
    assert agrees(samples, formula(1.0)).all()
    assert not agrees(samples, formula(1.1)).all()  # a step, or a weight, of a tenth too much


def test_equal_channels_are_the_scalar_recursion():
    one = np.ones(D)
    scalar = bounds.delta_rule_errors(N, D, 0.6, 0.9)
    whole = bounds.erasing_age_errors(N, 0.9 * one, 0.54 * one, 0.6)
    coupled = bounds.coupled_age_errors(N, D, [bounds.Write(0.9 * np.eye(1), 0.54 * np.eye(1), np.array([0.6]))])
    # Each token multiplies and adds some d² times numbers of size 1.
    assert np.max(np.abs(whole - scalar)) <= 10 * N * D**2 * U
    assert np.max(np.abs(coupled[:, 0] - scalar)) <= 10 * N * D**2 * U


def test_without_momentum_leak_or_batch_there_is_the_delta_rule():
    delta = bounds.delta_rule_errors(N, D, 0.6)
    still = bounds.coupled_age_errors(N, D, [bounds.momentum_write(0.6, 0.0)])[:, 0]
    single = bounds.minibatch_age_errors(N, D, 0.6, 1)
    assert max(np.max(np.abs(x - delta)) for x in (still, single)) <= 10 * N * D**2 * U
    with pytest.raises(ValueError, match="multiple of the batch"):
        bounds.minibatch_age_errors(N, D, 0.6, 5)


def test_additive_curve_without_erasure_is_the_erasing_one():
    erased = bounds.erasing_age_errors(N, DECAYS, np.zeros(D), 1.0)
    assert np.max(np.abs(erased - bounds.additive_age_errors(powers()))) <= 10 * N * D**2 * U
    mean = np.mean(bounds.additive_age_errors(0.9 ** np.arange(N)[:, None] * np.ones(D)))
    assert abs(mean - bounds.gated_linear_attention_error(N, D, 0.9)) <= 10 * N * D**2 * U


@pytest.mark.parametrize("d", [3, 8])
def test_softmax_of_two_keys_is_an_integral_over_their_angle(d):
    gain, gate = 2.5, 0.7

    def error(x: float) -> float:
        w = gate * np.exp(gain * (x - 1)) / (1 + gate * np.exp(gain * (x - 1)))
        return float(2 * w * w * (1 - x * x) ** ((d - 3) / 2))

    mass = special.beta(0.5, (d - 1) / 2)
    value, spread = integrate.quad(error, -1, 1, epsabs=0, epsrel=1e-12)
    found = bounds.softmax_age_errors(d, gain, np.array([0.0, np.log(gate)]))[0]
    # Quadrature's own bound; 700 nodes of a sum of terms of size 1, and 1 - 2AI + A²I cancels once.
    assert abs(found - value / mass) <= spread / mass + 4 * 700 * U


def test_softmax_of_two_keys_of_one_channel_is_a_mean_of_two_cases():
    gain, gate = 1.5, 0.7
    found = bounds.softmax_age_errors(1, gain, np.array([0.0, np.log(gate)]))[0]
    w = [gate * np.exp(gain * (x - 1)) / (1 + gate * np.exp(gain * (x - 1))) for x in (-1, 1)]
    assert abs(found - np.mean(2 * np.square(w))) <= 4 * 700 * U


def test_softmax_without_gain_averages():
    assert np.max(np.abs(bounds.softmax_age_errors(D, 0.0, np.zeros(N)) - (1 - 1 / N))) <= 4 * 700 * N * U


@pytest.mark.parametrize(("log_weights", "log_sink"), [(np.log(0.8) * np.arange(N), -np.inf), (np.zeros(N), 1.0)])
def test_softmax_with_gates_and_sink_follows_its_integral(log_weights, log_sink):
    K, V = pairs()
    logits = np.exp(3.0 * K @ np.swapaxes(K, -1, -2) + log_weights[::-1])
    weights = logits / (np.sum(logits, axis=-1, keepdims=True) + np.exp(log_sink))
    samples = np.sum((weights @ V - V) ** 2, axis=-1)[:, ::-1]
    assert agrees(samples, bounds.softmax_age_errors(D, 3.0, log_weights, log_sink)).all()
    assert not agrees(samples, bounds.softmax_age_errors(D, 3.1, log_weights, log_sink)).all()


def test_ridge_limit_is_the_floor_without_ridge_and_approached_with_dimension():
    assert abs(bounds.ridge_age_errors(np.ones(24), 0.0, 8)[0] - bounds.least_squares_floor(24, 8)) <= 24 * 100 * U
    assert bounds.ridge_age_errors(np.array([1.0, 0.5, 0.0]), 0.0, 4).tolist() == [0.0, 0.0, 1.0]
    # An endless geometric window: g = exp(d(1-γ)) - 1 as γ → 1, by Euler and Maclaurin to (1-γ) relative.
    d, decay = 64, 0.99
    long = bounds.ridge_age_errors(decay ** np.arange(4000), 0.0, d)
    g = np.exp(d * (1 - decay)) - 1
    assert abs((long[100] / long[0]) - ((1 + g) / (1 + decay**100 * g)) ** 2) <= 4 * (1 - decay) * long[100] / long[0]


@pytest.mark.parametrize("d", [8, 32])
def test_ridge_with_forgetting_lies_within_a_share_of_its_limit(d):
    n, decay, trials = 4 * d, 1 - 0.8 / d, 24000 // d**2
    K, V = pairs(n, d, trials)
    S = layers.original_mesa(K, K, V, ridge=0.5, log_decay=every(K, np.log(decay))).state.S
    found, theory = by_age(S, K, V), bounds.ridge_age_errors(decay ** np.arange(n), 0.5 * decay**n, d)
    error = np.std(found, axis=0, ddof=1) / trials**0.5
    slack = stats.t.ppf(1 - FALSE_ALARM / 2, trials - 1) * error
    assert np.all(np.abs(np.mean(found, axis=0) - theory) <= theory / d + slack)


def test_divided_sum_without_division_is_the_additive_curve():
    weights = 0.1 * 0.8 ** np.arange(N)
    plain = bounds.additive_age_errors(weights[:, None] * np.ones(D))
    # exp(-36) of the Gaussian lies beyond the nodes.
    assert np.max(np.abs(bounds.divided_age_errors(weights, D) - plain)) <= 2000 * U


def test_robust_rule_that_never_clips_is_the_delta_rule_to_order_one_over_dimension():
    for d in (16, 64):
        n = 2 * d
        plain, influence = bounds.delta_rule_errors(n, d, 0.5), bounds.shortening_influence(1e6)
        assert np.max(np.abs(bounds.robust_age_errors(n, d, influence, 0.5) - plain)) <= 2 / d


def test_clipping_has_the_gain_of_bussgang():
    b, _ = bounds.entrywise_influence(lambda x: np.clip(x, -0.2, 0.2), 16)(1.5)
    # P(|x| < δ) = erf(δ/(σ√2)); the trapezoidal rule misses a kink by (step/2)² of the density.
    assert abs(b - special.erf(0.2 / (1.5 / 16) ** 0.5 / 2**0.5)) <= 0.0085**2
