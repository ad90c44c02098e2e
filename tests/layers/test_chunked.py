"""The chunk-parallel form equals the sequential definition to the rounding of both, for every layer, gate and chunk."""

from functools import partial

import numpy as np
import pytest

from tests.pairs.hostile import HOSTILE, hostile
from ttr_numerics import layers
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

NAMES = pytest.mark.parametrize("name", chunked.__all__)


def timed(name):
    """The arguments of the layer that have a time axis."""
    return {"q"} | {x.name for x in pairing(name).arguments if "T" in x.shapes[0]}


def generic(name):
    return hostile(pairing(name), "unit keys")


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("chunk", [1, 5])  # 16 and 64 are the catalogue's forms, tested with it
@NAMES
def test_every_chunk_length_gives_the_sequential_answer(name, chunk, case):
    given = hostile(pairing(name), case)
    forms = getattr(layers, name), partial(getattr(chunked, name), chunk=chunk)
    sequential, parallel = (rounding(form, given, FORMATS["float64"]) for form in forms)
    apart = np.linalg.norm(sequential.reference - parallel.reference, axis=-1)
    assert (apart <= sequential.bound + parallel.bound).all()


def test_every_chunked_layer_is_a_form_of_its_row():
    for name in chunked.__all__:
        assert getattr(chunked, name) in [getattr(form, "func", None) for form in pairing(name).forms]


@pytest.mark.parametrize("split", [0, 1, 7, 32, 47, 48])
@NAMES
def test_a_split_anywhere_carries_the_state(name, split):
    given = generic(name)
    form = getattr(chunked, name)
    long = timed(name)
    head = form(**{n: x[:, :split] if n in long else x for n, x in given.items()}, chunk=16)
    rest = {n: x[:, split:] if n in long else x for n, x in given.items()}
    tail = form(**rest, chunk=16, initial_state=head.state)
    whole, bound = form(**given, chunk=16), rounding(getattr(layers, name), given, FORMATS["float64"]).bound
    apart = np.linalg.norm(np.concatenate([head.o, tail.o], axis=-2) - whole.o, axis=-1)
    assert (apart <= 2 * bound).all()


@NAMES
def test_a_state_dropped_between_chunks_is_seen(name):
    given = generic(name)
    form, bound = getattr(chunked, name), rounding(getattr(layers, name), given, FORMATS["float64"])
    long = timed(name)
    pieces = [form(**{n: x[:, s : s + 16] if n in long else x for n, x in given.items()}).o for s in range(0, 48, 16)]
    error = np.linalg.norm(np.concatenate(pieces, axis=-2) - bound.reference, axis=-1)
    assert (error[:, 16:] > bound.bound[:, 16:]).all()


@NAMES
def test_results_stay_in_library_dtype_and_device(name, full_precision):
    given = full_precision.arrays(generic(name))
    out = getattr(chunked, name)(**given, chunk=16)
    assert type(out.o) is type(given["q"])
    assert out.o.dtype == given["q"].dtype
    assert getattr(out.o, "device", None) == getattr(given["q"], "device", None)


def test_a_chunk_below_one_is_refused():
    a = generic("linear_attention")
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
