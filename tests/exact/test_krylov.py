"""Ridge regression over a Krylov space: the optimum of the objective there, and what conjugate gradients reach."""

import re
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.sparse.linalg

from ttr_numerics import exact, layers
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.axes import Moments
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

F64, T, D, D_V, RIDGE = FORMATS["float64"], 14, 6, 3, 0.25


def data(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two heads of unit keys with gates and weights, and rows to start from."""
    q, k, x = (rng.standard_normal((2, T, D)) for _ in range(3))
    return {
        "q": q,
        "k": k / np.linalg.norm(k, axis=-1, keepdims=True),
        "v": rng.standard_normal((2, T, D_V)),
        "log_decay": -rng.exponential(0.1, (2, T)),
        "weights": rng.uniform(0.1, 1.0, (2, T)),
        "start": x,
    }


def solved(steps: int, ridge: Any = RIDGE) -> Any:
    return lambda **arrays: exact.galerkin_prefixes(**arrays, steps=steps, ridge=ridge)


def moments(arrays: dict[str, np.ndarray], head: int) -> Any:
    """A_t and G_t of one head, token by token."""
    H, G = np.zeros((D, D)), np.zeros((D, D_V))
    for k, v, gate, w in zip(*(arrays[n][head] for n in ("k", "v", "log_decay", "weights")), strict=True):
        H, G = np.exp(gate) * H + w * np.outer(k, k), np.exp(gate) * G + w * np.outer(k, v)
        yield H + RIDGE * np.eye(D), G


def optimum(A: np.ndarray, q: np.ndarray, x0: np.ndarray, steps: int) -> np.ndarray:
    """The A-optimal point of x_0 + span{r, Ar, ...} from that basis as it stands, in 400 bits."""
    with mpmath.workprec(400):
        A, q, x0 = (mpmath.matrix(y.tolist()) for y in (A, q, x0))
        vectors = [q - A * x0]
        for _ in range(steps - 1):
            vectors.append(A * vectors[-1])
        K = mpmath.matrix([[y[i] for y in vectors] for i in range(D)])
        c = mpmath.lu_solve(K.T * A * K, K.T * vectors[0])
        return np.array([float(y) for y in x0 + K * c])


@pytest.mark.parametrize("steps", [1, 2, 4, D])
def test_every_prefix_is_optimal_in_the_krylov_space_as_its_definition_spans_it(
    steps: int, rng: np.random.Generator
) -> None:
    arrays = data(rng)
    run = rounding(solved(steps), arrays, F64)
    truth = np.zeros_like(arrays["v"])
    for head in range(2):
        for t, (A, G) in enumerate(moments(arrays, head)):
            n = min(steps, t + 2)  # of t + 1 keys and Λ no more than t + 2 eigenvalues are distinct
            truth[head, t] = optimum(A, arrays["q"][head, t], arrays["start"][head, t], n) @ G
    # The moments of the oracle are float64 sums too: it may be as wrong as the solver.
    assert np.all(row_norms(run.reference - truth) <= 2 * run.bound)
    other = solved(steps)(**arrays | {"start": arrays["start"] * (1 + 1e-9)}).o
    assert steps == D or np.any(row_norms(other - truth) > 2 * run.bound), "another start is seen"


@pytest.mark.parametrize("steps", [1, 2, 4, 30])
def test_scipy_reaches_it_in_as_many_steps(steps: int, rng: np.random.Generator) -> None:
    arrays = data(rng)
    run = rounding(solved(steps), arrays, F64)
    beta = {**arrays, "beta": arrays["weights"]}
    del beta["weights"]
    theirs = np.zeros_like(arrays["v"])
    for head in range(2):
        for t, (A, G) in enumerate(moments(arrays, head)):
            q, x0 = arrays["q"][head, t], arrays["start"][head, t]
            x, _ = scipy.sparse.linalg.cg(A, q, x0=x0, rtol=F64.u, maxiter=steps)
            theirs[head, t] = x @ G
    # Theirs rounds as a sound conjugate gradient recursion does.
    iteration = rounding(lambda **a: layers.mesa_cg(**a, steps=steps, ridge=RIDGE), beta, F64).bound
    assert np.all(row_norms(run.reference - theirs) <= run.bound + iteration)


@pytest.mark.parametrize("steps", [D, D + 1, 100])
def test_once_the_space_is_exhausted_it_is_ridge_regression(steps: int, rng: np.random.Generator) -> None:
    arrays = data(rng)
    run = rounding(solved(steps), arrays, F64)
    del arrays["start"]
    ridge = rounding(lambda **a: exact.ridge_prefixes(**a, ridge=RIDGE), arrays, F64)
    assert np.all(row_norms(run.reference - ridge.reference) <= run.bound + ridge.bound)


@pytest.mark.parametrize("change", ["axes", "one", "zero", "parallel"])
def test_spaces_that_end_early_are_solved_exactly(change: str, rng: np.random.Generator) -> None:
    arrays = data(rng)
    del arrays["start"]
    arrays["k"] = {
        "axes": np.eye(D)[rng.integers(0, D, (2, T))],
        "one": np.repeat(arrays["k"][:, :1], T, axis=1),
        "zero": 0 * arrays["k"],
        "parallel": arrays["k"][:, :1] * rng.standard_normal((2, T, 1)),
    }[change]
    arrays["q"][:, 3] = arrays["k"][:, 3]
    arrays["q"][:, 5] = 0.0
    run = rounding(solved(D), arrays, F64)
    ridge = rounding(lambda **a: exact.ridge_prefixes(**a, ridge=RIDGE), arrays, F64)
    assert np.all(row_norms(run.reference - ridge.reference) <= run.bound + ridge.bound)


def test_no_step_is_the_start_itself(rng: np.random.Generator) -> None:
    arrays = data(rng)
    read = solved(0)(**arrays)
    given = {n: arrays[n] for n in ("k", "log_decay")} | {"v": arrays["weights"][..., None] * arrays["v"]}
    assert np.all(
        row_norms(read.o - exact.correlation_prefixes(arrays["start"], **given).o)
        <= 2 * rounding(solved(0), arrays, F64).bound
    )
    assert isinstance(read.state, Moments)


def test_without_a_ridge_a_space_that_no_key_reaches_is_refused(rng: np.random.Generator) -> None:
    arrays = data(rng) | {"k": np.repeat(np.eye(D)[:1], T, axis=0)[None] + np.zeros((2, 1, 1))}
    del arrays["start"]
    arrays["q"] = np.repeat(np.eye(D)[1:2], T, axis=0)[None] + np.zeros((2, 1, 1))
    with pytest.raises(LinAlgError, match=r"^V \(H \+ ridge\) V': expected positive definite"):
        solved(2, ridge=0.0)(**arrays)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"start": np.full((2, T, D), np.nan)},
            "start: expected finite entries, got NaN or infinity first at (0, 0, 0)",
        ),
        ({"start": np.zeros((T, D))}, f"start: expected shape (2, {T}, {D}) as q, got ({T}, {D})"),
        ({"weights": -np.ones((2, T))}, "weights: expected at least 0, got -1.0"),
        ({"log_decay": np.ones((2, T))}, "log_decay: expected at most 0 (-inf resets), got 1.0 first at (0, 0)"),
        ({"k": np.full((2, T, D), np.inf)}, "k: expected finite entries, got NaN or infinity first at (0, 0, 0)"),
    ],
)
def test_bad_arrays_are_refused_in_one_sentence(changed: Any, sentence: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        solved(2)(**data(rng) | changed)


def test_half_precision_and_negative_steps_are_refused(rng: np.random.Generator) -> None:
    q, k, v = (data(rng)[n].astype(np.float16) for n in "qkv")
    with pytest.raises(ValueError, match=r"^q: expected float32 or float64, got float16"):
        exact.galerkin_prefixes(q, k, v, ridge=1.0, steps=2)
    with pytest.raises(ValueError, match=r"^steps: expected at least 0, got -1$"):
        solved(-1)(**data(rng))
