"""The catalogue: complete, and every identity holds to the rounding of both sides."""

from functools import partial

import numpy as np
import pytest

from tests.pairs.hostile import HOSTILE, hostile
from ttr_numerics import catalogue, exact, layers
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

ROWS = pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)


def both_sides(row: Pairing, arrays: dict) -> list:
    """The layer and its partner with the rounding of each."""
    return [rounding(side, arrays, FORMATS["float64"]) for side in (row.layer, row.partner)]


def test_every_public_layer_has_a_row_and_every_row_a_layer():
    assert len({row.name for row in catalogue()}) == len(catalogue())
    assert {row.name for row in catalogue()} == set(layers.__all__)


@pytest.mark.parametrize("case", HOSTILE)
@ROWS
def test_the_identity_holds_to_the_rounding_of_both_sides(row, case):
    sides = both_sides(row, hostile(row, case))
    apart = np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1)
    assert (apart <= sides[0].bound + sides[1].bound).all()
    assert (sides[1].bound < np.linalg.norm(sides[1].reference, axis=-1)).mean() > 0.5  # the bound says something


@ROWS
def test_on_generic_input_the_two_sides_agree_to_twelve_digits(row):
    sides = both_sides(row, hostile(row, "unit keys", d_v=5))
    size = np.linalg.norm(sides[0].reference, axis=-1)
    assert np.median((sides[0].bound + sides[1].bound) / size) < 1e-12
    assert np.median(np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1) / size) < 1e-12


@ROWS
def test_a_perturbed_partner_is_not_the_layer(row):
    arrays = hostile(row, "unit keys")
    sides = both_sides(row, arrays)
    scale = 1 + 1e-9 * (np.arange(48) == 7).reshape(-1, *(1,) * (arrays["v"].ndim - 2))
    faulty = row.partner(**{**arrays, "v": arrays["v"] * scale}).o
    apart = np.linalg.norm(sides[0].reference - faulty, axis=-1)
    assert (apart > sides[0].bound + sides[1].bound).any()


@ROWS
def test_optional_arrays_are_taken_by_both_sides(row):
    arrays = row.example(np.random.default_rng(1), optional=True, T=12)
    sides = both_sides(row, arrays)
    apart = np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1)
    assert (apart <= sides[0].bound + sides[1].bound).all()


def states(x):
    """The matrices of a state, whatever its kind."""
    return list(x) if isinstance(x, tuple) else [x]


@pytest.mark.parametrize("row", [r for r in catalogue() if r.causal], ids=lambda row: row.name)
def test_a_split_anywhere_carries_the_state(row):
    arrays = hostile(row, "unit keys", T=12)
    bound = rounding(row.layer, arrays, FORMATS["float64"]).bound
    timed = {"q"} | {x.name for x in row.arguments if "T" in x.shapes[0]}
    carried = {x.name for x in row.arguments if x.in_state}
    whole = row.layer(**arrays)
    for split in (0, 1, 7, 12):
        head = row.layer(**{n: x[:, :split] if n in timed else x for n, x in arrays.items()})
        rest = {n: x[:, split:] if n in timed else x for n, x in arrays.items() if n not in carried}
        tail = row.layer(**rest, initial_state=head.state)
        apart = np.linalg.norm(np.concatenate([head.o, tail.o], axis=-2) - whole.o, axis=-1)
        assert (apart <= 2 * bound).all()
        assert [x.shape for x in states(tail.state)] == [x.shape for x in states(whole.state)]


CHUNKED = [(row, form) for row in catalogue() for form in row.forms if isinstance(form, partial)]


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize(("row", "form"), CHUNKED, ids=lambda x: getattr(x, "name", str(getattr(x, "keywords", ""))))
def test_every_other_form_equals_the_sequential_definition(row, form, case):
    arrays = hostile(row, case)
    one, other = (rounding(f, arrays, FORMATS["float64"]) for f in (row.layer, form))
    apart = np.linalg.norm(one.reference - other.reference, axis=-1)
    assert (apart <= one.bound + other.bound).all()


