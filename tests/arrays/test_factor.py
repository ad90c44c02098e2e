"""Factorisations: right on every library, and refused by name where there is none."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import sympy
import torch

from tests.conftest import Library
from ttr_numerics import arrays, backward
from ttr_numerics.arrays import LinAlgError, like, to_numpy


def gram(rng: np.random.Generator, batch: tuple[int, ...], n: int, rank: int | None = None) -> np.ndarray:
    """Random positive (semi)definite matrices of a given rank."""
    X = rng.standard_normal((*batch, 3 * n if rank is None else rank, n))
    return X.mT @ X


def test_cholesky_reproduces_the_matrix(full_precision: Library, rng: np.random.Generator) -> None:
    a = full_precision.asarray(gram(rng, (2, 3), 5))
    factor = arrays.cholesky(a)
    assert like(factor) == like(a)
    L, A = to_numpy(factor), to_numpy(a)
    assert np.array_equal(L, np.tril(L))
    assert np.all(backward.factor_ratio(A, L) < backward.THRESHOLD)


@pytest.mark.parametrize("fault", ["singular", "zero", "indefinite", "negative"])
def test_cholesky_refuses_and_names_the_slices(full_precision: Library, fault: str, rng: np.random.Generator) -> None:
    a = gram(rng, (2, 2), 4)
    a[0, 1] = {
        "singular": gram(rng, (), 4, rank=2),
        "zero": np.zeros((4, 4)),
        "indefinite": np.diag([1.0, 1.0, -1.0, 1.0]),
        "negative": -a[0, 1],
    }[fault]
    with pytest.raises(LinAlgError, match=r"^Gram: expected positive definite, got .* in slices \(0, 1\);"):
        arrays.cholesky(full_precision.asarray(a), "Gram")


@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_cholesky_refuses_what_is_not_finite(full_precision: Library, entry: float, rng: np.random.Generator) -> None:
    a = gram(rng, (3,), 4)
    a[2, 1, 1] = entry
    with pytest.raises(LinAlgError, match=r"expected finite entries, got NaN or infinity in slices \(2,\)"):
        arrays.cholesky(full_precision.asarray(a))


def test_a_refusal_without_batch_names_no_slice() -> None:
    with pytest.raises(LinAlgError, match=r"times the largest; give"):
        arrays.cholesky(np.zeros((2, 2)))


@pytest.mark.parametrize("transpose", [False, True])
def test_triangular_solve_is_backward_stable_and_as_good_as_scipy(
    full_precision: Library, transpose: bool, rng: np.random.Generator
) -> None:
    L, B = np.linalg.cholesky(gram(rng, (2, 3), 5)), rng.standard_normal((2, 3, 5, 4))
    factor, b = full_precision.asarray(L), full_precision.asarray(B)
    x = arrays.solve_triangular(factor, b, transpose)
    assert like(x) == like(b)
    L, B, X = to_numpy(factor), to_numpy(b), to_numpy(x)
    A = L.mT if transpose else L
    theirs = scipy.linalg.solve_triangular(L, B, trans=int(transpose), lower=True)
    assert np.all(backward.solve_ratio(A, X, B) < backward.THRESHOLD)
    assert np.all(backward.solve_ratio(A, theirs, B) < backward.THRESHOLD)


def test_triangular_solve_broadcasts_the_batch(rng: np.random.Generator) -> None:
    L, B = np.linalg.cholesky(gram(rng, (), 3)), rng.standard_normal((4, 3, 2))
    each = np.stack([arrays.solve_triangular(L, b) for b in B])
    assert np.array_equal(arrays.solve_triangular(L, B), each)


def test_posdef_solve_is_backward_stable(full_precision: Library, rng: np.random.Generator) -> None:
    a, b = full_precision.asarray(gram(rng, (2,), 5)), full_precision.asarray(rng.standard_normal((2, 5, 3)))
    x = arrays.solve_posdef(a, b)
    assert like(x) == like(b)
    assert np.all(backward.solve_ratio(to_numpy(a), to_numpy(x), to_numpy(b)) < backward.THRESHOLD)


def test_posdef_solve_in_half_precision_is_factored_in_single_and_rounded_back(rng: np.random.Generator) -> None:
    A, B = gram(rng, (2,), 4), rng.standard_normal((2, 4, 3))
    for make, half, single in (
        (np.asarray, np.float16, np.float32),
        (torch.asarray, torch.float16, torch.float32),
        (torch.asarray, torch.bfloat16, torch.float32),
    ):
        a, b = make(make(A), dtype=half), make(make(B), dtype=half)
        x = arrays.solve_posdef(a, b)
        wide = arrays.solve_posdef(make(a, dtype=single), make(b, dtype=single))
        assert x.dtype == b.dtype
        assert np.array_equal(to_numpy(x), to_numpy(make(wide, dtype=half)))


def test_symbolic_factor_and_solves_are_exact() -> None:
    a, b, c, x = sympy.symbols("a b c x", positive=True)
    A = np.array([[a, b], [b, c + b**2 / a]], dtype=object)
    L = arrays.cholesky(A)
    assert all(sympy.simplify(e) == 0 for e in (L @ L.T - A).flat)
    B = np.array([[x], [b]], dtype=object)
    assert all(sympy.simplify(e) == 0 for e in (A @ arrays.solve_posdef(A, B) - B).flat)


def test_least_squares_is_the_minimum_norm_solution_at_every_rank(
    full_precision: Library, rng: np.random.Generator
) -> None:
    u = arrays.unit_roundoff(full_precision.asarray(np.ones(1)))
    for T, d, rank in ((8, 3, 3), (8, 4, 2), (3, 6, 3), (6, 6, 4), (4, 4, 0)):
        A = rng.integers(-3, 4, (T, rank)) @ rng.integers(-3, 4, (rank, d)) * 1.0
        B = rng.standard_normal((T, 2))
        a, b = full_precision.asarray(A), full_precision.asarray(B)
        x, s = arrays.least_squares(a, b)
        exact = np.linalg.pinv(A) @ B
        assert like(x) == like(b)
        assert tuple(s.shape) == (min(T, d),)
        assert all(p >= n for p, n in pairwise(to_numpy(s)))
        # Wedin for the rank-deficient problem (Björck 1996, theorem 1.4.6), perturbation of max(m, n)² roundoffs.
        values = np.linalg.svd(A, compute_uv=False)[:rank]
        kappa = values[0] / values[-1] if rank else 1.0
        residual = np.linalg.norm(B - A @ exact) / (values[-1] if rank else 1.0)
        bound = max(T, d) ** 2 * u * (2 * kappa * np.linalg.norm(exact) + kappa * residual + np.linalg.norm(B) * rank)
        assert np.linalg.norm(to_numpy(x) - exact) <= bound
