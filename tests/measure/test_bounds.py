"""Every formula of `measure.bounds` against direct simulation or an exact case.

A simulated mean must lie within Student's t of its formula at a false-alarm rate of 1e-6 a comparison; `rejects`
shows for a formula with one named mistake that the same comparison is sharp enough to refuse it.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ttr_numerics import exact, layers
from ttr_numerics.measure import (
    best_scale,
    bounds,
    condition_number,
    list_recall,
    participation_ratio,
    ranks,
    relative_squared_error,
    unit_rows,
)
from ttr_numerics.tasks import isotropic_unit_keys

FALSE_ALARM = 1e-6
TRIALS = 400


def agrees(samples: np.ndarray, formula: float) -> bool:
    """Whether the mean of `samples` (m,) may be `formula`, by a t test at FALSE_ALARM."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    return abs(np.mean(samples) - formula) <= stats.t.ppf(1 - FALSE_ALARM / 2, len(samples) - 1) * error


def pairs(n: int, d: int, trials: int = TRIALS) -> tuple[np.ndarray, np.ndarray]:
    """Unit keys and unit values (trials, n, d)."""
    rng = np.random.default_rng([n, d])
    return isotropic_unit_keys(rng, (trials, n, d)), isotropic_unit_keys(rng, (trials, n, d))


