"""Each verdict word, from inputs that deserve it; zeros never pass."""

import numpy as np
import pytest

from tests.verdict.subjects import chunked_delta_rule, chunked_linear_attention
from ttr_numerics import catalogue, check, exact, layers
from ttr_numerics.pairs import pairing
from ttr_numerics.problem import ProblemError
from ttr_numerics.tasks import conditioned_keys, isotropic_unit_keys
from ttr_numerics.verdict import Word

T, D = 48, 8


def inputs(seed=0, dtype=np.float32, heads=2):
    """Arrays for every layer, in one dtype."""
    rng = np.random.default_rng(seed)
    q, k, v = rng.standard_normal((3, heads, T, D))
    arrays = {
        "q": q,
        "k": k / np.linalg.norm(k, axis=-1, keepdims=True),
        "v": v,
        "beta": rng.uniform(0.1, 1.0, (heads, T)),
        "log_decay": -rng.exponential(0.05, (heads, T)),
        "ridge": np.array(0.25),
    }
    return {name: x.astype(dtype) for name, x in arrays.items()}


def example(row, dtype=np.float32):
    """Generic arguments of the row's layer, arrays in one dtype, and its own output as a stranger's array."""
    drawn = row.example(np.random.default_rng(0), T=T, d_k=D, d_v=D)
    arrays = {n: x.astype(dtype) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}
    return arrays, np.asarray(row.layer(**arrays).o)


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_layer_itself_is_rounding(row, dtype):
    arrays, o = example(row, dtype)
    verdict = check(o, row.name, **arrays)
    assert verdict.word is Word.ROUNDING, verdict.reasons


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_zeros_never_pass(row):
    arrays, o = example(row)
    verdict = check(np.zeros_like(o), row.name, **arrays)
    assert verdict.status == 1
    assert "zero everywhere" in verdict.reasons[0]


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_float16_arithmetic_judged_as_float32_is_wrong(row):
    arrays, o = example(row, np.float16)
    verdict = check(o.astype(np.float32), row.name, **arrays)
    assert verdict.status == 1


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_float16_arithmetic_declared_as_such_is_not_wrong(row):
    arrays, o = example(row, np.float16)
    verdict = check(o, row.name, **arrays)
    assert verdict.status != 1, verdict.reasons


@pytest.mark.parametrize("chunk", [1, 16, 48])
def test_sound_chunked_forms_in_float32_are_rounding(chunk):
    a = inputs()
    o = chunked_linear_attention(a["q"], a["k"], a["v"], chunk)
    assert check(o, "linear_attention", q=a["q"], k=a["k"], v=a["v"]).word is Word.ROUNDING
    o = chunked_delta_rule(a["q"], a["k"], a["v"], a["beta"], chunk)
    assert check(o, "delta_rule", q=a["q"], k=a["k"], v=a["v"], beta=a["beta"]).word is Word.ROUNDING


def test_a_right_answer_to_an_ill_conditioned_problem_is_called_so():
    rng = np.random.default_rng(1)
    k = conditioned_keys(rng, T, D, 300.0)[None].astype(np.float32)
    q, v = rng.standard_normal((2, 1, T, D)).astype(np.float32)
    ridge = np.float32(1e-6)
    o = layers.mesa(q, k, v, ridge=float(ridge)).o
    verdict = check(o, "mesa", q=q, k=k, v=v, ridge=ridge)
    assert verdict.word is Word.ILL_CONDITIONED
    assert verdict.status == 0
    assert "no more digits" in verdict.reasons[0]


def test_where_the_tolerance_is_as_large_as_the_answer_nothing_is_concluded():
    rng = np.random.default_rng(2)
    q = isotropic_unit_keys(rng, (1, T, D))
    k = np.repeat(isotropic_unit_keys(rng, (1, 1, D)), T, axis=-2)  # one key, rewritten
    v = rng.standard_normal((1, T, D))
    v[:, 0] += 1e4
    v[:, 1] -= 1e4  # from the second token on the large first value is undone, and its rounding stays
    o = layers.linear_attention(q, k, v).o
    verdict = check(o, "linear_attention", dtype="bfloat16", q=q, k=k, v=v)
    assert verdict.word is Word.INCONCLUSIVE
    assert verdict.status == 5
    assert "zeros would pass" in verdict.reasons[0]


