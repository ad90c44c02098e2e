"""What an exact solver refuses, in which words, and where it says the trouble is."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError

SOLVERS = {
    "correlation": exact.correlation_prefixes,
    "kaczmarz": lambda q, k, v: exact.kaczmarz_prefixes(q, k, v, beta=q[..., 0]),
    "mismatched": lambda q, k, v: exact.mismatched_kaczmarz_prefixes(q, k, v, erase=q),
    "feedback": lambda q, k, v: exact.state_feedback_prefixes(q, k, v, a=q, b=q),
    "heavy_ball": lambda q, k, v: exact.heavy_ball_prefixes(q, k, v, beta=q[..., 0], log_momentum=-q[..., 0]),
    "proximal": lambda q, k, v: exact.proximal_prefixes(q, k, v, beta=q[..., 0]),
    "diagonal": lambda q, k, v: exact.diagonal_kaczmarz_prefixes(q, k, v, beta=v),
    "preconditioned": lambda q, k, v: exact.preconditioned_kaczmarz_prefixes(
        q, k, v, beta=q[..., 0], log_decay=-q[..., 0], curvature_beta=q[..., 0], curvature_log_decay=-q[..., 0]
    ),
    "ridge_prefixes": lambda q, k, v: exact.ridge_prefixes(q, k, v, ridge=1.0),
    "recursive": lambda q, k, v: exact.recursive_least_squares(q, k, v, ridge=1.0),
    "kernel_ridge": lambda q, k, v: exact.kernel_ridge_prefixes(q, k, v, kernel=exact.kernels.Linear(), ridge=1.0),
    "smoother": exact.kernel_smoother_prefixes,
}


@pytest.mark.parametrize("name", SOLVERS)
def test_half_precision_is_refused_with_the_cast_named(name: str) -> None:
    for x in (np.ones((4, 2), np.float16), torch.ones((4, 2), dtype=torch.bfloat16)):
        with pytest.raises(ValueError, match=r"q: expected float32 or float64, got .*float16; cast it.*astype\(q, "):
            SOLVERS[name](x, x, x)


@pytest.mark.parametrize("entry", [np.nan, np.inf])
@pytest.mark.parametrize("name", SOLVERS)
def test_an_entry_that_is_not_finite_is_refused_with_its_place(
    name: str, entry: float, full_precision: Library
) -> None:
    clean, bad = np.ones((2, 4, 3)), np.ones((2, 4, 3))
    bad[1, 2, 0] = entry
    q, k, v = full_precision.asarray(clean), full_precision.asarray(bad), full_precision.asarray(clean)
    with pytest.raises(ValueError, match=r"^k: expected finite entries, got NaN or infinity first at \(1, 2, 0\)$"):
        SOLVERS[name](q, k, v)


@pytest.mark.parametrize("solver", [exact.ridge, exact.least_norm])
def test_data_solvers_refuse_half_precision_nan_and_shapes_that_differ(solver: Callable[..., object]) -> None:
    K, V = np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(ValueError, match="K: expected float32 or float64, got float16"):
        solver(K.astype(np.float16), V)
    V[2] = np.nan
    with pytest.raises(ValueError, match=r"V: expected finite entries, got NaN or infinity first at \(2, 0\)"):
        solver(K, V)


@pytest.mark.parametrize("solver", [exact.ridge, exact.least_norm, partial(exact.ridge_dual, ridge=1.0)])
def test_rows_that_do_not_match_are_refused(solver: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"^V: expected shape \(4, d_v\) as K, got \(3, 1\)$"):
        solver(np.ones((4, 2)), np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"^K: expected shape \(\.\.\., T, d_k\), got \(4,\)$"):
        solver(np.ones(4), np.ones((4, 1)))


@pytest.mark.parametrize("solver", [exact.ridge, exact.least_norm])
def test_bad_weights_are_refused(solver: Callable[..., object]) -> None:
    K, V = np.ones((4, 2)), np.ones((4, 1))
    with pytest.raises(ValueError, match=r"weights: expected at least 0, got -1\.0"):
        solver(K, V, weights=-np.ones(4))
    with pytest.raises(ValueError, match=r"weights: expected shape \(4,\), got \(3,\)"):
        solver(K, V, weights=np.ones(3))


def test_singular_ridge_is_refused_by_slice(full_precision: Library, rng: np.random.Generator) -> None:
    K = rng.standard_normal((3, 6, 4))
    K[1, :, 2] = K[1, :, 0]
    V = full_precision.asarray(rng.standard_normal((3, 6, 2)))
    with pytest.raises(LinAlgError, match=r"expected full column rank with ridge 0.* in slices \(1,\); give a ridge"):
        exact.ridge(full_precision.asarray(K), V)
    assert tuple(exact.ridge(full_precision.asarray(K), V, 0.5).S.shape) == (3, 4, 2)


def test_fewer_rows_than_columns_without_ridge_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(LinAlgError, match="expected full column rank"):
        exact.ridge(rng.standard_normal((3, 5)), rng.standard_normal((3, 1)))


def test_dual_of_dependent_rows_without_ridge_is_refused(rng: np.random.Generator) -> None:
    K = rng.standard_normal((6, 3))
    with pytest.raises(LinAlgError, match=r"KK' \+ ridge: expected positive definite"):
        exact.ridge_dual(K, K, 0.0)


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(weight: float) -> None:
    x = np.ones((4, 2))
    w = np.array([1.0, weight, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"weights: expected finite entries, got NaN or infinity first at \(1,\)"):
        exact.ridge_prefixes(x, x, x, ridge=1.0, weights=w)
    with pytest.raises(ValueError, match=r"log_weights: expected finite entries"):
        exact.kernel_smoother_prefixes(x, x, x, log_weights=w)
