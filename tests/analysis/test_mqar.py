"""Associative recall without training: parts are parts of the whole, the page says faults, ids are lists of bigrams."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.mqar import STUDY, lists, memories, passes, render, repetition, sequences
from analysis.mqar.checks import broken, convolution_table, table
from analysis.mqar.scores import first_among
from analysis.rows import chosen
from tests.analysis.odd_keys import ODD, written
from ttr_numerics import border, layers, tasks
from ttr_numerics.layers import chunked
from ttr_numerics.measure import ranks
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

# 18 channels and 9 pairs are of no grid: these values go into every one.
SMALL = {"d": (18,), "length": (64, 256), "pairs": (4, 9), "assignments": (1, 4), "between": (0, 4)}


def rows_of(study):
    return [cell | row for cell in study.cells for row in study.measure(dict(cell), study.generator(cell))]


def rows_where(**wanted):
    """The rows of the study's cells with these parameters."""
    cells = [cell for cell in STUDY.cells if all(cell.get(name) == value for name, value in wanted.items())]
    return [cell | row for cell in cells for row in STUDY.measure(dict(cell), STUDY.generator(cell))]


@pytest.fixture(scope="module")
def small():
    return STUDY.restricted(SMALL)


@pytest.fixture(scope="module")
def small_rows(small):
    return rows_of(small)


def test_a_part_of_the_grid_gives_the_same_rows(small, small_rows):
    part = rows_of(small.restricted({"pairs": (9,), "between": (4,), "length": (64,)}))
    assert 0 < len(part) < len(small_rows)
    assert [row for row in part if row not in small_rows] == []


