"""What runs on inputs of which size is one declared policy, and its bound is sound on long inputs too."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from ttr_numerics import layers, tolerance
from ttr_numerics.arrays.arithmetic import Serial
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS, Contract, contract_named
from ttr_numerics.tolerance import policy
from ttr_numerics.tolerance.runs import arriving

Given = dict[str, Any]


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs are long from 256 tokens of two heads of 8 by 8 on."""
    monkeypatch.setattr(policy, "LONG", 1 << 15)


def example(name: str, T: int, seed: int = 0) -> Given:
    given = pairing(name).example(np.random.default_rng(seed), T=T, d_k=8, d_v=8)
    return {n: FORMATS["float32"].nearest(x) if isinstance(x, np.ndarray) else x for n, x in given.items()}


def plan(name: str, text: str, T: int, **axes: int) -> policy.Policy:
    """The policy for zeros of this size."""
    row, contract = pairing(name), contract_named(text)
    d, heads = axes.get("d", 8), axes.get("heads", 2)
    stored = {n: np.zeros((heads, T, d)) for n in "qkv"}
    return policy.chosen(row.layer, row.forms, stored, contract, tolerance.REPLICAS)


def test_short_inputs_run_every_form_in_replicas_and_to_nearest() -> None:
    row, p = pairing("gated_delta_rule"), plan("gated_delta_rule", "float32", 512)
    assert p.replicated == p.nearest == (row.layer, *row.forms)
    assert (p.loop, p.reference, p.replicas) == (None, row.layer, tolerance.REPLICAS)
    assert p.words == "the widest of the time loop and chunks of 16 and 64 tokens"


def test_long_inputs_run_the_longest_chunk_and_the_loop_over_the_first_tokens() -> None:
    row, p = pairing("gated_delta_rule"), plan("gated_delta_rule", "bfloat16", 4096, d=128)
    assert p.replicated == (row.forms[-1],) == (p.reference,)
    assert p.loop is row.layer
    assert p.prefix == policy.LONG // 4 // (2 * 128 * 128) == 256
    assert p.words == "the widest of the time loop over the first 256 tokens and chunks of 64 tokens"
    assert row.layer in p.nearest


def test_a_time_loop_to_nearest_gives_way_only_where_it_must_be_emulated() -> None:
    row = pairing("gated_delta_rule")
    assert row.layer in plan("gated_delta_rule", "float32", 4096, d=128, heads=16).nearest
    assert plan("gated_delta_rule", "bfloat16", 4096, d=128, heads=16).nearest == row.forms


def test_float64_is_always_judged_by_the_layer_itself() -> None:
    assert plan("gated_delta_rule", "float64", 4096, d=128).reference is layers.gated_delta_rule


