"""The catalogue: complete, and every identity holds to the rounding of both sides."""

import numpy as np
import pytest

from tests.verdict.test_words import inputs, taken
from ttr_numerics import catalogue, exact, layers
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

HOSTILE = {
    "unit keys": lambda a: a,
    "repeated keys": lambda a: {**a, "k": np.repeat(a["k"][:, :1], a["k"].shape[1], axis=1)},
    "zero keys": lambda a: {**a, "k": a["k"] * (np.arange(a["k"].shape[1]) % 3 > 0)[:, None]},
    "decay of 50 nats": lambda a: {**a, "log_decay": np.full_like(a["log_decay"], -50.0)},
    "resets": lambda a: {
        **a,
        "log_decay": np.where(np.arange(a["beta"].shape[1]) % 7 == 5, -np.inf, 0.0) + 0 * a["beta"],
    },
    "one token": lambda a: {n: x[:, :1] if x.ndim else x for n, x in a.items()},
    "channel gates": lambda a: {**a, "log_decay": a["log_decay"][..., None] * np.linspace(0, 3, a["q"].shape[-1])},
}


def test_every_public_layer_has_a_row_and_every_row_a_layer():
    assert len({row.name for row in catalogue()}) == len(catalogue())
    assert {row.name for row in catalogue()} == set(layers.__all__)


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_the_identity_holds_to_the_rounding_of_both_sides(row, case):
    arrays = taken(row, HOSTILE[case](inputs(dtype=np.float64)))
    if row.name == "mesa":
        arrays["ridge"] = 0.25
    sides = [rounding(side, arrays, FORMATS["float64"]) for side in (row.layer, row.partner)]
    apart = np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1)
    assert (apart <= sides[0].bound + sides[1].bound).all()
    assert (sides[1].bound < np.linalg.norm(sides[1].reference, axis=-1)).mean() > 0.5  # the bound says something


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_a_perturbed_partner_is_not_the_layer(row):
    arrays = taken(row, inputs(dtype=np.float64))
    if row.name == "mesa":
        arrays["ridge"] = 0.25
    sides = [rounding(side, arrays, FORMATS["float64"]) for side in (row.layer, row.partner)]
    faulty = row.partner(**{**arrays, "k": arrays["k"] * (1 + 1e-9 * (np.arange(48) == 7))[:, None]}).o
    apart = np.linalg.norm(sides[0].reference - faulty, axis=-1)
    assert (apart > sides[0].bound + sides[1].bound).any()


def test_softmax_with_unit_keys_is_nadaraya_watson_without_sample_weights():
    a = inputs(dtype=np.float64)
    sides = [
        rounding(layers.softmax_attention, {n: a[n] for n in "qkv"}, FORMATS["float64"]),
        rounding(exact.kernel_smoother_prefixes, {n: a[n] for n in "qkv"}, FORMATS["float64"]),
    ]
    apart = np.linalg.norm(sides[0].reference - sides[1].reference, axis=-1)
    assert (apart <= sides[0].bound + sides[1].bound).all()


def test_softmax_with_unequal_keys_needs_the_sample_weights():
    a = inputs(dtype=np.float64)
    a["k"] = a["k"] * np.linspace(0.5, 2, 48)[:, None]
    bound = rounding(layers.softmax_attention, {n: a[n] for n in "qkv"}, FORMATS["float64"])
    plain = exact.kernel_smoother_prefixes(a["q"], a["k"], a["v"]).o
    assert (np.linalg.norm(plain - bound.reference, axis=-1) > bound.bound).mean() > 0.5


@pytest.mark.parametrize("row", [r for r in catalogue() if r.fit is not None], ids=lambda row: row.name)
def test_no_layer_fits_its_pairs_better_than_its_target(row):
    a = inputs(dtype=np.float64)
    given = taken(row, a)
    named = {n: given[n] for n in row.arrays}
    best = row.fit(a["k"], a["v"], **named)
    state = row.layer(**given).state
    gate = a["log_decay"] if "log_decay" in row.arrays else np.zeros_like(a["beta"])
    weights = exact.prefix_weights(gate)[..., -1, :, None]
    left, least = (np.sum(weights * (a["v"] - a["k"] @ S) ** 2) for S in (state, best))
    assert least < left


def test_linear_attention_is_its_target_where_the_keys_are_orthonormal():
    rng = np.random.default_rng(0)
    k = np.linalg.qr(rng.standard_normal((12, 12)))[0][:, :8].T.copy()
    v, q = rng.standard_normal((2, 8, 12))
    state = layers.linear_attention(q, k, v).state
    best = exact.least_norm(k, v)
    # cond(K) is 1: both answers carry rounding of order u‖V‖ and nothing more.
    assert np.linalg.norm(state - best.S) <= 12 * 8 * 2.0**-53 * np.linalg.norm(v)


def test_rows_speak_in_whole_phrases():
    for row in catalogue():
        for text in (row.weights, row.function_class, row.optimiser, row.identity, row.target, row.domain, row.source):
            assert text
            assert text == text.strip()
