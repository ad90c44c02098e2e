"""The comparator of the test set rejects every fault that has been seen in real kernels, and passes what is sound."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.references import CASES, CAUSAL, GATED, RECURRENT, allowed, stored, twin, wrong

DTYPES = ["float64", "float32"]
Given = dict[str, Any]


def run(name: str, given: Given, dtype: str, **changed: Any) -> np.ndarray:
    """The layer's own float outputs in `dtype`, with some arguments changed."""
    arrays = stored(given, dtype) | changed
    return CASES[name].layer(**{n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}).o


def rejected(name: str, dtype: str, fault: Callable[[Given], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Where the comparator finds the output of `fault(given)` wrong; the sound output passes first."""
    given = CASES[name].inputs(rng, (2,), T=6)
    truth, bound = allowed(CASES[name], given, dtype)
    assert not wrong(run(name, given, dtype), truth, bound).any()
    return wrong(fault(given), truth, bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_one_key_a_thousandth_too_long_is_rejected(name: str, dtype: str, rng: np.random.Generator) -> None:
    def fault(given: Given) -> np.ndarray:
        k = stored(given, dtype)["k"].copy()
        k[1, 2] *= 1.001
        return run(name, given, dtype, k=k)

    bad = rejected(name, dtype, fault, rng)
    assert bad[1].any()
    assert not bad[0].any(), "the other head is sound"
    assert not CASES[name].causal or not bad[1, :2].any(), "earlier tokens are sound"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CAUSAL)
def test_reading_before_writing_or_a_mask_off_by_one_is_rejected(
    name: str, dtype: str, rng: np.random.Generator
) -> None:
    def fault(given: Given) -> np.ndarray:
        # Row t - 1 reads with query t: the answer of row t without token t.
        late = run(name, given, dtype, q=np.roll(stored(given, dtype)["q"], -1, axis=-2))
        o = np.roll(late, 1, axis=-2)
        o[..., 0, :] = 0
        return o

    assert rejected(name, dtype, fault, rng).any(axis=-1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GATED)
def test_a_gate_of_the_wrong_sign_is_rejected(name: str, dtype: str, rng: np.random.Generator) -> None:
    def fault(given: Given) -> np.ndarray:
        return run(name, given, dtype, log_decay=-stored(given, dtype)["log_decay"])

    assert rejected(name, dtype, fault, rng).any(axis=-1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CAUSAL)
def test_a_state_dropped_at_a_chunk_border_is_rejected(name: str, dtype: str, rng: np.random.Generator) -> None:
    def fault(given: Given) -> np.ndarray:
        halves = [
            {n: x[:, part] if isinstance(x, np.ndarray) else x for n, x in given.items()}
            for part in (slice(0, 3), slice(3, 6))
        ]
        return np.concatenate([run(name, half, dtype) for half in halves], axis=-2)

    bad = rejected(name, dtype, fault, rng)
    assert bad[:, 3].all(), "the first token after the border"
    assert not bad[:, :3].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_two_swapped_heads_are_rejected(name: str, dtype: str, rng: np.random.Generator) -> None:
    assert rejected(name, dtype, lambda given: run(name, given, dtype)[::-1], rng).all()


@pytest.mark.parametrize("channels", ["", "_channels"])
def test_the_error_taken_before_the_decay_is_rejected(channels: str, rng: np.random.Generator) -> None:
    def fault(given: Given) -> np.ndarray:
        o = np.zeros_like(given["v"])
        for h in range(2):
            S = np.zeros((given["k"].shape[-1], o.shape[-1]))
            rows = zip(*(given[n][h] for n in ("q", "k", "v", "beta")), strict=True)
            for t, (q, k, v, b) in enumerate(rows):
                decay = np.exp(given["log_decay"][h, t]) * np.ones(len(k))
                S = decay[:, None] * S + b * np.outer(k, v - k @ S)
                o[h, t] = q @ S
        return o

    bad = rejected(f"gated_delta_rule{channels}", "float64", fault, rng)
    assert not bad[:, 0].any(), "there is no state to decay at the first token"
    assert bad[:, 1:].all()


@pytest.mark.parametrize("name", RECURRENT)
def test_nan_and_zeros_are_wrong(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng)
    truth, bound = allowed(CASES[name], given, "float32")
    assert wrong(np.full_like(truth, np.nan), truth, bound).all()
    assert wrong(np.zeros_like(truth), truth, bound).all()


@pytest.mark.parametrize("name", CASES)
def test_the_comparator_accepts_its_bound_and_rejects_just_above_it(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng)
    truth, bound = allowed(CASES[name], given, "float64")
    direction = np.zeros_like(truth)
    direction[..., 0] = bound
    assert not wrong(truth + direction / 2, truth, bound).any()
    assert wrong(truth + 2 * direction, truth, bound).all()


@pytest.mark.parametrize("name", CASES)
def test_the_size_of_a_twin_bounds_its_output(name: str, rng: np.random.Generator) -> None:
    run = twin(CASES[name], CASES[name].inputs(rng, (3,)))
    assert np.all(np.linalg.norm(run.o, axis=-1) <= run.size * (1 + run.kappa * np.finfo(float).eps))
