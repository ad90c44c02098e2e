"""Bad input gets one sentence that names the argument, what was expected and what came."""

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.references import CASES
from ttr_numerics import catalogue
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.axes import Cache, Moments
from ttr_numerics.layers import mesa
from ttr_numerics.pairs import Pairing


def refused(name: str, sentence: str, rng: np.random.Generator, **changed: Any) -> bool:
    """Whether the layer refuses the changed arguments with exactly `sentence`."""
    given = CASES[name].inputs(rng, (2,), T=5, d_k=3, d_v=2)
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        CASES[name].layer(**given | changed)
    return True


@pytest.mark.parametrize("name", CASES)
def test_wrong_arrays_are_refused(name: str, rng: np.random.Generator) -> None:
    ones = np.ones
    assert refused(name, "q: expected shape (..., T, d), got (3,)", rng, q=ones(3))
    assert refused(name, "v: expected shape (..., T, d), got (5,)", rng, v=ones(5))
    assert refused(name, "k: expected shape (2, 5, 3) as q, got (2, 5, 4)", rng, k=ones((2, 5, 4)))
    assert refused(name, "k: expected shape (2, 5, 3) as q, got (2, 4, 3)", rng, k=ones((2, 4, 3)))
    assert refused(name, "v: expected shape (2, 5, d_v), got (3, 5, 2)", rng, v=ones((3, 5, 2)))


@pytest.mark.parametrize("name", CASES)
def test_wrong_dtypes_are_refused(name: str, rng: np.random.Generator) -> None:
    v = np.ones((2, 5, 2))
    assert refused(name, "v: expected dtype float64 as q, got float32", rng, v=v.astype(np.float32))
    assert refused(name, "v: expected a real floating dtype, got int64", rng, v=v.astype(np.int64))
    assert refused(name, "v: expected a real floating dtype, got complex128", rng, v=v.astype(np.complex128))
    assert refused(name, "v: expected a real floating dtype, got bool", rng, v=v.astype(bool))


@pytest.mark.parametrize(("name", "gate"), [(n, g) for n, case in CASES.items() for g in case.gates if g != "ridge"])
def test_wrong_gates_are_refused(name: str, gate: str, rng: np.random.Generator) -> None:
    wanted = "(2, 5)" + (" or (2, 5, 3)" if gate == "log_decay" and name != "mesa" else "")
    assert refused(name, f"{gate}: expected shape {wanted}, got (2, 4)", rng, **{gate: -np.ones((2, 4))})
    assert refused(name, f"{gate}: expected shape {wanted}, got (5,)", rng, **{gate: -np.ones(5)})
    assert refused(name, f"{gate}: expected shape {wanted}, got (2, 1)", rng, **{gate: -np.ones((2, 1))})
    single = -np.ones((2, 5), np.float32)
    assert refused(name, f"{gate}: expected dtype float64 as q, got float32", rng, **{gate: single})


@pytest.mark.parametrize("name", [n for n in CASES if "attention" not in n or "linear" in n])
def test_wrong_state_is_refused(name: str, rng: np.random.Generator) -> None:
    state, label, wanted = np.ones((2, 3, 3)), "initial_state", "(2, 3, 2)"
    if name == "mesa":
        state, label, wanted = Moments(np.ones((2, 3, 2)), np.ones((2, 3, 2))), "initial_state.H", "(2, 3, 3)"
    got = "(2, 3, 2)" if name == "mesa" else "(2, 3, 3)"
    assert refused(name, f"{label}: expected shape {wanted}, got {got}", rng, initial_state=state)


@pytest.mark.parametrize("name", ["linear_attention", "delta_rule", "mesa"])
def test_state_of_another_dtype_is_refused(name: str, rng: np.random.Generator) -> None:
    S, H = np.ones((2, 3, 2), np.float32), np.ones((2, 3, 3), np.float32)
    state, label = (Moments(H, S), "initial_state.H") if name == "mesa" else (S, "initial_state")
    assert refused(name, f"{label}: expected dtype float64 as q, got float32", rng, initial_state=state)


def test_cache_that_does_not_fit_is_refused(rng: np.random.Generator) -> None:
    cache = Cache(np.ones((2, 4, 5)), np.ones((2, 4, 2)))
    assert refused(
        "softmax_attention", "initial_state.k: expected shape (2, n, 3), got (2, 4, 5)", rng, initial_state=cache
    )


def test_mesa_refuses_a_negative_ridge_and_a_ridge_of_another_width(rng: np.random.Generator) -> None:
    assert refused("mesa", "ridge: expected at least 0, got -1.0", rng, ridge=-1.0)
    assert refused("mesa", "ridge: expected a number or shape (..., 3), got (2,)", rng, ridge=np.ones(2))


@pytest.mark.parametrize("ridge", [np.array([1.0, -1.0, 1.0]), float("nan"), np.array(-1.0)], ids=str)
def test_mesa_refuses_a_negative_ridge_in_an_array_and_nan(ridge: Any, rng: np.random.Generator) -> None:
    given = CASES["mesa"].inputs(rng, (2,), T=5, d_k=3, d_v=2)
    with pytest.raises(ValueError, match="ridge: expected at least 0"):
        mesa(**given | {"ridge": ridge})


def test_mesa_without_ridge_refuses_the_first_tokens_and_names_the_slices(rng: np.random.Generator) -> None:
    given = CASES["mesa"].inputs(rng, (2,), T=5, d_k=3, d_v=2)
    with pytest.raises(LinAlgError, match=r"H \+ ridge: expected positive definite.* in slices \(0,\), \(1,\)"):
        mesa(**given | {"ridge": 0.0})


class Other(NamedTuple):
    """A state that no layer returns."""

    x: np.ndarray


CAUSAL_ROWS = pytest.mark.parametrize("row", [r for r in catalogue() if r.causal], ids=lambda row: row.name)


@pytest.mark.parametrize("state", [Other(np.ones(3)), (1, 2), [1.0], 5, "state"], ids=lambda x: type(x).__name__)
@CAUSAL_ROWS
def test_a_state_of_another_kind_is_refused_in_one_sentence(row: Pairing, state: Any) -> None:
    given = row.example(np.random.default_rng(0), T=3, d_k=2, d_v=2)
    given = {n: x for n, x in given.items() if n not in {y.name for y in row.arguments if y.in_state}}
    kind = type(state).__name__
    for form in (row.layer, *row.forms[:1]):
        with pytest.raises(ValueError, match=rf"^initial_state: expected [^\n]*, got {kind}$"):
            form(**given, initial_state=state)
