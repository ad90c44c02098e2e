"""The chunk-parallel form equals the sequential definition to the rounding of both, for every layer, gate and chunk."""

import inspect

import numpy as np
import pytest

from tests.test_pairs import HOSTILE
from tests.verdict.test_words import inputs
from ttr_numerics import layers
from ttr_numerics.layers import chunked
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding


def arguments(name, a):
    """What the layer called `name` takes of `a`."""
    return {n: a[n] for n in inspect.signature(getattr(layers, name)).parameters if n in a}


def both(name, a, chunk, seed=0):
    """Rounding of the sequential and of the chunked form on the same input."""
    given = arguments(name, a)
    forms = getattr(layers, name), lambda **x: getattr(chunked, name)(**x, chunk=chunk)
    return [rounding(form, given, FORMATS["float64"], seed=seed) for form in forms]


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("chunk", [1, 5, 16, 64])
@pytest.mark.parametrize("name", chunked.__all__)
def test_every_chunk_length_gives_the_sequential_answer(name, chunk, case):
    sequential, parallel = both(name, HOSTILE[case](inputs(dtype=np.float64)), chunk)
    apart = np.linalg.norm(sequential.reference - parallel.reference, axis=-1)
    assert (apart <= sequential.bound + parallel.bound).all()


@pytest.mark.parametrize("split", [0, 1, 7, 32, 47, 48])
@pytest.mark.parametrize("name", chunked.__all__)
def test_a_split_anywhere_carries_the_state(name, split):
    given = arguments(name, inputs(dtype=np.float64))
    form = getattr(chunked, name)
    head = form(**{n: x[:, :split] for n, x in given.items()}, chunk=16)
    tail = form(**{n: x[:, split:] for n, x in given.items()}, chunk=16, initial_state=head.state)
    whole, bound = form(**given, chunk=16), rounding(getattr(layers, name), given, FORMATS["float64"]).bound
    apart = np.linalg.norm(np.concatenate([head.o, tail.o], axis=-2) - whole.o, axis=-1)
    assert (apart <= 2 * bound).all()
    assert tail.state.shape == whole.state.shape


@pytest.mark.parametrize("name", chunked.__all__)
def test_a_state_dropped_between_chunks_is_seen(name):
    given = arguments(name, inputs(dtype=np.float64))
    form, bound = getattr(chunked, name), rounding(getattr(layers, name), given, FORMATS["float64"])
    pieces = [form(**{n: x[:, s : s + 16] for n, x in given.items()}).o for s in range(0, 48, 16)]
    error = np.linalg.norm(np.concatenate(pieces, axis=-2) - bound.reference, axis=-1)
    assert (error[:, 16:] > bound.bound[:, 16:]).all()


@pytest.mark.parametrize("name", chunked.__all__)
def test_results_stay_in_library_dtype_and_device(name, full_precision):
    given = full_precision.arrays(arguments(name, inputs(dtype=np.float64)))
    out = getattr(chunked, name)(**given, chunk=16)
    assert type(out.o) is type(given["q"])
    assert out.o.dtype == out.state.dtype == given["q"].dtype
    assert getattr(out.o, "device", None) == getattr(given["q"], "device", None)


def test_a_chunk_below_one_is_refused():
    a = inputs(dtype=np.float64)
    with pytest.raises(ValueError, match="^chunk: expected at least 1, got 0$"):
        chunked.linear_attention(a["q"], a["k"], a["v"], chunk=0)


def test_a_long_stream_remembers_its_last_piece():
    rng, state = np.random.default_rng(0), None
    for _ in range(200):  # 200 000 tokens, a thousand at a time: only the state goes on
        k, v = rng.standard_normal((2, 1000, 8))
        k /= np.linalg.norm(k, axis=-1, keepdims=True)
        beta, gate = np.full(1000, 0.5), np.full(1000, -0.01)
        state = chunked.gated_delta_rule(k, k, v, log_decay=gate, beta=beta, initial_state=state, chunk=50).state
    last = layers.gated_delta_rule(k, k, v, log_decay=gate, beta=beta).state  # after 1 000 tokens e^-10 is left
    # At unit keys a state is a convex combination of decayed states and values: never larger than the largest value.
    assert np.linalg.norm(state - last) <= np.exp(-10.0) * 8 * np.abs(v).max() * 8
