"""Layers and exact solvers, which share no code, agree on the problem they both solve."""

from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from tests.references import CASES, allowed, wrong
from ttr_numerics import exact
from ttr_numerics.arrays import like, namespace, to_numpy

T = 6


def solve(name: str, arrays: dict[str, Any]) -> Any:
    """The exact solver whose identity the layer `name` is."""
    if "linear" in name:
        return exact.correlation_prefixes(**arrays)
    if "delta" in name:
        return exact.kaczmarz_prefixes(**arrays)
    arrays = dict(arrays)
    if name == "mesa":
        return exact.ridge_prefixes(weights=arrays.pop("beta"), **arrays)
    xp, k = namespace(arrays["k"]), arrays["k"]
    return exact.kernel_smoother_prefixes(**arrays, log_weights=xp.sum(k * k, axis=-1) / 2)


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.causal])
def test_the_exact_twin_gives_the_layers_answer(
    name: str, batch: tuple[int, ...], full_precision: Library, rng: np.random.Generator
) -> None:
    given = CASES[name].inputs(rng, batch, T)
    arrays = full_precision.arrays(given)
    result = solve(name, arrays)
    assert like(result.o) == like(arrays["v"])
    assert not wrong(to_numpy(result.o), *allowed(CASES[name], given, full_precision.dtype)).any()


@pytest.mark.parametrize("gate", [0.0, -50.0, -np.inf])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "log_decay" in case.gates])
def test_the_exact_twin_agrees_at_extreme_gates(name: str, gate: float, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    given["log_decay"][:, 1::2] = gate
    assert not wrong(solve(name, given).o, *allowed(CASES[name], given, "float64")).any()


@pytest.mark.parametrize("gate", [-0.2, -np.inf])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "log_decay" in case.gates])
def test_an_exact_solver_continues_from_the_layers_state(name: str, gate: float, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    given["log_decay"][:, 3] = gate
    early, late = (
        {n: x[:, part] if isinstance(x, np.ndarray) else x for n, x in given.items()}
        for part in (slice(0, 3), slice(3, T))
    )
    state = CASES[name].layer(**early).state
    o = solve(name, late | {"initial_state": state}).o
    truth, bound = allowed(CASES[name], given, "float64")
    assert not wrong(o, truth[:, 3:], bound[:, 3:]).any()


def test_kaczmarz_is_the_orthogonal_projection_onto_the_newest_equation(rng: np.random.Generator) -> None:
    given = CASES["delta_rule"].inputs(rng, (), T, d_k=4)
    k, v = given["k"], given["v"]
    beta = 1 / np.sum(k * k, axis=-1)
    S, size, error = np.zeros((4, 2)), 0.0, 0.0
    for t in range(T):
        project = np.outer(k[t], k[t]) / (k[t] @ k[t])
        S = S - project @ S + np.outer(k[t], v[t]) / (k[t] @ k[t])
        size = max(size, np.linalg.norm(S))
        error += (4 + 6) * 2.0**-53 * (size + np.linalg.norm(v[t]) / np.linalg.norm(k[t]))
    state = exact.kaczmarz_prefixes(given["q"], k, v, beta=beta).state
    # The projections never magnify an error; the sweep is a unit triangular system of condition κ.
    L = np.eye(T) + np.tril(beta[:, None] * (k @ k.T), -1)
    kappa = np.linalg.cond(L) * T
    assert np.linalg.norm(state - S) <= error * (1 + kappa)
    assert np.linalg.norm(k[-1] @ state - v[-1]) <= error * (1 + kappa) * np.linalg.norm(k[-1])


@pytest.mark.parametrize("name", ["linear_attention", "delta_rule", "mesa", "softmax_attention"])
def test_an_empty_sequence_gives_empty_output(name: str, rng: np.random.Generator) -> None:
    assert solve(name, CASES[name].inputs(rng, (2,), 0)).o.shape == (2, 0, 2)
