"""Every cause in the table is named when it is planted, and nothing is named that is not there."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ttr_numerics import check, layers
from ttr_numerics.arrays import quiet
from ttr_numerics.convention import Convention, L2Norm, repeat_heads
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.problem import Problem
from ttr_numerics.verdict import Word, judged
from ttr_numerics.verdict.causes import CAUSES, is_cause
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.text import as_text
from ttr_numerics.verdict.variants import VARIANTS, candidates

# The first of these rows on which a variant means something is where it is planted.
ROWS = (
    "gated_delta_rule",
    "intention",
    "mesa",
    "softmax_attention",
    "normalized_linear_attention",
    "comba",
    "mlstm",
    "ttt_linear",
    "layer_norm_ttt_linear",
    "sliding_window_attention",
    "sink_attention",
    "rwkv6",
    "exponential_attention",
    "mesa_cg",
)
T, H, D = 20, 2, 5
# On this row the first is the second, which stands before it in the table.
SAME = {
    ("mesa", "beta.ignored"): "step.ignored",
    ("softmax_attention", "scale.keys"): "scale.inverse_root",
}


@cache
def drawn(name):
    """Arrays of a row, optional ones too, in float64 and float32's numbers; gates of mlstm are strong."""
    row = pairing(name)
    arrays = row.example(np.random.default_rng(1), (H,), True, True, T=T, d_k=D, d_v=D)
    if name == "mlstm":
        arrays["log_forget"] = 40 * arrays["log_forget"]
    if name == "gated_delta_rule":
        arrays["k"] = arrays["k"] * np.random.default_rng(2).uniform(0.5, 1.2, (H, T, 1))
    return {n: _single(x) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}


def alone(name):
    """The row without its chunked forms: the tolerance of its own code is enough here, and cheaper."""
    return replace(pairing(name), forms=())


def _single(x):
    return x.astype(np.float32).astype(np.float64)


def verdict_on(row, arrays, o, dtype="float32"):
    return judged(Problem(row, arrays, _single(o) if dtype == "float32" else o, dtype), dtype)[0]


def planted(variant):
    """(row, arrays, output, cause) of the variant's last change on the first row where it has one that shows."""
    for name in ROWS:
        row, arrays = alone(name), drawn(name)
        if variant.cause == "heads.tiled":
            arrays = {n: x.take([0, 0, 1, 1], 0) if np.ndim(x) else x for n, x in arrays.items()} | {
                "q": np.concatenate([arrays["q"], -arrays["q"]])
            }
        if variant.cause == "norm.missing":
            arrays = arrays | {n: L2Norm().ours(arrays[n] * (2 + np.arange(T)[:, None])) for n in "qk"}
        with quiet(), np.errstate(all="ignore"):
            right = np.asarray(row.layer(**arrays).o)
            wrong = np.broadcast_to(np.arange(right.shape[-2]) >= 12, right.shape[:-1])  # a state is lost there once
            for candidate in reversed(list(candidates([variant], Evidence(row, arrays, right, wrong)))):
                o = right.copy()
                try:
                    o[..., candidate.change.rows, :] = candidate.output()
                except ValueError:
                    continue
                if (
                    np.isfinite(o).all()
                    and np.linalg.norm(o - right) > 1e-2 * np.linalg.norm(right)
                    and np.max(o) < 1e6
                ):
                    return row, arrays, o, candidate.cause
    raise AssertionError(f"{variant.cause}: expected a row on which it shows, got none")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"{v.cause}, {v.sentence[:20]}")
def test_every_variant_of_the_table_is_named_when_planted(variant):
    row, arrays, o, cause = planted(variant)
    verdict = verdict_on(row, arrays, o)
    assert verdict.status == 1
    assert verdict.cause == SAME.get((row.name, cause), cause), verdict.reasons[0]
    assert is_cause(verdict.cause)
    assert verdict.to_json()["cause"] == verdict.cause