def test_error_before_decay_is_wrong_from_the_second_token_on():
    a = inputs(dtype=np.float64)
    S, rows = np.zeros((2, D, D)), []
    for t in range(T):
        k, v, beta = a["k"][:, t], a["v"][:, t], a["beta"][:, t, None]
        error = v - np.einsum("hk,hkv->hv", k, S)
        S = np.exp(a["log_decay"][:, t])[:, None, None] * S + k[:, :, None] * (beta * error)[:, None, :]
        rows.append(np.einsum("hk,hkv->hv", a["q"][:, t], S))
    arrays = {name: a[name] for name in ("q", "k", "v", "beta", "log_decay")}
    verdict = check(np.stack(rows, axis=-2), "gated_delta_rule", **arrays)
    assert verdict.word is Word.CONVENTION
    assert "the error taken before the decay" in verdict.reasons[0]
    assert verdict.first_wrong is not None
    assert verdict.first_wrong[-1] == 1


def test_an_ignored_gate_is_named():
    a = inputs()
    o = layers.linear_attention(a["q"], a["k"], a["v"]).o
    verdict = check(o, "gated_linear_attention", q=a["q"], k=a["k"], v=a["v"], log_decay=a["log_decay"])
    assert verdict.word is Word.CONVENTION
    assert "the gate ignored" in verdict.reasons[0]


def test_a_dropped_initial_state_is_named():
    a = inputs(dtype=np.float64)
    arrays = {"q": a["q"], "k": a["k"], "v": a["v"]}
    o = layers.linear_attention(**arrays).o
    state = np.random.default_rng(3).standard_normal((2, D, D))
    verdict = check(o, "linear_attention", **arrays, initial_state=state)
    assert "initial state dropped" in verdict.reasons[0]


def test_nan_in_the_output_is_a_wrong_output_and_says_where():
    a = inputs()
    o = layers.linear_attention(a["q"], a["k"], a["v"]).o
    o[1, 30, 2] = np.nan
    verdict = check(o, "linear_attention", q=a["q"], k=a["k"], v=a["v"])
    assert verdict.status == 1
    assert verdict.first_wrong == (1, 30)
    assert any("NaN or infinite at 1 positions, first at token 30 of head 1" in reason for reason in verdict.reasons)


def test_a_callable_subject_is_called_on_the_arrays():
    a = inputs()
    verdict = check(layers.linear_attention, layers.linear_attention, q=a["q"], k=a["k"], v=a["v"])
    assert verdict.word is Word.ROUNDING


def test_an_array_the_layer_does_not_take_is_refused():
    a = inputs()
    with pytest.raises(ProblemError, match="^beta: expected only arrays of linear_attention"):
        check(a["v"], "linear_attention", q=a["q"], k=a["k"], v=a["v"], beta=a["beta"])


def test_an_unknown_layer_is_refused_with_the_names():
    with pytest.raises(ValueError, match="layer: expected one of linear_attention, .*, got attention"):
        check(np.zeros((3, 2)), "attention")


def test_a_singular_reference_is_refused_not_judged():
    a = inputs()
    with pytest.raises(ProblemError, match="mesa: no reference for this input: H \\+ ridge"):
        check(a["v"], "mesa", q=a["q"], k=a["k"], v=a["v"], ridge=0.0)


def test_the_exact_solver_is_accepted_as_the_layer():
    a = inputs(dtype=np.float64)
    o = exact.ridge_prefixes(a["q"], a["k"], a["v"], ridge=0.25).o
    assert check(o, "mesa", q=a["q"], k=a["k"], v=a["v"], ridge=0.25).word is Word.ROUNDING


@pytest.mark.parametrize("beta", [1.0, 1.9, 2.0])
@pytest.mark.parametrize("keys", ["one", "correlated"])
def test_chunked_delta_rules_on_correlated_keys_are_rounding_however_long_the_chunk(keys, beta):
    rng = np.random.default_rng(4)
    base = rng.standard_normal((2, 1, 16))
    k = base + (0.3 if keys == "correlated" else 0.0) * rng.standard_normal((2, 256, 16))
    k = (k / np.linalg.norm(k, axis=-1, keepdims=True)).astype(np.float32)
    q, v = rng.standard_normal((2, 2, 256, 16)).astype(np.float32)
    step = np.full((2, 256), beta, np.float32)
    for chunk in (32, 64, 128):
        o = chunked_delta_rule(q, k, v, step, chunk)
        assert check(o, "delta_rule", q=q, k=k, v=v, beta=step).word is Word.ROUNDING


def test_float16_softmax_is_judged_more_sharply_than_its_answer():
    rng = np.random.default_rng(5)
    q, k, v = rng.standard_normal((3, 1, 256, 16)).astype(np.float16)
    o = layers.softmax_attention(q / np.float16(4), k, v).o
    verdict = check(o, "softmax_attention", q=q / np.float16(4), k=k, v=v)
    assert verdict.status == 0
    assert not verdict.undecided.any()
    scaled = o.copy()
    scaled[:, 128:] *= np.float16(1.4)
    assert check(scaled, "softmax_attention", q=q / np.float16(4), k=k, v=v).first_wrong == (0, 128)