def linear(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return relative_squared_error(K @ layers.linear_attention(K, K, V).state, V)


def scaled(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """At the scale of the formula, d/(n-1+d), which no sample chose."""
    n, d = K.shape[-2:]
    return relative_squared_error(d / (n - 1 + d) * (K @ layers.linear_attention(K, K, V).state), V)


def gated(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    log_decay = np.full(K.shape[:-1], np.log(0.9))
    return relative_squared_error(K @ layers.gated_linear_attention(K, K, V, log_decay=log_decay).state, V)


def least(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return relative_squared_error(K @ exact.least_norm(K, V).S, V)


CASES: list[tuple[Callable[..., np.ndarray], Callable[[int, int], float], Callable[[int, int], float]]] = [
    (linear, bounds.linear_attention_error, lambda n, d: n / d),
    (scaled, bounds.linear_attention_scaled_error, lambda n, d: n / (n + d)),
    (
        gated,
        lambda n, d: bounds.gated_linear_attention_error(n, d, 0.9),
        lambda n, d: 0.9**2 * bounds.gated_linear_attention_error(n, d, 0.9),
    ),
    (least, bounds.least_squares_floor, lambda n, d: max(0.0, 1 - d / (n + 1))),
]


@pytest.mark.parametrize(("n", "d"), [(12, 8), (32, 16)])
@pytest.mark.parametrize(("simulate", "formula", "mistaken"), CASES, ids=lambda f: getattr(f, "__name__", ""))
def test_mean_recall_error_follows_its_formula(simulate, formula, mistaken, n, d):
    samples = simulate(*pairs(n, d))
    assert agrees(samples, formula(n, d))
    assert not agrees(samples, mistaken(n, d))


@pytest.mark.parametrize(("beta", "decay"), [(1.0, 1.0), (0.5, 1.0), (0.8, 0.95)])
def test_delta_rule_recursion_holds_for_every_age(beta, decay):
    n, d = 20, 8
    K, V = pairs(n, d, 4000)
    gates = {"beta": np.full(K.shape[:-1], beta), "log_decay": np.full(K.shape[:-1], np.log(decay))}
    errors = np.sum((K @ layers.gated_delta_rule(K, K, V, **gates).state - V) ** 2, axis=-1)
    formula = bounds.delta_rule_errors(n, d, beta, decay)
    for age in range(n):
        if beta == 1 and age == 0:
            # The newest pair is exact: unit keys, step 1.
            assert np.max(errors[:, -1]) < 1e-28
            continue
        assert agrees(errors[:, n - 1 - age], formula[age])
    mistaken = bounds.delta_rule_errors(n, d, beta * 1.05, decay)
    assert not all(agrees(errors[:, n - 1 - age], mistaken[age]) for age in range(1, n))


def test_delta_rule_errors_become_stationary():
    age = np.arange(30)
    # F = E‖S‖² reaches d like (1-1/d)^n: after n = 40 d tokens the difference is below exp(-39) in absolute terms.
    late = bounds.delta_rule_errors(40 * 8, 8, 1.0)[:30]
    # The recursion adds and multiplies some ten times a token, with numbers of at most d in size.
    rounding = 40 * 8 * 10 * 8 * 2.0**-53
    assert (np.abs(late - bounds.delta_rule_age_error(age, 8)) <= 4 * np.exp(-39.0) + rounding).all()


def test_best_constant_step_is_a_minimum_and_falls_with_load():
    for n in (16, 64, 256):
        step = bounds.best_constant_step(n, 64)
        value = np.mean(bounds.delta_rule_errors(n, 64, step))
        assert all(np.mean(bounds.delta_rule_errors(n, 64, step + shift)) > value for shift in (-0.01, 0.01))
    assert bounds.best_constant_step(16, 64) > bounds.best_constant_step(64, 64) > bounds.best_constant_step(256, 64)


def test_linear_attention_on_given_keys_depends_on_the_participation_ratio():
    rng = np.random.default_rng(7)
    K = unit_rows(rng.standard_normal((24, 8)) * np.geomspace(1, 0.05, 8) + 0.3)
    V = isotropic_unit_keys(rng, (4000, 24, 8))
    raw, best = bounds.linear_attention_fixed_keys(24, float(participation_ratio(K)))
    O = (K @ K.T) @ V
    assert agrees(relative_squared_error(O, V), raw)
    scale = float(participation_ratio(K)) / 24
    assert agrees(relative_squared_error(scale * O, V), best)
    assert not agrees(relative_squared_error(O, V), bounds.linear_attention_error(24, 8))
    pooled = float(np.sum(O * V) / np.sum(O**2))
    assert abs(pooled - scale) < 0.05 * scale
    assert np.all(
        relative_squared_error(best_scale(O, V)[:, None, None] * O, V) <= relative_squared_error(scale * O, V)
    )


@pytest.mark.parametrize(("d", "most"), [(16, 0.14), (32, 0.11), (64, 0.07)])
def test_argmax_approximation_lies_below_simulation_by_no_more_than_stated(d, most):
    for n in (d // 2, 2 * d, 6 * d):
        K, V = pairs(n, d, 40)
        O = K @ layers.linear_attention(K, K, V).state
        shares = list_recall(np.stack([ranks(o, v) for o, v in zip(O, V, strict=True)]), 1)
        gap = float(np.mean(shares)) - bounds.top1_accuracy(n, n, d, d)
        slack = stats.t.ppf(1 - FALSE_ALARM / 2, 39) * float(np.std(shares, ddof=1)) / 40**0.5
        assert -slack <= gap <= most + slack


def test_list_recall_tends_to_its_limit():
    # The scores' variance differs from the limit's by 2/d of the load, the binomial by √(f/n) in f: together
    # below 10/d in the argument of Φ.
    d, load, share = 512, 0.3, 0.05
    n = round(load * d**2)
    limit = stats.norm.cdf(1 / load**0.5 - stats.norm.ppf(1 - share))
    assert abs(bounds.list_recall_probability(n, round(share * n), d, d) - limit) < 10 / d


def test_welch_bound_is_attained_by_a_simplex_and_holds_for_random_keys():
    d = 6
    simplex = unit_rows(centred_identity(d + 1))
    gram = np.abs(simplex @ simplex.T - np.eye(d + 1))
    assert abs(np.max(gram) - bounds.welch_coherence(d + 1, d)) < 1e-15 * (d + 1)
    for n in (8, 32, 128):
        K, V = pairs(n, 8, 20)
        coherence = np.max(np.abs(K @ np.swapaxes(K, -1, -2) - np.eye(n)), axis=(-2, -1))
        assert np.all(coherence >= bounds.welch_coherence(n, 8))
        worst = np.max(np.linalg.norm(K @ layers.linear_attention(K, K, V).state - V, axis=-1), axis=-1)
        assert np.all(worst <= [bounds.coherence_error(n, mu) for mu in coherence])


def centred_identity(n: int) -> np.ndarray:
    return np.eye(n) - 1 / n


def test_marchenko_pastur_is_approached_from_below_as_size_grows():
    gaps = []
    for d in (16, 64, 256):
        K = np.random.default_rng(d).standard_normal((20, 2 * d, d))
        limit = bounds.marchenko_pastur_condition(0.5)
        found = condition_number(K)
        # Expected ends of the spectrum lie inside the limit (Gordon): √n - √d ≤ E σ_min, E σ_max ≤ √n + √d.
        gaps.append(1 - float(np.mean(found)) / limit)
    assert 0.3 > gaps[0] > gaps[1] > gaps[2] > 0
    assert bounds.marchenko_pastur_condition(1.0) == np.inf


def test_argmax_capacity_is_where_its_load_is_one():
    for d in (16, 64, 256):
        assert abs(bounds.argmax_load(bounds.argmax_capacity(d), d) - 1) < 1e-9
