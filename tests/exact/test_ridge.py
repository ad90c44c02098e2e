"""Ridge regression and its diagnostics against scikit-learn, dense formulas and brute force."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tests.references import normal_equations, stacked, wedin
from ttr_numerics import backward, exact
from ttr_numerics.arrays import LinAlgError

U = 2.0**-53
RIDGES = [0.0, 1e-6, 0.3, 50.0]


def problem(rng: np.random.Generator, T: int = 12, d: int = 4, d_v: int = 3) -> tuple[np.ndarray, ...]:
    """Keys, values and positive weights."""
    return rng.standard_normal((T, d)), rng.standard_normal((T, d_v)), rng.uniform(0.1, 2.0, T)


def hat(K: np.ndarray, ridge: float, w: np.ndarray) -> tuple[np.ndarray, float]:
    """The dense hat matrix √Γ K (K'ΓK + λ)⁻¹ K'√Γ, and its error: that of a stable solve of K'ΓK + λ."""
    rows = np.sqrt(w)[:, None] * K
    H = rows.T @ rows + ridge * np.eye(K.shape[1])
    size = K.shape[1] * (3 * K.shape[1] + len(K)) * U * np.linalg.cond(H)
    return rows @ np.linalg.solve(H, rows.T), size


@pytest.mark.parametrize("ridge", RIDGES)
def test_ridge_is_that_of_scikit_learn(ridge: float, rng: np.random.Generator) -> None:
    K, V, w = problem(rng)
    theirs = Ridge(alpha=ridge, fit_intercept=False, solver="svd").fit(K, V, sample_weight=w).coef_.T
    fit = exact.ridge(K, V, ridge, w)
    A, B = stacked(K, V, ridge, w)
    assert np.all(np.linalg.norm(fit.S - theirs, axis=0) <= 2 * wedin(A, B, theirs, U))
    assert fit.residual_ratio < backward.THRESHOLD
    assert backward.least_squares_ratio(A, theirs, B) < backward.THRESHOLD


@pytest.mark.parametrize("ridge", RIDGES[1:])
@pytest.mark.parametrize("shape", [(12, 4), (4, 12), (5, 5)])
def test_dual_ridge_is_ridge(shape: tuple[int, int], ridge: float, rng: np.random.Generator) -> None:
    K, V, w = problem(rng, *shape)
    primal, dual = exact.ridge(K, V, ridge, w).S, exact.ridge_dual(K, V, ridge, w)
    A, B = stacked(K, V, ridge, w)
    # The dual solves with √Γ KK'√Γ + λ I, of condition at most that of the stacked problem, squared.
    gap = np.linalg.norm(primal - dual)
    T = max(shape)
    gram = np.sqrt(w)[:, None] * K
    kappa = np.linalg.cond(gram @ gram.T + ridge * np.eye(len(K)))
    dual_error = T * (3 * T + T + 2) * U * kappa * np.linalg.norm(gram, 2) * np.linalg.norm(B) / ridge
    assert gap <= np.sum(wedin(A, B, primal, U)) + dual_error


@pytest.mark.parametrize("ridge", RIDGES)
def test_leverage_and_degrees_of_freedom_are_those_of_the_hat_matrix(ridge: float, rng: np.random.Generator) -> None:
    K, V, w = problem(rng)
    fit = exact.ridge(K, V, ridge, w)
    matrix, error = hat(K, ridge, w)
    s = np.linalg.svd(np.sqrt(w)[:, None] * K, compute_uv=False)
    assert np.all(np.abs(fit.leverage - np.diag(matrix)) <= error)
    assert abs(fit.effective_degrees_of_freedom - np.sum(s**2 / (s**2 + ridge))) <= len(K) * error
    assert np.all((fit.leverage >= 0) & (fit.leverage <= 1 + error))


@pytest.mark.parametrize("ridge", RIDGES)
@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_is_what_deleting_the_row_gives(ridge: float, weighted: bool, rng: np.random.Generator) -> None:
    K, V, w = problem(rng)
    w = w if weighted else np.ones(len(K))
    fit = exact.ridge(K, V, ridge, w)
    _, error = hat(K, ridge, w)
    for i in range(len(K)):
        rest = np.arange(len(K)) != i
        A, B = stacked(K[rest], V[rest], ridge, w[rest])
        without = exact.ridge(K[rest], V[rest], ridge, w[rest]).S
        deleted = V[i] - K[i] @ without
        own = (wedin(*stacked(K, V, ridge, w), fit.S, U) * np.linalg.norm(K[i]) + error * np.abs(deleted)) / (
            1 - fit.leverage[i]
        )
        bound = own + np.linalg.norm(K[i]) * wedin(A, B, without, U)
        assert np.all(np.abs(fit.leave_one_out[i] - deleted) <= bound)


def test_leave_one_out_refuses_a_row_that_alone_determines_the_fit(rng: np.random.Generator) -> None:
    K, V, _ = problem(rng)
    K[:, 0] = 0.0
    K[3, 0] = 1.0
    stack_k, stack_v = np.stack([rng.standard_normal(K.shape), K]), np.stack([V, V])
    with pytest.raises(LinAlgError, match=r"expected leverage below 1, got 1 in slices \(1, 3\); give a ridge"):
        _ = exact.ridge(stack_k, stack_v).leave_one_out
    assert np.all(np.isfinite(exact.ridge(stack_k, stack_v, 0.1).leave_one_out))


def test_ridge_per_direction_solves_its_normal_equations(rng: np.random.Generator) -> None:
    K, V, w = problem(rng)
    ridge = np.array([0.1, 1.0, 10.0, 0.0])
    A = np.vstack([np.sqrt(w)[:, None] * K, np.diag(np.sqrt(ridge))])
    B = np.vstack([np.sqrt(w)[:, None] * V, np.zeros((4, 3))])
    direct = np.linalg.solve(A.T @ A, A.T @ B)
    gap = np.linalg.norm(exact.ridge(K, V, ridge, w).S - direct)
    assert gap <= np.sum(wedin(A, B, direct, U)) + normal_equations(A, B, direct, U)


def test_duplicated_row_is_a_doubled_weight(rng: np.random.Generator) -> None:
    K, V, _ = problem(rng)
    twice = exact.ridge(np.vstack([K, K[:1]]), np.vstack([V, V[:1]]), 0.1).S
    w = np.ones(len(K))
    w[0] = 2.0
    A, B = stacked(K, V, 0.1, w)
    assert np.all(np.linalg.norm(exact.ridge(K, V, 0.1, w).S - twice, axis=0) <= 2 * wedin(A, B, twice, U))


def test_batch_entries_are_solved_apart(rng: np.random.Generator) -> None:
    K, V = rng.standard_normal((2, 3, 8, 4)), rng.standard_normal((2, 3, 8, 2))
    fit = exact.ridge(K, V, 0.2)
    assert fit.residual_ratio.shape == (2, 3)
    assert np.all(fit.residual_ratio < backward.THRESHOLD)
    for head in np.ndindex(2, 3):
        alone = exact.ridge(K[head], V[head], 0.2).S
        A, B = stacked(K[head], V[head], 0.2, np.ones(8))
        assert np.all(np.linalg.norm(fit.S[head] - alone, axis=0) <= 2 * wedin(A, B, alone, U))
