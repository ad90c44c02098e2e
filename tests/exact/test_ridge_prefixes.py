"""Ridge regression at every position is `exact.ridge` of every prefix, with the weights written out."""

from typing import Any

import numpy as np
import pytest

from tests.references import normal_equations, stacked, wedin
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError

U, T, D, RIDGE = 2.0**-53, 9, 3, 0.4


def data(rng: np.random.Generator) -> dict[str, Any]:
    """Queries, keys, values of one head."""
    return {n: rng.standard_normal((T, d)) for n, d in (("q", D), ("k", D), ("v", 2))}


def agrees(output: np.ndarray, given: dict[str, Any], weights: np.ndarray, ridge: float = RIDGE) -> bool:
    """Whether row t of `output` is q_t times the ridge solution with row t of `weights`, to rounding."""
    for t in range(len(output)):
        A, B = stacked(given["k"][: t + 1], given["v"][: t + 1], ridge, weights[t, : t + 1])
        S = exact.ridge(given["k"][: t + 1], given["v"][: t + 1], ridge, weights[t, : t + 1]).S
        error = normal_equations(A, B, S, U) + np.sum(wedin(A, B, S, U))
        if not np.linalg.norm(output[t] - given["q"][t] @ S) <= np.linalg.norm(given["q"][t]) * error:
            return False
    return True


def aged(log_decay: np.ndarray) -> np.ndarray:
    """γ_i^(t), each product formed by itself."""
    gamma = np.zeros((T, T))
    for t in range(T):
        for i in range(t + 1):
            gamma[t, i] = np.prod(np.exp(log_decay[i + 1 : t + 1]))
    return gamma


@pytest.mark.parametrize("gate", [None, -0.3, -50.0, -np.inf])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_prefix_is_a_ridge_problem(gate: float | None, weighted: bool, rng: np.random.Generator) -> None:
    given, log_decay, w = data(rng), np.zeros(T), np.ones(T)
    if gate is not None:
        log_decay[1::3] = gate
    if weighted:
        w = rng.uniform(0.0, 2.0, T)
    o = exact.ridge_prefixes(**given, ridge=RIDGE, log_decay=log_decay, weights=w).o
    assert agrees(o, given, aged(log_decay) * w)
    if gate is not None:
        assert not agrees(o, given, np.tril(np.ones((T, T))) * w), "the gate would be seen"


def test_the_last_prefix_weights_are_the_documented_products(rng: np.random.Generator) -> None:
    log_decay = -rng.exponential(1.0, T)
    log_decay[4] = -np.inf
    gamma = exact.prefix_weights(log_decay)
    # A product of T factors exp(g), each within 2u, against one exp of a sum: T u (1 + |sum|) plus the factors.
    size = 4 * T * U * (1 + np.sum(np.abs(log_decay[np.isfinite(log_decay)])))
    assert np.all(np.abs(gamma - aged(log_decay)) <= size * aged(log_decay))
    assert not gamma[4:, :4].any()


@pytest.mark.parametrize("n", [1, 4, T - 1])
@pytest.mark.parametrize("gate", [0.0, -0.5, -50.0, -np.inf])
def test_a_split_with_the_state_handed_over_is_the_whole(n: int, gate: float, rng: np.random.Generator) -> None:
    given, log_decay = data(rng), np.full(T, -0.1)
    log_decay[::3] = gate
    parts = [{name: x[part] for name, x in given.items()} for part in (slice(n), slice(n, T))]
    first = exact.ridge_prefixes(**parts[0], ridge=RIDGE, log_decay=log_decay[:n])
    second = exact.ridge_prefixes(**parts[1], ridge=RIDGE, log_decay=log_decay[n:], initial_state=first.state)
    assert agrees(np.concatenate([first.o, second.o]), given, aged(log_decay))


def test_positions_beyond_one_block_are_right(rng: np.random.Generator) -> None:
    n = 130
    given = {name: rng.standard_normal((n, d)) for name, d in (("q", D), ("k", D), ("v", 2))}
    o = exact.ridge_prefixes(**given, ridge=RIDGE).o
    assert agrees(o, given, np.tril(np.ones((n, n))))


def test_without_ridge_the_first_tokens_are_refused_by_slice_and_position(rng: np.random.Generator) -> None:
    given = {n: x[None] for n, x in data(rng).items()}
    with pytest.raises(LinAlgError, match=r"H \+ ridge: expected positive definite.* in slices \(0, 0\), \(0, 1\);"):
        exact.ridge_prefixes(**given, ridge=0.0)


def test_an_empty_sequence_is_empty(rng: np.random.Generator) -> None:
    given = {n: x[:0] for n, x in data(rng).items()}
    assert exact.ridge_prefixes(**given, ridge=RIDGE).o.shape == (0, 2)
