"""Generators give what they promise: spectra, norms and exact solutions."""

from fractions import Fraction

import numpy as np
import pytest

from ttr_numerics import tasks


def test_rational_solution_satisfies_the_normal_equations_exactly():
    K = np.array([[1.0, 0.1], [0.3, -2.0], [1e-9, 7.0]])
    V = np.array([[1.0], [0.2], [1e6]])
    ridge = 0.125
    A, B = ([[Fraction(float(x)) for x in row] for row in M] for M in (K, V))
    H = [[sum(r[i] * r[j] for r in A) + (Fraction(ridge) if i == j else 0) for j in (0, 1)] for i in (0, 1)]
    G = [sum(r[i] * b[0] for r, b in zip(A, B, strict=True)) for i in (0, 1)]
    determinant = H[0][0] * H[1][1] - H[0][1] * H[1][0]
    cramer = [(G[0] * H[1][1] - H[0][1] * G[1]) / determinant, (H[0][0] * G[1] - G[0] * H[1][0]) / determinant]
    assert tasks.rational_least_squares(K, V, ridge)[:, 0].tolist() == [float(x) for x in cramer]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_solved_problem_stores_the_solution_of_its_rounded_data(dtype):
    problem = tasks.solved_problem(np.random.default_rng(3), 12, 5, 2, 1e4, dtype)
    assert problem.K.dtype == problem.V.dtype == dtype
    wide = np.asarray(problem.K, dtype=np.float64), np.asarray(problem.V, dtype=np.float64)
    found = np.linalg.lstsq(*wide, rcond=None)[0]
    # Wedin: the relative error of a backward stable solver is below a small multiple of u (κ + κ² ‖r‖/(‖K‖‖S‖)).
    residual = np.linalg.norm(wide[1] - wide[0] @ problem.S) / np.linalg.norm(problem.S)
    bound = 100 * 2.0**-53 * (1e4 + 1e8 * residual)
    assert np.linalg.norm(found - problem.S) <= bound * np.linalg.norm(problem.S)
    assert np.linalg.norm(problem.S_ridge - problem.S) > bound * np.linalg.norm(problem.S)


def test_coloured_keys_have_unit_norm_and_the_spectrum_of_sigma():
    rng = np.random.default_rng(5)
    K = tasks.coloured_unit_keys(rng, (2, 4000, 8), 100.0)
    assert (np.abs(np.linalg.norm(K, axis=-1) - 1) <= 8 * 2.0**-53 * 8).all()  # a sum of 8 squares, a root, a quotient
    isotropic = tasks.coloured_unit_keys(rng, (4000, 8), 1.0)
    assert np.linalg.cond(isotropic) < 1.2
    # Scaling to unit norm shrinks large directions: the spread stays below √100, yet far above isotropic.
    assert np.all((np.linalg.cond(K) > 4) & (np.linalg.cond(K) < 10.5))
    first, second = (np.linalg.svd(k)[2][0] for k in K)
    assert abs(first @ second) < 0.999


def test_captured_sources_are_those_shipped():
    names = [real.name for real in tasks.captured()]
    assert names == [tasks.smollm2().name, tasks.minilm(0).name, tasks.minilm(5).name]
    assert "4-bit" in names[0]
