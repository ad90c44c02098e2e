"""The derived tolerance accepts sound arithmetic, however hostile the input, and rejects what is wrong by twice it."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tests.references import CASES, GATED, wrong
from tests.twins import TWINS
from ttr_numerics import layers, tolerance
from ttr_numerics.arrays import to_numpy
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS, format_named

Given = dict[str, Any]
HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def in_numpy(name: str, given: Given, dtype: str) -> np.ndarray:
    """The layer as NumPy computes it in `dtype`."""
    arrays = {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in given.items()}
    return CASES[name].layer(**arrays).o


def in_torch(name: str, given: Given, dtype: str) -> np.ndarray:
    """The layer as torch computes it in a 16-bit dtype."""
    arrays = {n: torch.asarray(x, dtype=HALF[dtype]) if isinstance(x, np.ndarray) else x for n, x in given.items()}
    return np.asarray(to_numpy(CASES[name].layer(**arrays).o), np.float64)


def hostile(name: str, kind: str, rng: np.random.Generator, batch: tuple[int, ...], T: int) -> Given:
    """Inputs on which rounding errors line up or cancel."""
    given = CASES[name].inputs(rng, batch, T)
    if kind == "repeated":
        key = given["k"][..., :1, :] / np.linalg.norm(given["k"][..., :1, :], axis=-1, keepdims=True)
        given["k"] = key * np.ones_like(given["k"])
    if kind == "repeated pairs":
        for n in "kv":
            given[n] = given[n][..., :1, :] * np.ones_like(given[n])
    if kind == "constant gate" and "log_decay" in given:
        given["log_decay"] = np.full_like(given["log_decay"], -0.01)
    if kind == "strong decay" and "log_decay" in given:
        given["log_decay"] = given["log_decay"] * 30
    if kind == "cancelling":
        given["v"][..., 1::2, :] = -given["v"][..., : T - T % 2 : 2, :]
    return given


KINDS = ["random", "repeated", "repeated pairs", "constant gate", "strong decay", "cancelling"]


def test_quantile_grows_with_the_number_of_comparisons_and_falls_with_replicas() -> None:
    by_size = [tolerance.quantile(n) for n in (1, 10, 1000, 10**6)]
    assert by_size == sorted(by_size)
    assert len(set(by_size)) == 4
    by_replicas = [tolerance.quantile(100, replicas) for replicas in (4, 8, 16, 64)]
    assert by_replicas == sorted(by_replicas, reverse=True)
    assert tolerance.quantile(1, false_alarm=0.1) < tolerance.quantile(1, false_alarm=0.01)


def test_quantile_is_the_two_sided_student_one() -> None:
    alarm = 2 * stats.t.sf(tolerance.quantile(7, 16, 0.01), 16) * 7
    assert abs(alarm / 0.01 - 1) <= np.sqrt(np.finfo(float).eps)  # the precision of SciPy's inverse


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_sound_float32_never_exceeds_the_bound(name: str, kind: str, rng: np.random.Generator) -> None:
    given = hostile(name, kind, rng, (16,), 8)  # 16 runs a case, 9 layers, 6 kinds: 864 runs in all
    bound = tolerance.rounding(CASES[name].layer, given, FORMATS["float32"])
    assert not wrong(in_numpy(name, given, "float32"), bound.reference, bound.bound).any()


@pytest.mark.parametrize("name", ["linear_attention", "gated_linear_attention", "delta_rule", "softmax_attention"])
def test_sound_float32_of_512_equal_keys_never_exceeds_the_bound(name: str, rng: np.random.Generator) -> None:
    given = hostile(name, "repeated", rng, (2,), 512)
    bound = tolerance.rounding(CASES[name].layer, given, FORMATS["float32"])
    assert not wrong(in_numpy(name, given, "float32"), bound.reference, bound.bound).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", CASES)
def test_torch_in_sixteen_bits_never_exceeds_the_bound(
    name: str, dtype: str, kind: str, rng: np.random.Generator
) -> None:
    given = hostile(name, kind, rng, (4,), 8)
    bound = tolerance.rounding(CASES[name].layer, given, FORMATS[dtype])
    assert not wrong(in_torch(name, given, dtype), bound.reference, bound.bound).any()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_a_fault_above_twice_the_bound_is_always_seen(name: str, dtype: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (2,), 8)
    bound = tolerance.rounding(CASES[name].layer, given, FORMATS[dtype])
    run = in_torch(name, given, dtype) if dtype in HALF else in_numpy(name, given, dtype)
    direction = rng.standard_normal(run.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    fault = run + direction * (2 * bound.bound + np.spacing(np.linalg.norm(run, axis=-1)))[..., None]
    assert wrong(fault, bound.reference, bound.bound).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_zeros_are_never_accepted_where_the_answer_exceeds_the_bound(
    name: str, dtype: str, rng: np.random.Generator
) -> None:
    bound = tolerance.rounding(CASES[name].layer, CASES[name].inputs(rng, (4,), 8), FORMATS[dtype])
    conclusive = np.linalg.norm(bound.reference, axis=-1) > bound.bound
    refused = wrong(np.zeros_like(bound.reference), bound.reference, bound.bound)
    assert np.array_equal(refused, conclusive)
    assert conclusive.any()


@pytest.mark.parametrize("name", CASES)
def test_one_precision_lower_is_rejected(name: str, rng: np.random.Generator) -> None:
    # Inputs that bfloat16 holds exactly, so that only the arithmetic differs.
    given = {
        n: FORMATS["bfloat16"].nearest(x) if isinstance(x, np.ndarray) else x
        for n, x in CASES[name].inputs(rng, (2,), 8).items()
    }
    double = tolerance.rounding(CASES[name].layer, given, FORMATS["float64"])
    single = tolerance.rounding(CASES[name].layer, given, FORMATS["float32"])
    assert wrong(in_numpy(name, given, "float32"), double.reference, double.bound).any(axis=-1).all()
    assert wrong(in_torch(name, given, "bfloat16"), single.reference, single.bound).any(axis=-1).all()


@pytest.mark.parametrize("name", CASES)
def test_the_bound_is_reproducible_and_scales_with_the_format(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), 6)
    bounds = [tolerance.rounding(CASES[name].layer, given, FORMATS[f]).bound for f in ("float64", "float32")]
    again = tolerance.rounding(CASES[name].layer, given, FORMATS["float32"]).bound
    assert np.array_equal(again, bounds[1])
    assert np.all(bounds[0] < bounds[1])


@pytest.mark.parametrize("name", GATED)
def test_a_hard_reset_leaves_the_bound_finite(name: str, rng: np.random.Generator) -> None:
    given = CASES[name].inputs(rng, (), 6)
    given["log_decay"][3] = -np.inf
    bound = tolerance.rounding(CASES[name].layer, given, FORMATS["float32"])
    assert np.all(np.isfinite(bound.bound))
    assert not wrong(in_numpy(name, given, "float32"), bound.reference, bound.bound).any()


def test_a_coarser_output_adds_its_own_rounding(rng: np.random.Generator) -> None:
    name = "softmax_attention"
    given = CASES[name].inputs(rng, (), 6)
    single, half = FORMATS["float32"], FORMATS["bfloat16"]
    narrow = tolerance.rounding(CASES[name].layer, given, single)
    wide = tolerance.rounding(CASES[name].layer, given, single, output=half)
    stored = half.nearest(in_numpy(name, given, "float32").astype(np.float64))
    assert wrong(stored, narrow.reference, narrow.bound).any()
    assert not wrong(stored, wide.reference, wide.bound).any()


def truth(name: str, given: Given) -> np.ndarray:
    """The naive twin in extended precision, which rounds 2^11 times as finely, on both heads of a batch."""
    wide = {n: x.astype(np.longdouble) for n, x in given.items()}
    return np.stack([TWINS[name](**{n: x[h] for n, x in wide.items()}) for h in range(2)]).astype(np.float64)


@pytest.mark.parametrize("size", [0, 500, 512, 1030])
@pytest.mark.parametrize(("name", "weight"), [("rwkv4", "k"), ("mlstm", "log_input")])
def test_float64_of_large_log_weights_is_within_its_bound_of_the_truth(name: str, weight: str, size: int) -> None:
    # Just above a power of two an error of u|x| is less than half a spacing: float64 replicas must not lose it.
    given = pairing(name).example(np.random.default_rng(size), T=24, d_k=4, d_v=4)
    given[weight] = given[weight] + size
    bound = tolerance.rounding(pairing(name).layer, given, FORMATS["float64"])
    assert not wrong(truth(name, given), bound.reference, bound.bound).any()
    # Not by a bound that sees nothing: exponents of `size` lose `size` roundoffs.
    lost = max(size, 1) * FORMATS["float64"].u * np.linalg.norm(bound.reference, axis=-1)
    assert np.median(bound.bound / lost) < 100


@pytest.mark.parametrize("name", ["linear_attention", "gated_linear_attention", "hgrn", "rg_lru"])
def test_float64_of_200_equal_pairs_is_within_its_bound_of_the_truth(name: str) -> None:
    given = pairing(name).example(np.random.default_rng(0), T=200, d_k=4, d_v=4)
    given |= {n: np.repeat(x[:, :1], 200, axis=1) for n, x in given.items() if n in ("k", "v", "log_decay")}
    bound = tolerance.rounding(pairing(name).layer, given, FORMATS["float64"])
    assert not wrong(truth(name, given), bound.reference, bound.bound).any()


def test_where_the_layer_itself_overflows_the_format_nothing_is_decided() -> None:
    row = pairing("original_mesa")
    given = row.example(np.random.default_rng(0), T=8) | {"log_decay": np.full((2, 8), -20.0)}
    single = tolerance.rounding(row.layer, given, FORMATS["float32"])  # P grows by e^20 a token
    assert np.isinf(single.bound[:, 5:]).all()
    assert np.isfinite(tolerance.rounding(row.layer, given, FORMATS["float64"]).bound).all()


def test_an_unknown_format_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="dtype: expected one of float64, float32, float16, bfloat16, got fp8"):
        format_named("fp8")


@pytest.mark.parametrize("power", [-900, -500, 500, 900])
def test_the_bound_scales_with_the_values_however_large_or_small(power):
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 12, 4))
    once = tolerance.rounding(layers.linear_attention, {"q": q, "k": k, "v": v}, FORMATS["float64"])
    scaled = tolerance.rounding(layers.linear_attention, {"q": q, "k": k, "v": v * 2.0**power}, FORMATS["float64"])
    # The same replicas, in other units: powers of two change no digit.
    assert (scaled.spread == once.spread * 2.0**power).all()
    assert np.isfinite(scaled.bound).all()


def test_where_a_matrix_is_no_longer_definite_in_the_format_nothing_is_decided() -> None:
    row = pairing("mesa")
    given = row.example(np.random.default_rng(0), T=200, d_k=6, d_v=5)
    given |= {n: np.repeat(given[n][:, :1], 200, axis=1) for n in "qkv"} | {"ridge": 1e-3}
    assert np.isinf(tolerance.rounding(row.layer, given, FORMATS["bfloat16"]).bound).any()
    assert np.isfinite(tolerance.rounding(row.layer, given, FORMATS["float64"]).bound).all()
