"""Inputs that break kernels: repeated, zero and parallel keys, hard resets, empty sequences, huge numbers."""

from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from tests.references import CASES, CAUSAL, GATED, RECURRENT, allowed, wrong
from ttr_numerics import layers
from ttr_numerics.arrays import to_numpy

T = 6


def agrees(name: str, given: dict[str, Any], dtype: str) -> bool:
    """Whether the NumPy layer in `dtype` is its twin to rounding at every token and head."""
    arrays = {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in given.items()}
    return not wrong(CASES[name].layer(**arrays).o, *allowed(CASES[name], given, dtype)).any()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("keys", ["repeated", "zero", "parallel"])
@pytest.mark.parametrize("name", CASES)
def test_degenerate_keys_give_the_recursion(name: str, keys: str, dtype: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    k = given["k"]
    scale = {"repeated": 1.0, "zero": 0.0, "parallel": rng.standard_normal((2, T, 1))}[keys]
    assert agrees(name, given | {"k": scale * k[:, :1] * np.ones_like(k)}, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("gate", [0.0, -50.0, -np.inf])
@pytest.mark.parametrize("name", GATED)
def test_extreme_gates_give_the_recursion(name: str, gate: float, dtype: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    log_decay = given["log_decay"].copy()
    log_decay[:, 2::2] = gate
    assert agrees(name, given | {"log_decay": log_decay}, dtype)


@pytest.mark.parametrize("name", GATED)
def test_infinite_decay_is_a_fresh_start(name: str, library: Library, rng: np.random.Generator) -> None:
    case, n = CASES[name], 2
    given = case.inputs(rng, (2,), T)
    given["log_decay"][:, n] = -np.inf
    fresh = {key: x[:, n:] if isinstance(x, np.ndarray) else x for key, x in given.items()}
    whole, late = (to_numpy(case.layer(**library.arrays(x)).o) for x in (given, fresh))
    assert np.array_equal(whole[:, n:], late)


@pytest.mark.parametrize("name", CASES)
def test_empty_sequence_gives_empty_output(name: str, library: Library, rng: np.random.Generator) -> None:
    given = library.arrays(CASES[name].inputs(rng, (2,), T=0, d_k=3, d_v=4))
    result = CASES[name].layer(**given)
    assert tuple(result.o.shape) == (2, 0, 4)
    assert result.o.dtype == given["v"].dtype


@pytest.mark.parametrize("name", RECURRENT)
def test_empty_sequence_hands_the_state_on(name: str, double: Library, rng: np.random.Generator) -> None:
    case = CASES[name]
    state = case.layer(**double.arrays(case.inputs(rng, (2,), T))).state
    after = case.layer(**double.arrays(case.inputs(rng, (2,), T=0)), initial_state=state).state
    pairs = zip(after, state, strict=True) if isinstance(state, tuple) else [(after, state)]
    assert all(np.array_equal(to_numpy(x), to_numpy(y)) for x, y in pairs)


@pytest.mark.parametrize(("d_k", "d_v"), [(1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("name", CASES)
def test_one_token_of_any_width_gives_the_recursion(name: str, d_k: int, d_v: int, rng: np.random.Generator) -> None:
    assert agrees(name, CASES[name].inputs(rng, (2,), T=1, d_k=d_k, d_v=d_v), "float64")


@pytest.mark.parametrize("name", CASES)
def test_huge_values_and_queries_scale_through(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    query = 1.0 if "softmax" in name else 2.0**200
    huge = given | {"v": given["v"] * 2.0**200, "q": given["q"] * query}
    assert agrees(name, huge, "float64")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["softmax_attention", "bidirectional_softmax_attention"])
def test_huge_logits_pick_the_largest(name: str, dtype: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), T)
    q, k, v = (given[n].astype(dtype) for n in "qkv")
    o = CASES[name].layer(q * np.asarray(2.0**20, dtype), k, v).o
    seen = np.tril(np.ones((T, T))) if name == "softmax_attention" else np.ones((T, T))
    best = np.argmax(np.where(seen > 0, q @ k.T, -np.inf), axis=-1)
    assert np.array_equal(o, v[best])


def test_delta_rule_with_zero_step_learns_nothing(rng: np.random.Generator) -> None:
    given = CASES["delta_rule"].inputs(rng, (), T)
    S0 = rng.standard_normal((3, 2))
    result = layers.delta_rule(**given | {"beta": np.zeros(T)}, initial_state=S0)
    assert np.array_equal(result.state, S0)


@pytest.mark.parametrize("step", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("name", ["delta_rule", "gated_delta_rule", "gated_delta_rule_channels"])
def test_edge_steps_give_the_recursion(name: str, step: float, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), T)
    unit = given["k"] / np.linalg.norm(given["k"], axis=-1, keepdims=True)
    assert agrees(name, given | {"k": unit, "beta": np.full((2, T), step)}, "float64")


@pytest.mark.parametrize("name", CAUSAL)
def test_positions_before_a_nan_stay_clean(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), T)
    clean = CASES[name].layer(**given).o
    given["q"][3] = np.nan
    o = CASES[name].layer(**given).o
    assert np.array_equal(np.delete(o, 3, axis=0), np.delete(clean, 3, axis=0))
    assert np.isnan(o[3]).all()
