"""Ridge regression by the polynomial of least residual: SciPy's Chebyshev polynomial on SciPy's eigenvalues."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

from ttr_numerics import exact
from ttr_numerics.axes import Moments
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

F64, T, D, D_V = FORMATS["float64"], 14, 6, 3


def data(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two heads of unit keys with gates and weights."""
    q, k = (rng.standard_normal((2, T, D)) for _ in range(2))
    return {
        "q": q,
        "k": k / np.linalg.norm(k, axis=-1, keepdims=True),
        "v": rng.standard_normal((2, T, D_V)),
        "log_decay": -rng.exponential(0.1, (2, T)),
        "weights": rng.uniform(0.1, 1.0, (2, T)),
    }


def solved(steps: int, ratio: float) -> Any:
    return lambda **arrays: exact.minimax_prefixes(**arrays, steps=steps, ridge_ratio=ratio)


def moments(arrays: dict[str, np.ndarray], head: int) -> Any:
    """H_t and G_t of one head, token by token."""
    H, G = np.zeros((D, D)), np.zeros((D, D_V))
    for k, v, gate, w in zip(*(arrays[n][head] for n in ("k", "v", "log_decay", "weights")), strict=True):
        H, G = np.exp(gate) * H + w * np.outer(k, k), np.exp(gate) * G + w * np.outer(k, v)
        yield H, G


@pytest.mark.parametrize("ratio", [0.02, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 5, 31])
def test_every_prefix_is_scipys_polynomial_of_its_eigenvalues(
    steps: int, ratio: float, rng: np.random.Generator
) -> None:
    arrays = data(rng)
    run = rounding(solved(steps, ratio), arrays, F64)
    truth = np.zeros_like(arrays["v"])
    for head in range(2):
        for t, (H, G) in enumerate(moments(arrays, head)):
            s, Q = scipy.linalg.eigh(H)
            norm = np.linalg.norm(H)
            top = scipy.special.eval_chebyt(steps, 1 + 2 * ratio)
            left = scipy.special.eval_chebyt(steps, 1 - 2 * s / norm) / top
            truth[head, t] = ((1 - left) / (s + ratio * norm) * (arrays["q"][head, t] @ Q)) @ Q.T @ G
    # Their eigenvalues and moments are float64 too: they may be as wrong as the solver's.
    assert np.all(row_norms(run.reference - truth) <= 2 * run.bound)
    one_more = solved(steps + 1, ratio)(**arrays).o
    converged = scipy.special.eval_chebyt(steps, 1 + 2 * ratio) > 1 / F64.u
    assert converged or np.any(row_norms(one_more - truth) > 2 * run.bound), "one step too many is seen"


@pytest.mark.parametrize("ratio", [0.02, 0.5])
@pytest.mark.parametrize("steps", [1, 4, 31])
def test_the_residual_is_within_one_over_the_polynomial_of_what_the_exact_solve_leaves(
    steps: int, ratio: float, rng: np.random.Generator
) -> None:
    X = rng.standard_normal((D, D))
    H = X @ X.T
    q, ridge = rng.standard_normal((1, D)), ratio * np.linalg.norm(H)
    x = exact.minimax_prefixes(q, 0 * q, 0 * q, steps=steps, ridge_ratio=ratio, initial_state=Moments(H, np.eye(D))).o[
        0
    ]
    left = np.linalg.norm((H + ridge * np.eye(D)) @ x - q[0])
    # d² roundoffs of products with H + λI, whose norm times that of x is at most (1 + 1/a)|q|.
    rounded = D**2 * F64.u * (1 + 1 / ratio) * np.linalg.norm(q)
    assert left <= np.linalg.norm(q) / scipy.special.eval_chebyt(steps, 1 + 2 * ratio) + rounded
    assert left > rounded or steps == 31


def test_many_steps_are_the_exact_solve(rng: np.random.Generator) -> None:
    arrays, ratio, steps = data(rng), 0.5, 60
    run = rounding(solved(steps, ratio), arrays, F64)
    assert scipy.special.eval_chebyt(steps, 1 + 2 * ratio) > 1 / F64.u
    for head in range(2):
        for t, (H, G) in enumerate(moments(arrays, head)):
            A = H + ratio * np.linalg.norm(H) * np.eye(D)
            o = scipy.linalg.solve(A, arrays["q"][head, t], assume_a="pos") @ G
            assert np.linalg.norm(o - run.reference[head, t]) <= 2 * run.bound[head, t]


def test_an_empty_memory_gives_zero_and_a_ratio_of_zero_is_refused(rng: np.random.Generator) -> None:
    arrays = data(rng)
    arrays["k"] *= 0
    assert not np.any(solved(31, 0.02)(**arrays).o)
    with pytest.raises(ValueError, match=r"^ridge_ratio: expected above 0, got 0.0$"):
        solved(31, 0.0)(**arrays)