def test_an_accepted_output_says_where_nothing_was_decided():
    a = inputs(dtype=np.float64)
    k = a["k"].copy()
    k[:, :8] = 0  # nothing is written: the answer is zero there, which zeros would equal, but not in the whole head
    a["q"][:, 20] = 1e-30 * a["q"][:, 20]
    o = layers.linear_attention(a["q"], k, a["v"]).o
    assert check(o, "linear_attention", q=a["q"], k=k, v=a["v"]).word is Word.ROUNDING
    zero = {"q": a["q"], "k": a["k"], "v": 0 * a["v"]}
    verdict = check(0 * o, "linear_attention", **zero)
    assert verdict.word is Word.INCONCLUSIVE  # an answer that is zero everywhere proves nothing


def test_a_reference_beyond_the_range_of_the_format_is_refused():
    a = inputs(dtype=np.float32)
    v = np.full_like(a["v"], 3e38)
    with pytest.raises(ProblemError, match="^o: expected an output within float32's range, got a reference of"):
        check(v, "linear_attention", q=np.abs(a["q"]), k=np.abs(a["k"]), v=v)


def test_identical_heads_are_not_called_permuted():
    a = inputs(dtype=np.float64)
    same = {n: np.concatenate([a[n][:1], a[n][:1], a[n][1:]]) for n in "qkv"}
    o = layers.linear_attention(**same).o
    o[2, 5] += 1.0
    assert check(o, "linear_attention", **same).word is Word.WRONG


@pytest.mark.parametrize("shape", [(8,), (1, 8), (2, 8)])
def test_a_ridge_per_channel_may_leave_out_the_batch_axes(shape):
    a = inputs(dtype=np.float64)
    ridge = np.broadcast_to(np.linspace(0.1, 1.0, 8), shape)
    o = layers.mesa(a["q"], a["k"], a["v"], ridge=ridge).o
    assert check(o, "mesa", q=a["q"], k=a["k"], v=a["v"], ridge=ridge).word is Word.ROUNDING


def test_a_ridge_of_another_shape_is_refused():
    a = inputs(dtype=np.float64)
    with pytest.raises(ProblemError, match="^ridge: expected a number or shape \\(2, 8\\)"):
        check(a["v"], "mesa", q=a["q"], k=a["k"], v=a["v"], ridge=np.ones((3, 8)))


@pytest.mark.parametrize("name", ["mesa", "omega_rule", "longhorn", "original_mesa"])
def test_a_partner_of_larger_rounding_is_still_equal_to_a_sound_output(name):
    # Normal equations square the condition number, least squares do not: each side brings its own rounding.
    row = pairing(name)
    arrays = row.example(np.random.default_rng(3), T=40)
    arrays["k"] = 2 * arrays["k"]
    verdict = check(row.layer(**arrays).o, name, **arrays)
    assert verdict.word is Word.ROUNDING
    assert any(reason.startswith("equals its exact partner") for reason in verdict.reasons)


@pytest.mark.parametrize("name", ["delta_rule", "bidirectional_softmax_attention", "ttt_mlp"])
@pytest.mark.parametrize(("shift", "words"), [(1, "one token late"), (-1, "one token early")])
def test_an_output_moved_in_time_is_named(name, shift, words):
    arrays, o = example(pairing(name))
    moved = np.roll(o, shift, axis=-2)
    verdict = check(moved, name, **arrays)
    assert verdict.word is Word.WRONG
    assert words in verdict.reasons[0]


def test_the_target_of_several_associations_a_token_knows_no_initial_state():
    row = pairing("gated_delta_product")
    arrays = row.example(np.random.default_rng(0), optional=True, T=12)
    assert check(row.layer(**arrays).o, row.name, **arrays).word is Word.ROUNDING


def test_first_layers_shared_by_all_heads_may_lack_the_batch_axes():
    arrays, o = example(pairing("ttt_mlp"))
    shared = arrays | {n: arrays[n][0] for n in ("W_1", "W_2")}
    o = pairing("ttt_mlp").layer(**arrays | {n: np.stack([shared[n]] * 2) for n in ("W_1", "W_2")}).o
    assert check(o, "ttt_mlp", **shared).word is Word.ROUNDING


def test_a_format_that_overflows_in_the_layer_itself_decides_nothing():
    row = pairing("original_mesa")
    arrays = row.example(np.random.default_rng(0), T=16) | {"log_decay": np.full((2, 16), -20.0)}
    single = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    with np.errstate(all="ignore"):
        o = row.layer(**single).o
    verdict = check(o, row.name, **single)
    assert not np.isfinite(o).all()
    assert verdict.word is Word.INCONCLUSIVE