def test_the_table_of_causes_has_no_key_that_is_said_of_two_things():
    assert all(is_cause(v.cause.format(name="beta", detail="")) for v in VARIANTS)
    assert len(CAUSES) > 100
    assert not is_cause("none of them")


def generic(name="gated_delta_rule", heads=(2,), tokens=48, seed=0):
    row = alone(name)
    drawn = row.example(np.random.default_rng(seed), heads, T=tokens, d_k=8, d_v=8)
    return row, {n: _single(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}


def token_by_token(a, *, state=None, residual=None, gate=None, lost=(), undecayed=0, reread=False):
    """Somebody's gated delta rule in float64, one role of it rounded to a format, one state or decay lost.

    `reread`: outputs are read from the state as stored, not as computed.
    """
    rounded = {n: FORMATS[x].nearest if x else np.asarray for n, x in zip("srg", (state, residual, gate), strict=True)}
    S, rows = np.zeros((*a["k"].shape[:-2], a["k"].shape[-1], a["v"].shape[-1])), []
    for t in range(a["q"].shape[-2]):
        k, v, beta = a["k"][..., t, :], a["v"][..., t, :], a["beta"][..., t, None]
        decay = rounded["g"](np.exp(a["log_decay"][..., t, None, None]))
        S = 0 * S if t in lost else S if undecayed and t and t % undecayed == 0 else decay * S
        left = rounded["r"](v - np.einsum("...k,...kv->...v", k, S))
        S = S + k[..., :, None] * (beta * left)[..., None, :]
        stored = rounded["s"](S)
        rows.append(np.einsum("...k,...kv->...v", a["q"][..., t, :], stored if reread else S))
        S = stored
    return np.stack(rows, axis=-2)


@pytest.mark.parametrize("role", ["state", "residual", "gate"])
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_the_role_that_is_kept_in_a_coarser_format_is_named(role, name):
    row, a = generic()
    verdict = verdict_on(row, a, token_by_token(a, **{role: name}))
    assert verdict.cause == f"contract.{role}={name}", verdict.reasons[0]
    assert verdict.word is Word.CONVENTION
    assert verdict.status == 1
    assert "less precise than declared" in as_text(verdict)
    declared = judged(Problem(row, a, _single(token_by_token(a, **{role: name})), "float32"), f"float32,{role}={name}")
    assert declared[0].status == 0


def test_a_state_in_bfloat16_is_named_where_it_is_read_as_stored():
    row, a = generic()
    o = token_by_token(a, state="bfloat16", reread=True)
    assert verdict_on(row, a, o).cause == "contract.state=bfloat16"
    assert judged(Problem(row, a, _single(o), "float32"), "float32,state=bfloat16")[0].status == 0


def test_a_state_in_bfloat16_between_chunks_is_named():
    row, a = generic(tokens=80)
    S, rows = None, []
    for s in range(0, 80, 32):
        piece = row.layer(**{n: x[:, s : s + 32] for n, x in a.items()}, initial_state=S)
        S = FORMATS["bfloat16"].nearest(piece.state)
        rows.append(piece.o)
    assert verdict_on(row, a, np.concatenate(rows, axis=-2)).cause == "contract.state=bfloat16"


def test_a_softmax_in_float32_is_named_in_float64():
    row, a = generic("softmax_attention")
    z = np.where(np.tril(np.ones((48, 48), bool)), a["q"] @ a["k"].swapaxes(-1, -2), -np.inf).astype(np.float32)
    w = np.exp(z - z.max(axis=-1, keepdims=True))
    w = (w / w.sum(axis=-1, keepdims=True)).astype(np.float64)
    assert verdict_on(row, a, w @ a["v"], "float64").cause == "contract.softmax=float32"


def test_float32_returned_as_float64_is_named():
    row, a = generic()
    single = {n: x.astype(np.float32) for n, x in a.items()}
    verdict = verdict_on(row, a, row.layer(**single).o.astype(np.float64), "float64")
    assert verdict.cause == "contract.dtype=float32"
    verdict = verdict_on(row, a, row.layer(**a).o.astype(np.float32).astype(np.float64), "float64")
    assert verdict.cause == "contract.output=float32"


def test_a_state_lost_once_is_named_with_its_token():
    row, a = generic()
    verdict = verdict_on(row, a, token_by_token(a, lost=(29,)))
    assert verdict.cause == "state.lost_once"
    assert "lost at token 29" in verdict.reasons[0]


def test_a_decay_missing_between_chunks_is_named():
    row, a = generic()
    verdict = verdict_on(row, a, token_by_token(a, undecayed=16))
    assert verdict.cause == "state.undecayed_chunk"


@pytest.mark.parametrize(
    ("name", "argument", "factor", "cause"),
    [
        ("softmax_attention", "q", 1.01, "scale.factor"),
        ("gated_delta_rule", "beta", 0.9, "step.factor"),
        ("gated_delta_rule", "log_decay", 1.3, "gate.factor"),
        ("mesa", "ridge", 4.0, "ridge.factor"),
        ("sink_attention", "sink", 0.3, "sink.factor"),
    ],
)
def test_a_wrong_factor_of_an_argument_is_found(name, argument, factor, cause):
    row, a = generic(name)
    verdict = verdict_on(row, a, row.layer(**a | {argument: factor * a[argument]}).o)
    assert verdict.cause == cause
    assert f"{argument} times {factor:g}" in verdict.reasons[0]


def test_two_variants_at_once_are_named_together():
    row, a = generic()
    o = row.layer(**a | {"log_decay": a["log_decay"] * np.log(2), "beta": 2 * a["beta"]}).o
    verdict = verdict_on(row, a, o)
    assert verdict.cause == "gate.base2+step.doubled"


def test_a_norm_that_was_declared_and_not_taken_is_named():
    rng = np.random.default_rng(3)
    q, k, v = rng.standard_normal((3, 2, 40, 8)).astype(np.float32)
    convention = Convention(normalise=L2Norm())
    wide = {n: x.astype(np.float64) for n, x in zip("qkv", (q, k, v), strict=True)}
    o = layers.linear_attention(L2Norm().ours(wide["q"]), wide["k"], wide["v"]).o.astype(np.float32)
    assert check(o, "linear_attention", q=q, k=k, v=v, convention=convention).cause == "norm.missing"
    large = L2Norm(0.03)
    o = layers.linear_attention(large.ours(wide["q"]), large.ours(wide["k"]), wide["v"]).o.astype(np.float32)
    assert check(o, "linear_attention", q=q, k=k, v=v, convention=convention).cause == "norm.eps"


def test_grouped_heads_tiled_and_not_repeated_are_named():
    rng = np.random.default_rng(4)
    q, (k, v) = rng.standard_normal((1, 4, 40, 8)), rng.standard_normal((2, 1, 2, 40, 8))
    o = layers.softmax_attention(q, np.tile(k, (1, 2, 1, 1)), np.tile(v, (1, 2, 1, 1))).o
    verdict = check(o, "softmax_attention", q=q, k=k, v=v, convention=Convention(grouped_heads=True))
    assert verdict.cause == "heads.tiled"
    right = layers.softmax_attention(q, repeat_heads(k, 4), repeat_heads(v, 4)).o
    assert check(right, "softmax_attention", q=q, k=k, v=v, convention=Convention(grouped_heads=True)).cause is None


def test_a_fault_in_one_head_alone_is_named_and_placed():
    row, a = generic(heads=(1, 3))
    gate = a["log_decay"].copy()
    gate[:, 1] = 0
    verdict = verdict_on(row, a, row.layer(**a | {"log_decay": gate}).o)
    assert verdict.cause == "gate.ignored"
    assert "in 1 of 3 heads; the others are right" in verdict.reasons[0]


def _at(o, tokens, change):
    o = o.copy()
    o[..., tokens, :] = change(o)[..., tokens, :]
    return o


def _columns(o, order):
    return o[..., order]


PATTERNS = {
    "output.zero": lambda o: 0 * o,
    "output.factor": lambda o: 1.01 * o,
    "output.negated": lambda o: -o,
    "output.offset": lambda o: o + 0.003,
    "output.factor_per_head": lambda o: o * np.array([1.5, 0.7])[:, None, None],
    "output.factor_per_token": lambda o: o * np.linspace(0.5, 2, o.shape[-2])[:, None],
    "output.nan": lambda o: _at(o, [20, 33], lambda o: np.nan * o),
    "output.flushed": lambda o: np.where(np.abs(o) < 0.05, 0.0, o),
    "output.late": lambda o: np.roll(o, 1, axis=-2),
    "layout.swapped": lambda o: np.ascontiguousarray(o.swapaxes(0, 1)).reshape(o.shape),
    "heads.permuted": lambda o: o[::-1],
    "heads.repeated": lambda o: o[[0, 0]],
    "heads.mixed": lambda o: o + 0.2 * o[::-1],
    "columns.reversed": lambda o: _columns(o, slice(None, None, -1)),
    "columns.halves": lambda o: _columns(o, [4, 5, 6, 7, 0, 1, 2, 3]),
    "columns.rolled": lambda o: np.roll(o, 1, axis=-1),
    "columns.permuted": lambda o: _columns(o, [1, 0, 3, 2, 5, 4, 7, 6]),
    "columns.tail": lambda o: np.where(np.arange(8) < 5, o, 0),
    "rows.reversed": lambda o: o[:, ::-1],
    "rows.rolled": lambda o: np.roll(o, 7, axis=-2),
    "rows.permuted": lambda o: o[:, np.random.default_rng(0).permutation(o.shape[-2])],
    "rows.zero": lambda o: _at(o, [11, 30], lambda o: 0 * o),
    "rows.stale": lambda o: _at(o, [11, 30], lambda o: np.roll(o, 1, axis=-2)),
    "rows.first": lambda o: _at(o, [0], lambda o: 0.5 * o),
    "rows.last": lambda o: _at(o, [-1], lambda o: np.roll(o, 1, axis=-2)),
    "rows.tail": lambda o: _at(o, slice(32, None), lambda o: o + np.sin(np.arange(1, 9) * o)),
    "rows.chunk_starts": lambda o: _at(o, slice(16, None, 16), lambda o: o + np.sin(np.arange(1, 9) * o)),
    "rows.chunk_ends": lambda o: _at(o, slice(15, None, 16), lambda o: o + np.sin(np.arange(1, 9) * o)),
    "head.one": lambda o: np.stack([o[0], o[1] + np.sin(np.arange(1, 9) * o[1])]),
}


@pytest.mark.parametrize("cause", PATTERNS)
def test_what_the_answer_itself_shows_is_named(cause):
    row, a = generic(tokens=45)
    verdict = verdict_on(row, a, PATTERNS[cause](row.layer(**a).o))
    assert verdict.cause == cause, verdict.reasons[0]
    assert is_cause(cause)
    assert verdict.status == 1


@pytest.mark.parametrize("name", ["gated_delta_rule", "softmax_attention"])
@pytest.mark.parametrize("size", [1e-3, 0.05, 1.0])
def test_a_wrong_output_that_is_no_variant_has_no_cause(name, size):
    row, a = generic(name)
    o = row.layer(**a).o
    noisy = o * (1 + size * np.random.default_rng(5).standard_normal(o.shape))
    verdict = verdict_on(row, a, noisy)
    assert verdict.word is Word.WRONG
    assert verdict.cause is None, verdict.reasons[0]


@pytest.mark.parametrize("name", ["gated_delta_rule", "softmax_attention", "mesa", "titans"])
def test_a_sound_output_has_no_cause(name):
    row, a = generic(name)
    verdict = verdict_on(row, a, row.layer(**a).o)
    assert verdict.status == 0
    assert verdict.cause is None


def test_a_verdict_of_wrong_reads_in_few_lines():
    row, a = generic()
    text = as_text(verdict_on(row, a, token_by_token(a, state="bfloat16")))
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 100
