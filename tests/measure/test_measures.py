"""Measures on cases whose answer is known, and mistakes they must not forgive."""

import numpy as np
import pytest

from ttr_numerics import measure
from ttr_numerics.measure import recall
from ttr_numerics.tasks import conditioned_keys, isotropic_unit_keys

U = 2.0**-53  # unit roundoff


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_best_scale_beats_every_other_scale(rng):
    O, V = rng.standard_normal((2, 3, 20, 4))
    c = measure.best_scale(O, V)[:, None, None]
    best = measure.relative_squared_error(c * O, V)
    for other in (0.9, 1.1, -1.0, 0.0):
        assert np.all(measure.relative_squared_error(other * c * O, V) > best)


def test_the_best_scale_of_outputs_that_are_zero_leaves_them(rng):
    O, V = rng.standard_normal((2, 3, 20, 4))
    O[1] = 0
    c = measure.best_scale(O, V)
    assert c[1] == 1
    assert np.array_equal(c[[0, 2]], measure.best_scale(O[[0, 2]], V[[0, 2]]))
    assert measure.relative_squared_error(c[:, None, None] * O, V)[1] == 1


def test_exact_recall_sees_one_damaged_value(rng):
    V = rng.standard_normal((10, 4))
    O = V.copy()
    assert measure.exact_recall(O, V, 2.0**-26) == 1
    O[3, 0] += 1e-6
    assert measure.exact_recall(O, V, 2.0**-26) == 0.9


def test_ranks_do_not_depend_on_the_block_or_the_scale(rng, monkeypatch):
    V = isotropic_unit_keys(rng, (50, 6))
    O = V + 0.8 * rng.standard_normal((50, 6))
    whole = measure.ranks(O, V)
    assert 0 < np.mean(whole == 0) < 1
    monkeypatch.setattr(recall, "BLOCK", 7)
    np.testing.assert_array_equal(measure.ranks(O, V), whole)
    np.testing.assert_array_equal(measure.ranks(1e-3 * O, V), whole)
    assert np.all((whole >= 0) & (whole < 50))
    # The definition, score by score.
    scores = O @ V.T
    np.testing.assert_array_equal(whole, [sum(row > row[i]) for i, row in enumerate(scores)])


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_an_output_that_says_nothing_recalls_nothing(fill, rng):
    V = isotropic_unit_keys(rng, (20, 4))
    assert measure.list_recall(measure.ranks(np.full((20, 4), fill), V), 10) == 0


def test_a_shifted_output_is_not_recalled(rng):
    V = isotropic_unit_keys(rng, (64, 64))
    assert measure.list_recall(measure.ranks(V, V), 1) == 1
    assert measure.list_recall(measure.ranks(np.roll(V, 1, axis=0), V), 1) == 0


def test_condition_number_is_the_prescribed_one_and_infinite_for_singular_keys(rng):
    for cond in (1.0, 1e3, 1e9):
        found = measure.condition_number(conditioned_keys(rng, 40, 8, cond))
        # Weyl: each singular value is off by a few times T u ‖K‖, so cond is off by that times cond.
        assert abs(found / cond - 1) <= 40 * 2.0**-53 * 40 * cond
    K = rng.standard_normal((40, 8))
    assert measure.condition_number(np.concatenate([K, K[:, :1]], axis=1)) == np.inf
    assert measure.condition_number(conditioned_keys(rng, 40, 8, 1e9).astype(np.float32)) == np.inf


def test_residual_ratio_accepts_a_rounded_solution_and_refuses_a_damaged_one(rng):
    A, X = rng.standard_normal((30, 8)), rng.standard_normal((8, 3))
    assert measure.residual_ratio(A, X, A @ X) < 30
    X_bad = X.copy()
    X_bad[0, 0] *= 1 + 1e-10
    assert measure.residual_ratio(A, X_bad, A @ X) > 30
    single = X.astype(np.float32)
    assert measure.residual_ratio(A, single, A @ X) < 30


def test_ranks_of_a_covariance_count_equal_eigenvalues(rng):
    for r in (1, 3, 6):
        Q = np.linalg.qr(rng.standard_normal((20, 20)))[0][:, :r]
        K = Q @ np.linalg.qr(rng.standard_normal((6, 6)))[0][:r]
        # r equal eigenvalues of a 20 by 6 matrix with 20 d roundoffs each; logarithms add as much again.
        assert abs(measure.participation_ratio(K) - r) <= 8 * 20 * 6 * r * U
        assert abs(measure.effective_rank(K) - r) <= 8 * 20 * 6 * r * U


def test_participation_ratio_is_the_mean_squared_similarity(rng):
    K = isotropic_unit_keys(rng, (3, 30, 5))
    similarity = np.mean((K @ np.swapaxes(K, -1, -2)) ** 2, axis=(-2, -1))
    # Both are sums of squares of inner products of unit rows, 30² terms of 5 products: no cancellation.
    assert (np.abs(1 / measure.participation_ratio(K) - similarity) <= 30**2 * 5 * U * similarity).all()


def test_mean_key_share_is_all_of_equal_keys_and_none_of_centred_ones(rng):
    K = rng.standard_normal((30, 5)) + 1.0
    assert measure.mean_key_share(np.ones((4, 3))) == 1
    assert (
        measure.mean_key_share(measure.centred(K)) <= (30 * U * np.max(np.abs(K))) ** 2 * 5
    )  # a rounded mean, squared
    assert 0.1 < measure.mean_key_share(K) < 1


def test_whitened_keys_have_the_identity_as_second_moment_and_do_not_turn(rng):
    K = rng.standard_normal((50, 4)) @ np.diag([1.0, 3.0, 10.0, 30.0])
    W = measure.whitened(K)
    # W = U V' √n by an SVD whose factors are orthogonal to a few n roundoffs.
    assert np.linalg.norm(W.T @ W / 50 - np.eye(4)) <= 4 * 50 * U
    root = np.linalg.inv(np.linalg.pinv(K) @ W)  # W = K M^(-1/2): the factor is symmetric positive definite
    # The pseudo-inverse and the inverse each lose cond(K) times n roundoffs.
    assert np.linalg.norm(root - root.T) <= 8 * 50 * np.linalg.cond(K) ** 2 * U * np.linalg.norm(root)
    with pytest.raises(np.linalg.LinAlgError, match="full column rank"):
        measure.whitened(K[:3])


def test_proportion_interval_covers_and_never_vanishes(rng):
    certain = measure.proportion_interval(np.ones(5), 10)
    assert certain.low < 1 == certain.high
    # 95 % intervals over 400 experiments: at least 90 % must cover (binomial probability of fewer: below 1e-4).
    hits = 0
    for _ in range(400):
        shares = rng.binomial(50, 0.3, size=12) / 50
        interval = measure.proportion_interval(shares, 50)
        hits += interval.low <= 0.3 <= interval.high
    assert hits >= 360


def test_zero_rows_have_no_direction():
    with pytest.raises(ValueError, match="row of zeros"):
        measure.unit_rows(np.zeros((2, 3)))