def test_small_grid_renders_from_stored_rows(small_rows, tmp_path):
    study = Study("mqar", STUDY.question, STUDY.seed, "command", {}, tuple(small_rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = render(again.rows)
    assert render_markdown(section, again) == render_markdown(render(study.rows), study)
    assert "nan" not in render_markdown(section, again).lower().split()
    assert [figure.name for figure in section.figures] == ["load", "list", "latest", "passes", "own-keys"]
    last = replace(section, figures=section.figures[-1:])
    assert render_html([(last, again)], "title", "lead").count("<svg") == len(last.figures[0].panels)


@pytest.mark.parametrize("part", ["sizes", "load", "list", "reassigned", "passes", "kaczmarz", "stored"])
def test_every_part_renders_alone(small_rows, part):
    render([row for row in small_rows if row["part"] == part])


def test_stored_keys_of_a_user_are_asked_in_place_of_the_shipped(tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "own.npz", **{name: rng.standard_normal((2, 40, 8)) for name in "qkv"})
    study = STUDY.with_keys(str(tmp_path / "own.npz"))
    cells = [cell for cell in study.cells if cell["part"] == "stored"]
    rows = [cell | row for cell in cells for row in study.measure(dict(cell), study.generator(cell))]
    assert {row["source"] for row in rows} == {"own"}
    assert max(row["pairs"] for row in rows) == 40
    assert [panel.title for panel in render(rows).figures[-1].panels] == ["own, d = 8"]


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(name, tmp_path):
    cells = [cell for cell in STUDY.with_keys(written(tmp_path, name)).cells if cell["part"] == "stored"]
    rows = [cell | row for cell in cells for row in STUDY.measure(dict(cell), STUDY.generator(cell))]
    section = render(rows)
    assert section.figures[-1].panels[0].title.startswith(name)
    assert any("left out" in limit for limit in section.limits) == (name in ("zero keys", "zero values"))
    assert not any(isinstance(value, float) and np.isnan(value) for row in rows for value in row.values())


def shifted(x):
    return border.short_convolution(x, weight=np.tile((1.0, 0.0), (x.shape[-1], 1))).o


@pytest.mark.parametrize("layer", [memories.LINEAR, memories.DELTA])
def test_ids_after_a_convolution_are_the_list_of_their_bigrams(layer):
    """Orthonormal embeddings: every sum is of ones and zeros, so both readings are equal to the bit."""
    shown = tasks.mqar(np.random.default_rng(2), 5, 40, 3, vocabulary=16)
    x = np.eye(16)[shown.tokens]
    o = memories.AT_EVERY_TOKEN[layer](x, shifted(x), x)
    for row, at in zip(*np.nonzero(shown.mask), strict=True):
        bigrams = x[row : row + 1, :at], x[row : row + 1, 1 : at + 1]
        listed = memories.AFTER_THE_LIST[layer](x[row : row + 1, at : at + 1], *bigrams)
        assert np.array_equal(o[row, at], listed[0, 0])


@pytest.mark.parametrize(
    "layer",
    [
        layers.linear_attention,
        lambda q, k, v: layers.delta_rule(q, k, v, beta=np.ones(k.shape[:-1])),
        lambda q, k, v: layers.mesa(q, k, v, ridge=0.25),
    ],
)
def test_neutral_filler_changes_nothing(layer):
    """More blanks anywhere behind the list: to the bit the same outputs, since a zero key or value adds zeros."""
    shown = tasks.mqar(np.random.default_rng(3), 1, 24, 3, vocabulary=64, filler=tasks.neutral_filler)
    places = np.repeat(shown.tokens[0, 6:].reshape(-1, 2), 3, axis=0)
    places[1::3] = places[2::3] = 0
    long = np.concatenate([shown.tokens[0, :6], places.ravel()])
    embedding = tasks.isotropic_unit_keys(np.random.default_rng(4), (64, 8))
    embedding[0] = 0.0
    found = []
    for tokens in (shown.tokens[0], long):
        x = embedding[tokens][None]
        asked = np.nonzero(np.isin(np.arange(len(tokens)), np.nonzero(tokens)[0]) & (np.arange(len(tokens)) >= 6))[0]
        found.append(layer(x, shifted(x), x).o[0, asked])
    assert len(long) == 6 + 3 * 18
    assert np.array_equal(*found)


def test_random_filler_does_change_it(small_rows):
    wanted = {"part": "sizes", "layer": memories.LINEAR, "convolution": "keys shifted"}
    linear = chosen(small_rows, **wanted)
    at = {(row["filler"], row["d"], row["pairs"], row["length"]): row["value"] for row in linear}
    assert at["random", 18, 4, 256] < at["neutral", 18, 4, 256]


def test_the_reference_values_of_repeated_passes_come_out_within_three_standard_errors(monkeypatch):
    asked = {layer: passes.WRITTEN[layer] for layer in (memories.LINEAR, memories.GATED, memories.DELTA)}
    monkeypatch.setattr(passes, "WRITTEN", asked)
    found = repetition.standard_errors(rows_where(part="passes", pairs=32))
    assert len(found) == passes.PASSES
    assert max(off for *_, off in found) <= 3


def test_another_step_does_not_meet_the_reference_values(monkeypatch):
    def short(k, v, S):
        return chunked.delta_rule(k, k, v, beta=0.9 * memories.ones(k), initial_state=S).state

    monkeypatch.setitem(passes.WRITTEN, memories.DELTA, short)
    monkeypatch.setattr(passes, "LISTS", 50)
    assert max(off for *_, off in repetition.standard_errors(rows_where(part="passes", pairs=32))) > 3


def test_a_step_that_only_reflects_breaks_the_kaczmarz_bound_on_the_page(monkeypatch):
    monkeypatch.setattr(passes, "ones", lambda k: 2 * np.ones(k.shape[:-1]))
    rows = rows_where(part="kaczmarz", order="drawn", pairs=16)
    assert broken(rows)[0] > len(rows)


def test_a_layer_that_is_off_by_a_fifth_is_on_the_page(monkeypatch, small_rows):
    assert broken(small_rows)[0] <= 2  # 0.5 expected by chance
    sound = memories.AFTER_THE_LIST[memories.DELTA]
    monkeypatch.setitem(memories.AFTER_THE_LIST, memories.DELTA, lambda q, k, v: 0.8 * sound(q, k, v))
    rows = rows_where(part="reassigned", assignments=4, between=4)
    line = next(cell for cell in table(rows).rows if cell[0] == "error to the last value, delta rule, β = 1")
    assert line[3] == 1


def test_a_list_read_in_the_wrong_order_breaks_the_bound_of_the_tie(monkeypatch):
    """Layers without order that are given the last pair twice prefer its value."""
    sound = memories.AFTER_THE_LIST[memories.LINEAR]

    def twice(q, k, v):
        return sound(q, np.concatenate([k, k[:, -5:]], axis=-2), np.concatenate([v, v[:, -5:]], axis=-2))

    monkeypatch.setitem(memories.AFTER_THE_LIST, memories.LINEAR, twice)
    rows = rows_where(part="reassigned", assignments=4, between=4)
    assert next(cell for cell in table(rows).rows if cell[0].startswith("share of the last value"))[3] == 1


def test_a_convolution_where_there_should_be_none_is_seen(monkeypatch):
    wanted = {"part": "sizes", "d": 64, "pairs": 4, "length": 256, "filler": "neutral"}
    assert max(cell[-1] for cell in convolution_table(rows_where(**wanted)).rows) < 1
    monkeypatch.setitem(sequences.CONVOLUTIONS, "none", (1.0, 0.0))
    assert max(cell[-1] for cell in convolution_table(rows_where(**wanted)).rows) > 2


def test_a_tie_recalls_nothing_and_ranks_agree():
    rng = np.random.default_rng(5)
    words = tasks.isotropic_unit_keys(rng, (300, 8))
    o = words + 0.3 * rng.standard_normal((300, 8))
    assert np.array_equal(first_among(o, words, np.arange(300)), ranks(o, words) == 0)
    assert not first_among(0 * o, words, np.arange(300)).any()
    assert not first_among(np.nan * o, words, np.arange(300)).any()


def test_exact_ties_are_shared():
    """Of two values added up at once neither is ahead: half each, to rounding."""
    cell = {"part": "reassigned", "d": 64, "assignments": 2, "between": 0}
    row = next(row for row in lists.by_assignments(cell, np.random.default_rng(6)) if row["layer"] == memories.LINEAR)
    assert abs(row["value"] + row["older"] - 1) <= 256 * 2.0**-53
