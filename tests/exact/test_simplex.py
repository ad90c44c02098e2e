"""Least squares over distributions: SciPy's non-negative least squares finds none lower, and none is left to find."""

import numpy as np
import pytest
import scipy.optimize

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import to_numpy

U = 2.0**-53
SHAPES = [(40, 8, 5), (5, 8, 3), (1, 3, 2), (24, 12, 4)]


def data(T, d_k, d_v, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, T, d_k)), rng.standard_normal((2, T, d_v))


def of_scipy(K, v):
    """The column of S for v: the point of least norm in the hull of the columns of K - v, by SciPy."""
    P = K - v[:, None]
    c = np.abs(P).max()
    s = scipy.optimize.nnls(np.vstack([P, c * np.ones(K.shape[1])]), np.append(np.zeros(len(v)), c))[0]
    return s / s.sum()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scipy_finds_no_distribution_of_lower_loss(shape) -> None:
    K, V = data(*shape)
    S = exact.simplex_least_squares(K, V).S
    for head, j in np.ndindex(2, shape[2]):
        s, v = S[head, :, j], V[head, :, j]
        ours, theirs = (np.sum((v - K[head] @ x) ** 2) for x in (s, of_scipy(K[head], v)))
        # Each square sums d_k + 1 terms no larger than |v| + |K|s, and a residual may be small beside them.
        slack = 2 * (shape[1] + 3) * U * np.sum((np.abs(v) + np.abs(K[head]) @ s) ** 2)
        assert ours <= theirs + slack
        assert theirs <= ours + slack


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_columns_are_distributions_that_no_shift_of_mass_improves(shape, full_precision: Library) -> None:
    dtype = str(full_precision.asarray(np.zeros(1)).dtype)
    K, V = (full_precision.asarray(x) for x in data(*shape))
    found = exact.simplex_least_squares(K, V)
    S = to_numpy(found.S).astype(np.float64)
    assert (S >= 0).all()
    assert np.abs(S.sum(axis=-2) - 1).max() <= shape[1] * (2.0**-24 if "32" in dtype else U)
    assert to_numpy(found.gradient_ratio).max() <= 1


def test_a_shift_of_a_millionth_of_the_mass_is_seen() -> None:
    K, V = data(40, 8, 1)
    s = exact.simplex_least_squares(K, V).S[0, :, 0]
    moved = s + 1e-6 * (np.eye(8)[np.argmin(s)] - np.eye(8)[np.argmax(s)])
    before, after = (np.sum((V[0, :, 0] - K[0] @ x) ** 2) for x in (s, moved))
    assert after > before * (1 + 40 * 8 * U)
    slope = K[0].T @ (K[0] @ moved - V[0, :, 0])
    assert np.abs(slope[moved > 1e-9] - slope @ moved).max() > 1e3 * 48 * U * np.abs(slope).max()


def test_values_that_a_distribution_explains_give_it_back() -> None:
    K, _ = data(30, 6, 1)
    p = np.random.default_rng(1).dirichlet(np.ones(6), (2, 4)).swapaxes(-1, -2)
    S = exact.simplex_least_squares(K, K @ p).S
    # Wedin: the residual is 0, so the error follows the condition number, of the keys with the row of ones.
    for head in range(2):
        P = np.vstack([K[head], np.ones(6) * np.abs(K[head]).max()])
        assert np.abs(S[head] - p[head]).max() <= 8 * 36 * U * np.linalg.cond(P)


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1.0, 1e200])
def test_a_value_beyond_a_vertex_takes_the_vertex(scale: float) -> None:
    K = np.eye(4)[None] * np.ones((2, 1, 1)) * scale
    S = exact.simplex_least_squares(K, 2 * K[..., 1:2]).S
    assert np.array_equal(S[..., 0], np.ones((2, 1)) * np.eye(4)[1 if scale else 0])


def test_repeated_and_zero_channels_still_give_distributions() -> None:
    K, V = data(20, 3, 2)
    for keys in (np.repeat(K[..., :1], 3, axis=-1), 0 * K, K * np.array([1.0, 0.0, 1.0])):
        found = exact.simplex_least_squares(keys, V)
        assert np.abs(found.S.sum(axis=-2) - 1).max() <= 3 * U
        assert found.gradient_ratio.max() <= 1


def test_without_pairs_any_distribution_will_do() -> None:
    S = exact.simplex_least_squares(np.ones((2, 0, 3)), np.ones((2, 0, 2))).S
    assert np.array_equal(S.sum(axis=-2), np.ones((2, 2)))


def test_rows_that_are_not_finite_are_refused() -> None:
    K, V = data(4, 3, 2)
    with pytest.raises(ValueError, match="K: expected finite entries"):
        exact.simplex_least_squares(K * np.nan, V)
