"""Formulas of associative recall against simulation: argmax in a codebook, re-assigned keys, repeated lists.

A simulated mean must lie within Student's t of its formula at a false-alarm rate of 1e-6; a formula with one named
mistake is refused by the same comparison.
"""

import numpy as np
import pytest
from scipy import stats

from ttr_numerics import exact, layers
from ttr_numerics.measure import bounds
from ttr_numerics.tasks import associations, continuous_recall, isotropic_unit_keys

FALSE_ALARM = 1e-6
LISTS = 1500


def agrees(samples: np.ndarray, formula: float) -> bool:
    """Whether the mean of `samples` (m,) may be `formula`, by a t test at FALSE_ALARM."""
    error = np.std(samples, ddof=1) / np.sqrt(len(samples))
    slack = stats.t.ppf(1 - FALSE_ALARM / 2, len(samples) - 1) * error + 100 * 2.0**-53 * abs(formula)
    return bool(abs(np.mean(samples) - formula) <= slack)


def reassigned(j: int, between: int, d: int):
    """k, v of lists with one key that is given j values, the key and its last value."""
    rng = np.random.default_rng([j, between, d])
    sizes = 1 + j * between, j * (1 + between)
    listed = associations(rng, LISTS, 1, *sizes, assignments=j, between=between)
    shown = continuous_recall(listed, *(isotropic_unit_keys(rng, (LISTS, n, d)) for n in sizes))
    return shown.k, shown.v, shown.q, shown.v[:, -1 - between]


def error(o: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sum((o[:, 0] - v) ** 2, axis=-1)


@pytest.mark.parametrize(("j", "between"), [(1, 5), (2, 3), (3, 8), (5, 1)])
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_error_to_the_last_value_follows_its_formula(j, between, decay):
    d = 6
    k, v, q, last = reassigned(j, between, d)
    gate = np.full(k.shape[:-1], np.log(decay))
    additive = error(q @ layers.gated_linear_attention(k, k, v, log_decay=gate).state, last)
    assert agrees(additive, bounds.reassigned_additive_error(j, between, d, decay))
    assert not agrees(additive, bounds.reassigned_additive_error(j, between, d // 2, decay))
    beta = np.full(k.shape[:-1], 0.8)
    delta = error(q @ layers.gated_delta_rule(k, k, v, log_decay=gate, beta=beta).state, last)
    assert agrees(delta, bounds.reassigned_delta_error(j, between, d, 0.8, decay))
    assert not agrees(delta, bounds.reassigned_delta_error(j, between, d // 2, 0.8, decay))


def test_delta_formula_of_one_value_is_that_of_a_list_without_repetition():
    for beta, decay in ((1.0, 1.0), (0.6, 0.95)):
        once = bounds.reassigned_delta_error(1, 7, 5, beta, decay)
        oldest = bounds.delta_rule_errors(8, 5, beta, decay)[-1]
        assert abs(once - oldest) <= 200 * 2.0**-53  # some twenty operations on numbers below 4, eight times


def test_least_squares_answers_the_mean_of_contradictory_values():
    k, v, q, last = reassigned(3, 1, 6)
    assert agrees(error(q @ exact.least_norm(k, v).S, last), bounds.reassigned_mean_error(3))
    assert not agrees(error(q @ exact.least_norm(k, v).S, last), bounds.reassigned_mean_error(4))


@pytest.mark.parametrize(("noise", "words", "d"), [(10, 64, 8), (40, 500, 16), (3, 2, 4)])
def test_argmax_among_unstored_words_is_exact_for_gaussian_noise(noise, words, d):
    """Without rivals nothing is approximated but the integral: o = v + noise, and words that are independent of o."""
    rng = np.random.default_rng([noise, words])
    right = []
    for _ in range(60):
        codebook = isotropic_unit_keys(rng, (50, words, d))
        o = codebook[:, 0] + rng.standard_normal((50, d)) * (noise / d**2) ** 0.5
        right.append(np.mean(np.argmax((codebook @ o[..., None])[..., 0], axis=-1) == 0))
    assert agrees(np.array(right), bounds.argmax_accuracy(noise, 0, words, d, d))
    assert not agrees(np.array(right), bounds.argmax_accuracy(2 * noise, 0, words, d, d))


@pytest.mark.parametrize(("n", "d"), [(16, 16), (48, 32), (150, 48)])
def test_argmax_accuracy_is_nearer_to_linear_attention_than_independent_rivals(n, d):
    rng = np.random.default_rng([n, d])
    shares = []
    for _ in range(40):
        K, codebook = isotropic_unit_keys(rng, (n, d)), isotropic_unit_keys(rng, (1024, d))
        o = K @ layers.linear_attention(K, K, codebook[:n]).state
        shares.append(np.mean(np.argmax(o @ codebook.T, axis=-1) == np.arange(n)))
    measured, slack = np.mean(shares), stats.t.ppf(1 - FALSE_ALARM / 2, 39) * np.std(shares, ddof=1) / 40**0.5
    near, far = bounds.argmax_accuracy(n - 1, n - 1, 1024, d, d), bounds.top1_accuracy(n, 1024, d, d)
    assert abs(measured - near) <= slack + 0.03  # three points: what its docstring claims from d = 16
    assert abs(measured - far) > slack + 0.03


def test_argmax_accuracy_refuses_one_dimension():
    with pytest.raises(ValueError, match="d_k, d_v: expected at least 2, got 1, 4"):
        bounds.argmax_accuracy(3, 3, 10, 1, 4)


def test_kaczmarz_bound_is_attained_by_orthogonal_keys_and_holds_for_others():
    rng = np.random.default_rng(7)
    for K in (np.eye(4), isotropic_unit_keys(rng, (4, 6))):
        V = isotropic_unit_keys(rng, (4, 6))
        target = exact.least_norm(K, V)
        order = rng.integers(4, size=(4000, 6))
        S = layers.delta_rule(K[order], K[order], V[order], beta=np.ones(order.shape)).state
        left = np.sum((S - target.S) ** 2, axis=(-2, -1)) / np.sum(target.S**2)
        bound = float(bounds.kaczmarz_bound(6, target.singular_values))
        assert agrees(left, bound) == (len(K[0]) == 4)
        assert agrees(left, min(bound, float(np.mean(left))))
        assert not agrees(left, float(bounds.kaczmarz_bound(9, target.singular_values)))
