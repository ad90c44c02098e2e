"""Laws that relate one run of a layer to another: prefixes, hand-over of the state, batches, causality."""

from typing import Any

import numpy as np
import pytest

from tests.references import CASES, CAUSAL, GATED, RECURRENT, Case, allowed, wrong

T = 7


def tokens(case: Case, given: dict[str, Any], part: slice) -> dict[str, Any]:
    """The arguments of some tokens: time is the axis after the batch."""
    axis = given["q"].ndim - 2
    cut = (*[slice(None)] * axis, part)
    return {name: x[cut] if isinstance(x, np.ndarray) else x for name, x in given.items()}


def flat(state: Any) -> list[np.ndarray]:
    """The arrays of a state."""
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("n", [0, 1, T - 1])
@pytest.mark.parametrize("name", RECURRENT)
def test_prefix_of_a_longer_run_has_the_same_bits(name: str, n: int, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (2,), T)
    prefix = case.layer(**tokens(case, given, slice(n))).o
    assert np.array_equal(prefix, case.layer(**given).o[:, :n])


@pytest.mark.parametrize("n", [0, 1, 3, T - 1, T])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_sequence_split_anywhere_gives_the_same_answer(name: str, n: int, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (2,), T)
    whole = case.layer(**given)
    first = case.layer(**tokens(case, given, slice(n)))
    second = case.layer(**tokens(case, given, slice(n, T)), initial_state=first.state)
    o = np.concatenate([first.o, second.o], axis=-2)
    assert all(np.array_equal(x, y) for x, y in zip(flat(second.state), flat(whole.state), strict=True))
    if name in RECURRENT:
        assert np.array_equal(o, whole.o)
    else:
        assert not wrong(o, *allowed(case, given, "float64")).any()


@pytest.mark.parametrize("name", CASES)
def test_permuted_batch_gives_permuted_answers(name: str, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (4,), T)
    order = [2, 0, 3, 1]
    permuted = {n: x[order] if isinstance(x, np.ndarray) else x for n, x in given.items()}
    assert np.array_equal(case.layer(**permuted).o, case.layer(**given).o[order])


@pytest.mark.parametrize("name", CASES)
def test_heads_do_not_see_each_other(name: str, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (3,), T)
    alone = {n: x[1] if isinstance(x, np.ndarray) else x for n, x in given.items()}
    assert not wrong(case.layer(**given).o[1], *allowed(case, alone, "float64")).any()


@pytest.mark.parametrize("name", GATED)
def test_a_gate_shared_by_the_batch_broadcasts(name: str, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (3,), T)
    gates = {n: given[n][:1] for n in case.gates if isinstance(given[n], np.ndarray)}
    spread = {n: np.repeat(x, 3, axis=0) for n, x in gates.items()}
    assert np.array_equal(case.layer(**given | gates).o, case.layer(**given | spread).o)


@pytest.mark.parametrize("name", CAUSAL)
def test_the_future_leaves_no_bit_in_the_past(name: str, rng: np.random.Generator) -> None:
    case, n = CASES[name], 3
    given = case.inputs(rng, (2,), T)
    other = {name: x.copy() if isinstance(x, np.ndarray) else x for name, x in given.items()}
    for name, x in case.inputs(rng, (2,), T).items():
        if isinstance(x, np.ndarray):
            other[name][:, n:] = x[:, n:]
    assert np.array_equal(case.layer(**other).o[:, :n], case.layer(**given).o[:, :n])


def test_bidirectional_attention_ignores_the_order_of_keys(rng: np.random.Generator) -> None:
    case = CASES["bidirectional_softmax_attention"]
    given = case.inputs(rng, (), T)
    order = rng.permutation(T)
    o = case.layer(given["q"], given["k"][order], given["v"][order]).o
    assert not wrong(o, *allowed(case, given, "float64")).any()


@pytest.mark.parametrize("name", RECURRENT)
def test_outputs_scale_with_values_by_powers_of_two_exactly(name: str, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (), T)
    assert np.array_equal(case.layer(**given | {"v": 8 * given["v"]}).o, 8 * case.layer(**given).o)


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_left_as_they_were(name: str, rng: np.random.Generator) -> None:
    case = CASES[name]
    given = case.inputs(rng, (2,), T)
    before = {n: np.array(x) for n, x in given.items()}
    case.layer(**given)
    assert all(np.array_equal(before[n], given[n]) for n in given)