def test_softmax_with_unit_keys_is_nadaraya_watson_without_sample_weights():
    a = hostile(next(r for r in catalogue() if r.name == "softmax_attention"), "unit keys")
    sides = [rounding(f, a, FORMATS["float64"]) for f in (layers.softmax_attention, exact.kernel_smoother_prefixes)]
    apart = np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1)
    assert (apart <= sides[0].bound + sides[1].bound).all()


def test_softmax_with_unequal_keys_needs_the_sample_weights():
    a = hostile(next(r for r in catalogue() if r.name == "softmax_attention"), "unit keys")
    a["k"] = a["k"] * np.linspace(0.5, 2, 48)[:, None]
    bound = rounding(layers.softmax_attention, a, FORMATS["float64"])
    plain = exact.kernel_smoother_prefixes(**a).o
    assert (np.linalg.norm(plain - bound.reference, axis=-1) > bound.bound).mean() > 0.5


def rows_of(x, ndim=3):
    """Keys or values as rows (..., n, d), also where a token brings several."""
    return x.reshape(*x.shape[: ndim - 2], -1, x.shape[-1])


def counted(a):
    """How much each pair counts at the last position, ages and windows included (..., n, 1)."""
    gate = a.get("log_decay", a.get("log_forget", np.zeros(a["q"].shape[:-1])))
    weights = exact.prefix_weights(gate)[..., -1, :] * np.exp(a.get("log_input", 0 * gate))
    weights = weights * (np.arange(weights.shape[-1]) >= weights.shape[-1] - a.get("window", weights.shape[-1]))
    return np.repeat(weights, a["k"].size // a["q"].size, axis=-1)[..., None]


FITTED = [r for r in catalogue() if r.fit is not None and "ridge" not in r.target]  # a ridge gives up some of the fit


@pytest.mark.parametrize("row", FITTED, ids=lambda row: row.name)
def test_no_layer_fits_its_pairs_better_than_its_target(row):
    a = hostile(row, "unit keys")
    named = {n: a[n] for n in row.arrays}
    layer, best = row.memory(row.layer(**a).state, **named), row.fit(a["k"], a["v"], **named)
    k, v = rows_of(a["k"]), rows_of(a["v"])
    left, least = (np.sum(counted(a) * (v - m(k)) ** 2) for m in (layer, best))
    assert least < left


# The first reads before it writes, the second fits LN(x S) and reads x S.
UNLIKE = {"rwkv6", "layer_norm_ttt_linear"}
READ_LAST = [r for r in catalogue() if r.fit is not None and r.name not in UNLIKE]


@pytest.mark.parametrize("row", READ_LAST, ids=lambda row: row.name)
def test_the_map_that_is_compared_with_the_target_is_what_the_layer_reads_last(row):
    a = hostile(row, "unit keys")
    bound = rounding(row.layer, a, FORMATS["float64"])
    read = row.memory(row.layer(**a).state, **{n: a[n] for n in row.arrays})(a["q"][:, -1:])
    # The map is read by one more product of the layer's own size.
    assert (np.linalg.norm(read - bound.reference[:, -1:], axis=-1) <= 4 * bound.bound[:, -1:]).all()


def test_linear_attention_is_its_target_where_the_keys_are_orthonormal():
    rng = np.random.default_rng(0)
    k = np.linalg.qr(rng.standard_normal((12, 12)))[0][:, :8].T.copy()
    v, q = rng.standard_normal((2, 8, 12))
    state = layers.linear_attention(q, k, v).state
    best = exact.least_norm(k, v)
    # cond(K) is 1: both answers carry rounding of order u‖V‖ and nothing more.
    assert np.linalg.norm(state - best.S) <= 12 * 8 * 2.0**-53 * np.linalg.norm(v)


@ROWS
def test_rows_speak_in_whole_phrases(row):
    for text in (*map(str, vars(row.choices).values()), row.identity, row.target, row.domain, row.source):
        assert text
        assert text == text.strip()
