"""The minimum-norm solution against NumPy's pseudoinverse and SciPy, at every rank and on real keys."""

import numpy as np
import pytest
import scipy.linalg

from tests.references import wedin
from ttr_numerics import backward, exact, tasks

U = 2.0**-53


def truncated_error(A: np.ndarray, B: np.ndarray, X: np.ndarray, rank: int) -> float:
    """Wedin's bound with the condition number of the kept singular values, and the constant of the SVD, max(m, n)."""
    s = np.linalg.svd(A, compute_uv=False)[:rank]
    kappa = s[0] / s[-1]
    residual = np.linalg.norm(B - A @ X)
    growth = 2 * kappa * np.linalg.norm(X) + kappa**2 * residual / s[0] + kappa * np.linalg.norm(B) / s[-1]
    return float(max(A.shape) * U * growth)


@pytest.mark.parametrize(("T", "d", "rank"), [(20, 6, 6), (20, 6, 3), (6, 20, 6), (6, 20, 2), (8, 8, 8), (8, 8, 1)])
def test_least_norm_is_the_pseudoinverse_at_any_rank(T: int, d: int, rank: int, rng: np.random.Generator) -> None:
    K = rng.standard_normal((T, rank)) @ rng.standard_normal((rank, d))
    V = rng.standard_normal((T, 3))
    fit = exact.least_norm(K, V)
    assert int(fit.rank) == rank
    for theirs in (np.linalg.pinv(K, rcond=T * d * U) @ V, scipy.linalg.lstsq(K, V, cond=T * d * U)[0]):
        assert np.linalg.norm(fit.S - theirs) <= 2 * truncated_error(K, V, theirs, rank)
    assert fit.residual_ratio < backward.THRESHOLD


def test_twelve_real_heads_side_by_side_are_solved_although_rank_deficient() -> None:
    captured = tasks.minilm(5)
    K = np.concatenate(list(captured.k.astype(np.float64)), axis=-1)
    V = captured.v[0].astype(np.float64)
    fit = exact.least_norm(K, V)
    rank = int(fit.rank)
    assert rank < min(K.shape) or K.shape[0] < K.shape[1]
    assert rank == np.linalg.matrix_rank(K)
    theirs = np.linalg.pinv(K, rcond=max(K.shape) * 2 * U) @ V
    assert np.linalg.norm(fit.S - theirs) <= 2 * truncated_error(K, V, theirs, rank)
    assert fit.residual_ratio < backward.THRESHOLD


def test_weights_drop_out_where_every_pair_is_interpolated(rng: np.random.Generator) -> None:
    K, V, w = rng.standard_normal((3, 7)), rng.standard_normal((3, 2)), rng.uniform(0.5, 2.0, 3)
    S = exact.least_norm(K, V).S
    root = np.sqrt(w)[:, None]
    gap = np.linalg.norm(exact.least_norm(K, V, w).S - S)
    assert gap <= truncated_error(root * K, root * V, S, 3) + truncated_error(K, V, S, 3)
    assert np.linalg.norm(K @ S - V) <= np.linalg.norm(K, 2) * truncated_error(K, V, S, 3)


def test_weights_show_where_the_fit_is_over_determined(rng: np.random.Generator) -> None:
    K, V, w = rng.standard_normal((9, 3)), rng.standard_normal((9, 2)), rng.uniform(0.5, 2.0, 9)
    A, B = np.sqrt(w)[:, None] * K, np.sqrt(w)[:, None] * V
    theirs = scipy.linalg.lstsq(A, B)[0]
    bound = 2 * wedin(A, B, theirs, U)
    assert np.all(np.linalg.norm(exact.least_norm(K, V, w).S - theirs, axis=0) <= bound)
    assert np.all(np.linalg.norm(exact.least_norm(K, V).S - theirs, axis=0) > bound)


def test_zero_keys_have_rank_zero_and_solution_zero() -> None:
    fit = exact.least_norm(np.zeros((4, 3)), np.ones((4, 2)))
    assert int(fit.rank) == 0
    assert not fit.S.any()


def test_stacks_are_solved_slice_by_slice(rng: np.random.Generator) -> None:
    K, V = rng.standard_normal((2, 3, 6, 4)), rng.standard_normal((2, 3, 6, 2))
    K[1, 2, :, 3] = K[1, 2, :, 0]
    fit = exact.least_norm(K, V)
    assert np.array_equal(fit.rank, [[4, 4, 4], [4, 4, 3]])
    assert np.all(fit.residual_ratio < backward.THRESHOLD)
