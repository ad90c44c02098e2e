"""Effective state size against NumPy's and SciPy's ranks and entropies, on matrices whose rank is known."""

import numpy as np
import pytest
import scipy.linalg
from scipy import stats

from ttr_numerics import layers, measure
from ttr_numerics.tasks import conditioned_keys, isotropic_unit_keys

U = 2.0**-53


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def of_rank(rng: np.random.Generator, m: int, n: int, rank: int) -> np.ndarray:
    return rng.standard_normal((3, m, rank)) @ rng.standard_normal((3, rank, n))


@pytest.mark.parametrize(("m", "n"), [(12, 12), (20, 7), (5, 30)])
def test_numerical_rank_is_that_of_numpy_for_every_rank(rng, m, n):
    for rank in range(min(m, n) + 1):
        H = of_rank(rng, m, n, rank)
        assert measure.numerical_rank(H).tolist() == np.linalg.matrix_rank(H).tolist() == [rank] * 3
        single = H.astype(np.float32)
        assert measure.numerical_rank(single).tolist() == np.linalg.matrix_rank(single).tolist()


def test_a_direction_above_rounding_counts_and_one_below_does_not(rng):
    H = of_rank(rng, 16, 16, 4)
    more = of_rank(rng, 16, 16, 1)
    size = np.linalg.norm(H, 2, axis=(-2, -1))[:, None, None] / np.linalg.norm(more, 2, axis=(-2, -1))[:, None, None]
    assert measure.numerical_rank(H + 1e-9 * size * more).tolist() == [5] * 3
    assert measure.numerical_rank(H + U / 16 * size * more).tolist() == [4] * 3
    # A condition number given as `growth` raises the cutoff by that much.
    assert measure.numerical_rank(H + 1e-9 * size * more, growth=1e7).tolist() == [4] * 3


def test_entropic_rank_is_the_exponential_of_scipys_entropy_and_at_most_the_rank(rng):
    for H in (rng.standard_normal((9, 14)), conditioned_keys(rng, 20, 8, 1e6), of_rank(rng, 10, 10, 3)[0]):
        s = scipy.linalg.svdvals(H)
        expected = float(np.exp(stats.entropy(s)))
        # Two bidiagonalisations, each within a few max(m, n) roundoffs of σ₁; -p ln p steepens that by |ln u|.
        assert abs(float(measure.entropic_rank(H)) - expected) <= 8 * max(H.shape) * 40 * U * len(s) * expected
        assert float(measure.entropic_rank(H)) <= measure.numerical_rank(H)
    assert float(measure.entropic_rank(np.zeros((3, 4)))) == 0
    assert int(measure.numerical_rank(np.zeros((3, 4)))) == 0


def test_a_causal_operator_of_a_small_state_has_that_state_size(rng):
    # A random linear system of r states: x ← F x + G v, o = C x; its Hankel blocks have rank r (Kalman).
    T, r = 24, 3
    F, _ = np.linalg.qr(rng.standard_normal((r, r)))
    G, C = rng.standard_normal((r, 1)), rng.standard_normal((1, r))
    A = np.zeros((T, T))
    for t in range(T):
        for i in range(t + 1):
            A[t, i] = (C @ np.linalg.matrix_power(F, t - i) @ G).item()
    sizes = [int(measure.effective_state_size(A, i)) for i in range(1, T)]
    assert sizes == [min(r, i, T - i) for i in range(1, T)]
    assert all(float(measure.entropic_state_size(A, i)) <= r for i in range(1, T))


def test_state_sizes_of_layers_keep_their_bounds_and_a_list_of_keys_does_not(rng):
    T, d = 24, 4
    q, k = (isotropic_unit_keys(rng, (5, T, d)) for _ in range(2))
    identity = np.tile(np.eye(T), (5, 1, 1))
    linear, softmax = (f(q, k, identity).o for f in (layers.linear_attention, layers.softmax_attention))
    for i in range(1, T):
        assert (measure.effective_state_size(linear, i) <= min(d, i, T - i)).all()
        assert (measure.effective_state_size(softmax, i) <= min(i, T - i)).all()
    assert (measure.effective_state_size(softmax, T // 2) > d).all()
    # A fault: one output that looks at one value past the state is one number more.
    linear[:, -1, 0] += 1.0
    assert (measure.effective_state_size(linear, T // 2) == d + 1).all()


def test_no_matrix_of_a_rank_is_nearer_to_the_identity_than_the_floor(rng):
    n = 10
    for rank in range(n + 1):
        H = of_rank(rng, n, n, rank)
        left = np.sum((H - np.eye(n)) ** 2, axis=(-2, -1)) / n
        assert (left >= measure.rank_floor(n, rank)).all()
        basis, _ = np.linalg.qr(rng.standard_normal((n, max(rank, 1))))
        projection = basis[:, :rank] @ basis[:, :rank].T
        # The projection attains it: n² entries, each a sum of `rank` products.
        attained = np.sum((projection - np.eye(n)) ** 2) / n
        assert abs(attained - measure.rank_floor(n, rank)) <= 8 * n * n * U


@pytest.mark.parametrize("i", [0, 6, -1])
def test_places_outside_of_the_sequence_are_refused(i):
    with pytest.raises(ValueError, match="i: expected between 0 and T"):
        measure.effective_state_size(np.eye(6), i)