def test_a_layer_without_chunks_runs_as_it_is_with_fewer_replicas_where_it_is_dear() -> None:
    long, dear = plan("softmax_attention", "bfloat16", 4096, d=128), plan("softmax_attention", "bfloat16", 16384, d=128)
    assert long.replicated == dear.replicated == (layers.softmax_attention,)
    assert (long.replicas, dear.replicas) == (tolerance.REPLICAS, tolerance.REPLICAS // 2)


def test_serial_sums_run_where_sums_are_long_and_no_finer_than_what_they_add() -> None:
    assert plan("softmax_attention", "float32", 512).serial == (layers.softmax_attention,)
    assert plan("softmax_attention", "float32", Serial.FEW).serial == ()
    assert plan("softmax_attention", "bfloat16", 512).serial == ()
    assert plan("linear_attention", "float32", 512).serial == (), "its state is a sum term by term"


def test_the_prefix_cuts_time_axes_alone(rng: np.random.Generator) -> None:
    given = pairing("rwkv6").example(rng, T=100, d_k=8, d_v=4)
    cut = policy.prefix_of(given, 10)
    assert {n: x.shape for n, x in cut.items() if n != "bonus"} == {
        n: (2, 10, *x.shape[2:]) for n, x in given.items() if n != "bonus"
    }
    assert cut["bonus"] is given["bonus"]


def hostile(name: str, kind: str, T: int) -> Given:
    """Long inputs on which errors of the loop and of chunks differ most."""
    given = example(name, T)
    if kind == "repeated":
        given["k"] = given["k"][:, :1] / np.linalg.norm(given["k"][:, :1], axis=-1, keepdims=True) + 0 * given["k"]
    if kind == "long memory" and "log_decay" in given:
        given["log_decay"] = np.full_like(given["log_decay"], -1e-5)
    return arriving(given, contract_named("float32"))


def sound(name: str, given: Given, contract: Contract) -> Iterator[np.ndarray]:
    """The time loop and chunks of other lengths than the tolerance runs."""
    forms = [getattr(layers, name), *(partial(getattr(chunked, name), chunk=c) for c in (5, 32, 100))]
    return (tolerance.run_as(form, given, contract) for form in forms)


@pytest.mark.parametrize("kind", ["random", "repeated", "long memory"])
@pytest.mark.parametrize("name", ["linear_attention", "delta_rule", "gated_delta_rule"])
def test_every_form_of_a_long_input_is_within_the_bound(name: str, kind: str, soon: None) -> None:
    given, row, contract = hostile(name, kind, 300), pairing(name), contract_named("float32")
    bound = tolerance.rounding(row.layer, given, contract, forms=row.forms)
    assert bound.policy.loop is row.layer
    for o in sound(name, given, contract):
        assert (tolerance.row_norms(o - bound.reference) <= bound.bound).all()


def test_the_bound_of_a_long_input_is_that_of_all_forms_but_for_a_small_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    given, row = hostile("gated_delta_rule", "random", 300), pairing("gated_delta_rule")
    full = tolerance.rounding(row.layer, given, FORMATS["float32"], forms=row.forms)
    monkeypatch.setattr(policy, "LONG", 1 << 15)
    cheap = tolerance.rounding(row.layer, given, FORMATS["float32"], forms=row.forms)
    assert 0.5 < np.median(cheap.bound / full.bound) < 2
    # A fault that the dearer bound sees by that factor is seen by the cheaper one.
    fault = full.reference + 2 * np.maximum(cheap.bound, full.bound)[..., None] * np.eye(8)[0]
    assert (tolerance.row_norms(fault - cheap.reference) > cheap.bound).all()


def serial_softmax(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Softmax with a running maximum, one key at a time, everything in the arrays' own dtype."""
    largest, total, o = np.full_like(q[..., :1], -np.inf), np.zeros_like(q[..., :1]), np.zeros_like(v)
    for i in range(k.shape[-2]):
        seen = (..., slice(i, None), slice(None))
        logit = q[seen] @ k[..., i, :, None]
        m = np.maximum(largest[seen], logit)
        kept, new = np.exp(largest[seen] - m), np.exp(logit - m)
        total[seen], o[seen] = kept * total[seen] + new, kept * o[seen] + new * v[..., i : i + 1, :]
        largest[seen] = m
    return o / total


@pytest.mark.parametrize("constant", ["", "kv", "qkv"])
def test_softmax_summed_one_key_at_a_time_is_within_its_bound(constant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = example("softmax_attention", 800)
    given |= {n: given[n][:, :1] + 0 * given[n] for n in constant}
    bound = tolerance.rounding(layers.softmax_attention, given, FORMATS["float32"])
    o = serial_softmax(*(given[n].astype(np.float32) for n in "qkv")).astype(np.float64)
    assert (tolerance.row_norms(o - bound.reference) <= bound.bound).all()
    if constant:  # and not because that bound is wide everywhere: without sums term by term it is accused
        monkeypatch.setattr(policy, "SERIAL", 0)
        narrow = tolerance.rounding(layers.softmax_attention, given, FORMATS["float32"])
        assert (tolerance.row_norms(o - narrow.reference) > narrow.bound).any()


def test_a_compact_kernel_summed_one_key_at_a_time_is_within_its_bound() -> None:
    given = example("normalized_relu_attention", 300)
    given |= {n: given[n][:, :1] + 0 * given[n] for n in "qkv"}
    bound = tolerance.rounding(layers.normalized_relu_attention, given, FORMATS["float32"])
    q, k, v = (given[n].astype(np.float32) for n in "qkv")
    weights = np.tril(np.maximum(q @ k.mT - np.float32(given["threshold"]), 0))
    sums = [
        np.cumsum(weights[..., None] * x[:, None], axis=2, dtype=np.float32)[:, :, -1] for x in (v, np.ones_like(v))
    ]
    assert (tolerance.row_norms(sums[0] / sums[1] - bound.reference) <= bound.bound).all()


def test_where_a_solve_loses_every_digit_a_head_decides_nothing() -> None:
    row = pairing("mesa_cg")
    given = row.example(np.random.default_rng(1), T=60)
    given["k"] = given["k"][:, :1] + 0 * given["k"]  # conjugate gradients in eight bits diverge here
    bound = tolerance.rounding(row.layer, given, FORMATS["bfloat16"], forms=row.forms)
    assert np.isinf(bound.bound).any()
    assert np.isfinite(tolerance.rounding(row.layer, given, FORMATS["float32"], forms=row.forms).bound).all()
