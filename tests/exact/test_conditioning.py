"""Ill-conditioned keys: the true error, known to 60 digits, lies below Wedin's or Higham's bound."""

import mpmath
import numpy as np
import pytest

from tests.references import normal_equations, wedin
from ttr_numerics import backward, exact, tasks
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.axes import Moments

U, T, D = 2.0**-53, 12, 4
CONDITIONS = [1e2, 1e4, 1e8, 1e12]


def exact_least_squares(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The least-squares solution by 60-digit QR, rounded once."""
    with mpmath.workdps(60):
        columns = [mpmath.qr_solve(mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist()))[0] for b in B.T]
        return np.array([[float(x) for x in column] for column in columns]).T


def problem(rng: np.random.Generator, cond: float, consistent: bool) -> tuple[np.ndarray, np.ndarray]:
    """Keys of condition `cond`, and values that are linear in them up to rounding, or random."""
    K = tasks.conditioned_keys(rng, T, D, cond)
    return K, K @ rng.standard_normal((D, 2)) if consistent else rng.standard_normal((T, 2))


@pytest.mark.parametrize("consistent", [True, False], ids=["consistent", "random"])
@pytest.mark.parametrize("cond", CONDITIONS)
def test_least_squares_error_lies_below_wedins_bound(cond: float, consistent: bool, rng: np.random.Generator) -> None:
    K, V = problem(rng, cond, consistent)
    truth = exact_least_squares(K, V)
    bound = wedin(K, V, truth, U)
    fit, least = exact.ridge(K, V), exact.least_norm(K, V)
    for S in (fit.S, least.S):
        assert np.all(np.linalg.norm(S - truth, axis=0) <= bound)
    assert int(least.rank) == D


@pytest.mark.parametrize("ridge", [1e-14, 1e-6, 1.0])
@pytest.mark.parametrize("cond", CONDITIONS)
def test_ridge_error_lies_below_wedins_bound_of_the_stacked_problem(
    cond: float, ridge: float, rng: np.random.Generator
) -> None:
    K, V = problem(rng, cond, consistent=False)
    root = np.sqrt(ridge)
    A, B = np.vstack([K, root * np.eye(D)]), np.vstack([V, np.zeros((D, 2))])
    truth = exact_least_squares(A, B)
    assert np.all(np.linalg.norm(exact.ridge(K, V, ridge).S - truth, axis=0) <= wedin(A, B, truth, U))


@pytest.mark.parametrize("cond", [1e2, 1e4, 1e6])
def test_normal_equations_error_lies_below_highams_bound(cond: float, rng: np.random.Generator) -> None:
    K, V = problem(rng, cond, consistent=True)
    truth = exact_least_squares(K, V)
    state = moments(K[:-1], V[:-1])
    for column in range(D):
        q = np.eye(D)[column : column + 1]
        o = exact.ridge_prefixes(q, K[-1:], V[-1:], ridge=0.0, initial_state=state).o
        assert np.linalg.norm(o[0] - truth[column]) <= normal_equations(K, V, truth, U)


def test_the_gram_refuses_where_the_data_still_have_an_answer(rng: np.random.Generator) -> None:
    K, V = problem(rng, 1e9, consistent=True)
    with pytest.raises(LinAlgError, match=r"smallest eigenvalue .* times the largest"):
        exact.ridge_prefixes(K[-1:], K[-1:], V[-1:], ridge=0.0, initial_state=moments(K[:-1], V[:-1]))
    truth = exact_least_squares(K, V)
    assert np.all(np.linalg.norm(exact.ridge(K, V).S - truth, axis=0) <= wedin(K, V, truth, U))


def moments(K: np.ndarray, V: np.ndarray) -> Moments:
    """K'K and K'V as the state a prefix solver starts from."""
    return Moments(K.T @ K, K.T @ V)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["ridge", "least_norm"])
def test_residual_ratio_is_below_thirty_where_solution_and_data_are_of_one_size(
    solver: str, dtype: str, rng: np.random.Generator
) -> None:
    for cond in (1.0, 1e2, 1e4):
        K = tasks.conditioned_keys(rng, 40, 8, cond)
        V = K @ rng.standard_normal((8, 3)) + rng.standard_normal((40, 3)) / 4
        fit = getattr(exact, solver)(K.astype(dtype), V.astype(dtype))
        assert fit.residual_ratio < backward.THRESHOLD


def test_a_key_a_millionth_too_long_exceeds_the_bound(rng: np.random.Generator) -> None:
    K, V = problem(rng, 1e2, consistent=False)
    truth = exact_least_squares(K, V)
    K[3] *= 1 + 1e-6
    assert np.all(np.linalg.norm(exact.ridge(K, V).S - truth, axis=0) > wedin(K, V, truth, U))
