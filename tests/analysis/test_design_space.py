"""The design space: rows of a part are rows of the whole, reports render from rows alone, selection sees one half."""

from pathlib import Path

import numpy as np
import pytest

from analysis import design_space
from analysis.design_space import cases
from analysis.design_space.contenders import CONTENDERS
from analysis.design_space.measured import PREDICTION, RECALL, STUDY, errors, measure_cell
from tests.analysis.odd_keys import ODD, written
from ttr_numerics import layers, tasks
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
SMALL = {
    "contender": ("gated delta rule", "softmax", "delta rule in exp. space", "kernel ridge in a window"),
    "tokens": (64,),
}


def rows_of(study):
    return [cell | row for cell in study.cells for row in measure_cell(dict(cell), study.generator(cell))]


@pytest.fixture(scope="module")
def small_rows():
    return rows_of(STUDY.restricted(SMALL))


def test_a_part_of_the_contenders_gives_the_same_rows(small_rows):
    part = rows_of(STUDY.restricted(SMALL | {"contender": ("delta rule in exp. space",)}))
    assert 0 < len(part) < len(small_rows)
    assert [row for row in part if row not in small_rows] == []


def test_small_grids_render_from_stored_rows(small_rows, tmp_path):
    study = Study("design_space", "why?", STUDY.seed, "command", {}, tuple(small_rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    section = design_space.render(again.rows)
    assert render_markdown(section, again) == render_markdown(design_space.render(study.rows), study)
    assert "nan" not in render_markdown(section, again).lower().split()
    page = render_html([(section, again)], "title", "lead")
    assert page.count("<svg") == sum(len(figure.panels) for figure in section.figures)
    assert all("4-bit" in figure.caption for figure in section.figures)


def test_committed_rows_render_to_the_committed_report():
    study = read_study(REPORTS / "design_space.jsonl")
    assert render_markdown(design_space.render(study.rows), study) == (REPORTS / "design_space.md").read_text("utf-8")


def test_names_come_from_the_catalogue(small_rows):
    names = {row["contender"]: row["names"] for row in small_rows}
    assert names["gated delta rule"] == "gated_delta_rule"
    assert names["softmax"] == "softmax_attention"
    assert names["delta rule in exp. space"] == names["kernel ridge in a window"] == ""


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    K, V = rng.standard_normal((2, 2, 64, 4))
    return K / np.linalg.norm(K, axis=-1, keepdims=True), V


def contender(label):
    return next(c for c in CONTENDERS if c.label == label)


def test_what_comes_later_does_not_change_the_choice(data):
    K, V = data
    changed = V.copy()
    changed[:, 32:] = 7.0
    for c in CONTENDERS[:5]:
        s = c.settings()[0]
        one, other = (errors(c, s, K, x)[0] for x in (V, changed))
        for measure in (PREDICTION, RECALL):
            assert np.array_equal(one[measure, 0], other[measure, 0])
            assert not np.array_equal(one[measure, 1], other[measure, 1])


def test_both_errors_are_those_of_the_layer_itself(data):
    K, V = data
    s = {"step": 0.3, "gate": 2.0**-6}
    found, numbers = errors(contender("gated delta rule"), s, K, V)
    gates = {"beta": np.full((2, 64), 0.3), "log_decay": np.full((2, 64), -(2.0**-6))}
    run = layers.gated_delta_rule(np.roll(K, -1, axis=1), K, V, **gates)
    apart = np.sum((run.o[:, 31:63] - V[:, 32:]) ** 2, axis=(1, 2)) / np.sum(V[:, 32:] ** 2, axis=(1, 2))
    # The same recursion in two pieces: rounding of 64 steps on numbers of the size of V.
    assert np.max(np.abs(found[PREDICTION, 1] - apart)) <= 64 * 64 * 2.0**-53 * np.max(apart)
    at = 63 - np.arange(16)[::-1] * 2
    recalled = K[:, at] @ run.state
    apart = np.sum((recalled - V[:, at]) ** 2, axis=(1, 2)) / np.sum(V[:, at] ** 2, axis=(1, 2))
    assert np.max(np.abs(found[RECALL, 1] - apart)) <= 64 * 64 * 2.0**-53 * np.max(apart)
    assert numbers == 16


def test_a_fit_that_has_seen_the_answer_would_be_found_out(data):
    K, V = data
    c = contender("kernel ridge")
    found, _ = errors(c, {"norm": 4.0, "ridge": 0.003}, K, V)
    assert np.all(found[RECALL, 1] < 0.1)
    assert np.all(found[PREDICTION, 1] > 0.5)  # values are noise: nothing predicts them


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(tmp_path, name):
    study = STUDY.with_keys(written(tmp_path, name))
    cells = [cell for cell in study.cells if cell["contender"] in ("gated delta rule", "softmax")]
    rows = [cell | row for cell in cells for row in measure_cell(dict(cell), study.generator(cell))]
    section = design_space.render(rows)
    enough = name not in ("one token", "one channel")
    assert len(section.figures) == len(section.tables) == int(enough)
    assert ("not asked" in section.answer) != enough
    assert any("left out" in sentence for sentence in section.limits) == (name == "zero keys")


def test_one_head_has_no_interval(small_rows):
    one = [row for row in small_rows if row["head"] == 0]
    text = render_markdown(design_space.render(one), Study("design_space", "why?", 0, "command", {}, tuple(one)))
    assert "nan" not in text.lower().split()
    assert "[nan" not in text


def test_settings_at_an_end_of_their_list_are_counted():
    row = {"source": "mine", "measure": PREDICTION, "contender": "gated delta rule"}
    found = [row | {"settings": settings} for settings in ("step 0.1, gate 0.0625", "step 1, gate 0.00390625")]
    assert cases.ends_of_lists(found) == {"step": (1, 2), "gate": (1, 2)}


def test_it_is_asked_of_a_users_keys(tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "mine.npz", **{name: rng.standard_normal((2, 40, 8)) for name in "qkv"})
    study = STUDY.with_keys(str(tmp_path / "mine.npz")).restricted({"contender": SMALL["contender"]})
    rows = rows_of(study)
    assert {row["source"] for row in rows} == {tasks.stored(str(tmp_path / "mine.npz")).name}
    assert "mine: prediction" in {panel.title for panel in design_space.render(rows).figures[0].panels}
