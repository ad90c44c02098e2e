"""Conventions: what is declared is undone, exactly one meaning each, and a wrong declaration is seen."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ttr_numerics import check, layers
from ttr_numerics.arguments import Domain
from ttr_numerics.convention import (
    PRESETS,
    Convention,
    Gate,
    L2Norm,
    Layout,
    Read,
    StateLayout,
    inverse_root,
    mamba,
    mean_square,
)
from ttr_numerics.pairs import catalogue, pairing
from ttr_numerics.problem import ProblemError
from ttr_numerics.verdict import Word

PARTS = {
    "layout": Convention(layout=Layout.TIME_FIRST),
    "output layout": Convention(output_layout=Layout.TIME_FIRST),
    "state": Convention(state=StateLayout.VALUES_FIRST),
    "log2": Convention(gate=Gate.LOG2),
    "linear gate": Convention(gate=Gate.LINEAR),
    "scale": Convention(scale=inverse_root),
    "gradient factor": Convention(gradient_factor=mean_square),
    "names": Convention(names=(("C", "q"), ("B", "k"))),
} | {name: x for name, x in PRESETS.items() if name not in ("mamba", "transformers")}


def drawn(name, seed=0, T=12, **axes):
    """Arguments of a layer with two batch axes, (2, 3) heads, d_k = 4, d_v = 5, and its output."""
    row = pairing(name)
    arrays = row.example(np.random.default_rng(seed), (2, 3), T=T, **({"d_k": 4, "d_v": 5} | axes))
    return row, arrays, np.asarray(row.layer(**arrays).o)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", [row.name for row in catalogue()])
def test_ours_undoes_theirs(name, part):
    row, arrays, o = drawn(name)
    arrays = {n: x for n, x in arrays.items() if isinstance(x, np.ndarray)} | {"o": o}
    there = PARTS[part].theirs(arrays, row.arguments)
    back = PARTS[part].ours(there, row.arguments)
    assert set(back) == set(arrays)
    for n, x in arrays.items():
        assert back[n].shape == x.shape
        # Two roundings of a product or of exp and log, at most 4 units each of a number below 64 in size.
        assert np.max(np.abs(back[n] - x), initial=0.0) <= 4 * 2.0**-53 * 64


def test_mamba_state_space_parameters_become_a_gated_linear_attention():
    rng = np.random.default_rng(0)
    B, T, H, P, N, G = 2, 20, 4, 5, 3, 2
    x, dt = rng.standard_normal((B, T, H, P)), rng.uniform(0.1, 1, (B, T, H))
    b, c = rng.standard_normal((2, B, T, G, N))
    A, D = -rng.uniform(0.5, 2, H), rng.standard_normal(H)
    y, state = np.zeros((B, T, H, P)), np.zeros((B, H, P, N))
    for t in range(T):
        for h in range(H):
            group = h // (H // G)
            state[:, h] = np.exp(dt[:, t, h] * A[h])[:, None, None] * state[:, h]
            state[:, h] += dt[:, t, h, None, None] * x[:, t, h, :, None] * b[:, t, group, None, :]
            y[:, t, h] = np.einsum("bpn,bn->bp", state[:, h], c[:, t, group]) + D[h] * x[:, t, h]
    verdict = check(y, "gated_linear_attention", convention=mamba, x=x, dt=dt, A=A, B=b, C=c, D=D)
    assert verdict.word is Word.ROUNDING
    ours = mamba.ours({"x": x, "dt": dt, "A": A, "B": b, "C": c, "initial_state": state})
    assert ours["initial_state"].shape == (B, H, N, P)
    again = mamba.ours(mamba.theirs({n: ours[n] for n in ("q", "k", "v", "log_decay")}))
    assert np.max(np.abs(again["log_decay"] / ours["log_decay"] - 1)) <= 4 * 2.0**-53  # one product and one quotient


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        (Convention(gate=Gate.LOG2), lambda a: {**a, "log_decay": a["log_decay"] / np.log(2)}),
        (Convention(gate=Gate.LINEAR), lambda a: {**a, "log_decay": np.exp(a["log_decay"])}),
        (Convention(gradient_factor=2.0), lambda a: {**a, "beta": a["beta"] / 2}),
        (Convention(gradient_factor=mean_square), lambda a: {**a, "beta": a["beta"] * 5 / 2}),
        (Convention(scale=0.5), lambda a: {**a, "q": a["q"] * 2}),
    ],
)
def test_a_declared_convention_is_right_and_an_undeclared_one_is_not(said, changed):
    _, arrays, o = drawn("gated_delta_rule")
    theirs = changed(arrays)
    assert check(o, "gated_delta_rule", convention=said, **theirs).word is Word.ROUNDING
    if said.gate is Gate.LINEAR:  # above 0, no logarithm
        with pytest.raises(ProblemError, match="linear gates"):
            check(o, "gated_delta_rule", **theirs)
    else:
        assert check(o, "gated_delta_rule", **theirs).status == 1


def test_a_normalisation_inside_the_foreign_function_is_undone():
    _, arrays, _ = drawn("delta_rule")
    arrays["k"] = 3 * arrays["k"]
    unit = {n: arrays[n] / np.sqrt(np.sum(arrays[n] ** 2, axis=-1, keepdims=True) + 1e-6) for n in ("q", "k")}
    o = layers.delta_rule(**{**arrays, **unit}).o
    assert check(o, "delta_rule", convention=Convention(normalise=L2Norm()), **arrays).word is Word.ROUNDING
    assert check(o, "delta_rule", convention=Convention(normalise=L2Norm(eps=1e-3)), **arrays).status == 1


def test_reading_before_the_write_is_a_shift_of_queries():
    row, arrays, _ = drawn("gated_delta_rule")
    S, rows = np.zeros((2, 3, 4, 5)), []
    for t in range(12):
        rows.append(arrays["q"][..., t : t + 1, :] @ S)
        S = row.layer(**{n: x[:, :, t : t + 1] for n, x in arrays.items()}, initial_state=S).state
    o = np.concatenate(rows, axis=-2)
    assert check(o, row.name, convention=Convention(read=Read.BEFORE_WRITE), **arrays).word is Word.ROUNDING
    assert check(o, row.name, **arrays).status == 1


@pytest.mark.parametrize("name", ["delta_rule", "gated_linear_attention", "softmax_attention", "mesa"])
def test_packed_sequences_are_judged_one_by_one_and_a_leaked_state_is_seen(name):
    row = pairing(name)
    arrays = row.example(np.random.default_rng(0), (1, 2), T=40, d_k=4, d_v=5)
    ends, timed = np.array([0, 7, 7, 22, 40]), {"q"} | {x.name for x in row.arguments if "T" in x.shapes[0]}
    pieces = [
        row.layer(**{n: x[:, :, a:b] if n in timed else x for n, x in arrays.items()}).o for a, b in pairwise(ends)
    ]
    o = np.concatenate(pieces, axis=-2)
    verdict = check(o, name, convention=Convention(), cu_seqlens=ends, **arrays)
    assert verdict.word is Word.ROUNDING
    assert verdict.error.shape == (1, 2, 40)
    leaked = check(row.layer(**arrays).o, name, cu_seqlens=ends, **arrays)
    assert leaked.status == 1
    assert leaked.first_wrong == (0, 0, 7) or leaked.first_wrong[-1] == 7
    assert "of 3 packed sequences, in number 1" in leaked.reasons[0]


def test_packed_initial_states_go_to_their_own_sequences():
    rng = np.random.default_rng(0)
    _, arrays, _ = drawn("delta_rule")
    arrays = {n: x[:1] for n, x in arrays.items()}
    S = rng.standard_normal((2, 3, 4, 5))
    halves = [{n: x[:, :, part] for n, x in arrays.items()} for part in (slice(0, 5), slice(5, 12))]
    o = np.concatenate([layers.delta_rule(**a, initial_state=S[i : i + 1]).o for i, a in enumerate(halves)], axis=-2)
    given = {**arrays, "cu_seqlens": np.array([0, 5, 12])}
    assert check(o, "delta_rule", initial_state=S, **given).word is Word.ROUNDING
    assert check(o, "delta_rule", initial_state=S[::-1].copy(), **given).status == 1


@pytest.mark.parametrize("heads", [{"k": 1, "v": 1}, {"k": 2, "v": 2}, {"q": 2, "k": 2}, {"q": 1, "k": 1}])
def test_grouped_heads_serve_their_neighbours_whichever_side_has_fewer(heads):
    arrays = pairing("gated_delta_rule").example(np.random.default_rng(0), (2, 4), T=12, d_k=4, d_v=5)
    fewer = {n: x[:, : heads[n]] if n in heads else x for n, x in arrays.items()}
    full = {n: np.repeat(x, 4 // x.shape[1], axis=1) for n, x in fewer.items()}
    o = layers.gated_delta_rule(**full).o
    assert check(o, "gated_delta_rule", convention=Convention(grouped_heads=True), **fewer).word is Word.ROUNDING
    tiled = {n: np.concatenate([x] * (4 // x.shape[1]), axis=1) for n, x in fewer.items()}
    if min(heads.values()) > 1:
        wrong = layers.gated_delta_rule(**tiled).o
        assert check(wrong, "gated_delta_rule", convention=Convention(grouped_heads=True), **fewer).status == 1


@pytest.mark.parametrize(
    ("arrays", "said", "sentence"),
    [
        (
            {"cu_seqlens": np.array([0, 5])},
            Convention(),
            "^cu_seqlens: expected whole numbers rising from 0 to 12",
        ),
        ({"cu_seqlens": np.array([0, 9, 5, 12])}, Convention(), "^cu_seqlens: expected whole numbers rising"),
        ({"cu_seqlens": np.array([0.0, 12.0])}, Convention(), "^cu_seqlens: expected whole numbers rising"),
        ({}, mamba, "^q: |^dt: expected for this convention"),
        ({}, Convention(discretisation=mamba.discretisation), "^dt: expected for this convention, got no such array"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(arrays, said, sentence):
    _, given, o = drawn("linear_attention")
    with pytest.raises(ValueError, match=sentence):
        check(o, "linear_attention", convention=said, **given, **arrays)


def test_every_gate_of_the_catalogue_is_translated():
    for row in catalogue():
        gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE}
        arrays = row.example(np.random.default_rng(0), (1, 1), T=3, optional=True)
        ours = Convention(gate=Gate.LOG2).ours(arrays, row.arguments)
        for name in gates & set(arrays):
            assert np.array_equal(ours[name], arrays[name] * np.log(2.0))


def test_an_unchanged_convention_copies_nothing():
    row, arrays, _ = drawn("gated_delta_rule")
    ours = replace(Convention()).ours(arrays, row.arguments)
    assert all(ours[n] is arrays[n] for n in arrays)
