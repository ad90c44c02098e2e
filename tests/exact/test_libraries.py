"""Every solver stays in its library and dtype, and torch and array-api-strict give NumPy's answer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from tests.references import normal_equations, stacked, wedin
from ttr_numerics import backward, exact
from ttr_numerics.arrays import like, to_numpy, unit_roundoff

T, D = 10, 3


def problem(rng: np.random.Generator, batch: tuple[int, ...] = (2,)) -> dict[str, np.ndarray]:
    """Keys, values, weights."""
    w = rng.uniform(0.5, 2.0, (*batch, T))
    return {"K": rng.standard_normal((*batch, T, D)), "V": rng.standard_normal((*batch, T, 2)), "weights": w}


FITS: dict[str, Callable[..., Any]] = {
    "ridge": lambda **x: exact.ridge(ridge=0.4, **x).S,
    "ridge_dual": lambda **x: exact.ridge_dual(ridge=0.4, **x),
    "least_norm": lambda **x: exact.least_norm(**x).S,
}


@pytest.mark.parametrize("name", FITS)
def test_fits_agree_across_libraries(name: str, full_precision: Library, rng: np.random.Generator) -> None:
    arrays = full_precision.arrays(problem(rng))
    S = FITS[name](**arrays)
    assert like(S) == like(arrays["V"])
    u = unit_roundoff(arrays["K"])
    stored = {n: np.asarray(to_numpy(x), np.float64) for n, x in arrays.items()}
    truth = FITS[name](**stored)
    for head in range(2):
        K, V, w = (stored[n][head] for n in ("K", "V", "weights"))
        A, B = stacked(K, V, 0.0 if name == "least_norm" else 0.4, w)
        bound = np.sum(wedin(A, B, truth[head], u))
        if name == "ridge_dual":
            gram = np.sqrt(w)[:, None] * K
            kappa = np.linalg.cond(gram @ gram.T + 0.4 * np.eye(T))
            bound = T * (3 * T + D) * u * kappa * np.linalg.norm(gram, 2) * np.linalg.norm(B) / 0.4
        assert np.linalg.norm(to_numpy(S)[head] - truth[head]) <= bound


def test_diagnostics_stay_in_the_library(full_precision: Library, rng: np.random.Generator) -> None:
    arrays = full_precision.arrays(problem(rng))
    fit = exact.ridge(ridge=0.4, **arrays)
    least = exact.least_norm(**arrays)
    parts = [fit.leverage, fit.effective_degrees_of_freedom, fit.leave_one_out, fit.residual_ratio]
    parts += [least.singular_values, least.residual_ratio]
    assert all(like(part) == like(arrays["K"]) for part in parts)
    assert np.all(to_numpy(fit.residual_ratio) < backward.THRESHOLD)
    assert np.all(to_numpy(least.residual_ratio) < backward.THRESHOLD)
    assert np.array_equal(to_numpy(least.rank), [D, D])


PREFIXES: dict[str, Callable[..., Any]] = {
    "ridge_prefixes": lambda K, V, weights: exact.ridge_prefixes(K, K, V, ridge=0.4, weights=weights).o,
    "recursive": lambda K, V, weights: exact.recursive_least_squares(K, K, V, ridge=0.4, weights=weights).o,
    "kernel_ridge": lambda K, V, weights: (
        exact.kernel_ridge_prefixes(K, K, V, kernel=exact.kernels.Linear(), ridge=0.4).o
    ),
}


@pytest.mark.parametrize("name", PREFIXES)
def test_prefix_solvers_agree_across_libraries(name: str, full_precision: Library, rng: np.random.Generator) -> None:
    given = problem(rng)
    if name == "kernel_ridge":
        given["weights"] = np.ones((2, T))
    arrays = full_precision.arrays(given)
    o = PREFIXES[name](**arrays)
    assert like(o) == like(arrays["V"])
    u = unit_roundoff(arrays["K"])
    for head in range(2):
        K, V, w = (np.asarray(to_numpy(arrays[n]), np.float64)[head] for n in ("K", "V", "weights"))
        for t in range(1, T + 1):
            A, B = stacked(K[:t], V[:t], 0.4, w[:t])
            S = exact.ridge(K[:t], V[:t], 0.4, w[:t]).S
            error = normal_equations(A, B, S, u)
            if name == "kernel_ridge":
                error *= t * np.linalg.norm(K[:t], 2) ** 2 / 0.4  # through the Gram matrix, of condition ‖K‖²/λ
            if name == "recursive":
                error *= t  # the inverse carries every earlier token's error
            assert np.linalg.norm(to_numpy(o)[head, t - 1] - K[t - 1] @ S) <= np.linalg.norm(K[t - 1]) * error


def test_smoothers_agree_across_libraries(full_precision: Library, rng: np.random.Generator) -> None:
    given = problem(rng)
    arrays = full_precision.arrays(given)
    o = exact.kernel_smoother(arrays["K"], arrays["K"], arrays["V"], log_weights=arrays["weights"])
    assert like(o) == like(arrays["V"])
    K, V, w = (np.asarray(to_numpy(arrays[n]), np.float64) for n in ("K", "V", "weights"))
    truth = exact.kernel_smoother(K, K, V, log_weights=w)
    logs = np.max(np.abs(exact.kernels.Gaussian().log(K, K))) + np.max(w)
    size = 4 * unit_roundoff(arrays["K"]) * ((D + 4) * (1 + logs) + T) * np.max(np.abs(V))
    assert np.all(np.abs(to_numpy(o) - truth) <= size)
