"""LAPACK's ratios pass what a stable algorithm leaves, and fail what it would not."""

import numpy as np
import pytest

from tests.conftest import Library
from ttr_numerics import backward
from ttr_numerics.arrays import like, to_numpy, unit_roundoff


def problem(rng: np.random.Generator, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch of two random systems."""
    return rng.standard_normal((2, m, n)), rng.standard_normal((2, m, 3))


def test_solve_ratio_of_a_stable_solve_is_below_the_threshold(
    full_precision: Library, rng: np.random.Generator
) -> None:
    A, B = problem(rng, 6, 6)
    a = full_precision.asarray(A)
    stored = np.asarray(to_numpy(a), np.float64)
    X = full_precision.asarray(np.linalg.solve(stored, B))
    ratio = backward.solve_ratio(a, X, full_precision.asarray(B))
    assert like(ratio) == like(a)
    assert tuple(ratio.shape) == (2,)
    assert np.all(to_numpy(ratio) < backward.THRESHOLD)


def test_solve_ratio_counts_roundoffs_of_the_worst_column(rng: np.random.Generator) -> None:
    # Powers of two: A = 2 I, X = 1, so one column moved by 64 roundoffs of its size has ratio 64 by definition.
    A, X = 2.0 * np.eye(4), np.ones((4, 2))
    B = A @ X
    B[:, 1] += 2.0 * 64 * 2.0**-53 * 8
    assert backward.solve_ratio(A, X, B) == 64 * 8
    assert backward.solve_ratio(A, X, A @ X) == 0


def test_ratio_of_a_wrong_slice_fails_alone(rng: np.random.Generator) -> None:
    A, B = problem(rng, 5, 5)
    X = np.linalg.solve(A, B)
    X[1, 0, 0] += 2.0**-30
    assert list(backward.solve_ratio(A, X, B) < backward.THRESHOLD) == [True, False]


@pytest.mark.parametrize("consistent", [True, False])
def test_least_squares_ratio_passes_qr_and_fails_a_fault(consistent: bool, rng: np.random.Generator) -> None:
    A, B = problem(rng, 12, 4)
    if consistent:
        B = A @ rng.standard_normal((2, 4, 3))
    X = np.stack([np.linalg.lstsq(a, b)[0] for a, b in zip(A, B, strict=True)])
    assert np.all(backward.least_squares_ratio(A, X, B) < backward.THRESHOLD)
    X[0, 1, 1] *= 1.001
    assert list(backward.least_squares_ratio(A, X, B) < backward.THRESHOLD) == [False, True]


def test_least_squares_ratio_counts_roundoffs_of_the_larger_dimension() -> None:
    # r = (-δ, 1), A'r = -δ, ‖A‖ = 1: the ratio is δ/(‖r‖₁ · 2u); where B is consistent ‖B‖ stands for ‖r‖.
    A, delta, u = np.array([[1.0], [0.0]]), 2.0**-43, 2.0**-53
    X = np.array([[1 + delta]])
    assert backward.least_squares_ratio(A, X, np.array([[1.0], [1.0]])) == delta / ((1 + delta) * 2 * u)
    near = np.array([[1 + 2 * u]])
    assert backward.least_squares_ratio(A, near, np.array([[1.0], [0.0]])) == 1.0


def test_factor_ratio_counts_roundoffs_a_row() -> None:
    A, moved = 4.0 * np.eye(2), np.zeros((2, 2))
    moved[0, 1] = 4.0 * 64 * 2.0**-53
    assert backward.factor_ratio(A + moved, 2.0 * np.eye(2)) * (1 + 64 * 2.0**-53) == 64 / 2


def test_least_squares_ratio_on_the_data_sees_what_the_gram_hides(rng: np.random.Generator) -> None:
    U, _ = np.linalg.qr(rng.standard_normal((40, 6)))
    W, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    K = (U * np.geomspace(1, 1e-7, 6)) @ W
    V = K @ rng.standard_normal((6, 2))
    H, G = K.T @ K, K.T @ V
    X = np.linalg.solve(H, G)
    assert backward.solve_ratio(H, X, G) < backward.THRESHOLD
    from_data = np.linalg.lstsq(K, V)[0]
    assert np.linalg.norm(K @ from_data - V) < np.linalg.norm(K @ X - V)


def test_factor_ratio_passes_cholesky_and_fails_a_fault(full_precision: Library, rng: np.random.Generator) -> None:
    X = rng.standard_normal((2, 20, 5))
    a = full_precision.asarray(X.mT @ X)
    L = np.array(to_numpy(a))
    L = np.linalg.cholesky(L)
    assert np.all(to_numpy(backward.factor_ratio(a, full_precision.asarray(L))) < backward.THRESHOLD)
    L[1, 2, 2] *= 1.001
    passed = to_numpy(backward.factor_ratio(a, full_precision.asarray(L))) < backward.THRESHOLD
    assert list(passed) == [True, False]


def test_eps_is_half_the_spacing_at_one(full_precision: Library) -> None:
    one = full_precision.asarray(np.ones((1, 1)))
    u = unit_roundoff(one)
    moved = full_precision.asarray(np.full((1, 1), 1 + 16 * u))
    assert float(to_numpy(backward.solve_ratio(one, one, moved))) == 16


def test_zero_systems_have_ratio_zero() -> None:
    zero = np.zeros((3, 3))
    assert backward.solve_ratio(zero, zero, zero) == 0
    assert backward.least_squares_ratio(zero, zero, zero) == 0
    assert backward.factor_ratio(zero, zero) == 0
