"""The study of recall error: reference values, rows by cell, the page from stored rows, and faults its table names."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analysis.recall_error import STUDY, measured, readings, render, tables
from ttr_numerics.report import Study, read_study, render_markdown, write_study

Row = dict[str, Any]


def run(cells: list[Row], study: Any = STUDY) -> list[Row]:
    return [cell | row for cell in cells for row in study.measure(dict(cell), study.generator(cell))]


def random_cells(*loads: float) -> list[Row]:
    return [cell for cell in STUDY.cells if "keys" not in cell and cell["n"] / measured.DIMENSION in loads]


def stored_cells() -> list[Row]:
    return [cell for cell in STUDY.cells if cell.get("keys") == "minilm_layer5" and cell["n"] <= 16]


@pytest.fixture(scope="module", autouse=True)
def fewer_draws() -> Iterator[None]:
    """Of random keys 16 draws in place of the study's 40: the study takes seconds, its table says its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measured, "TRIALS", 16)
        yield


@pytest.fixture(scope="module")
def rows(fewer_draws: None) -> list[Row]:
    return run(random_cells(*measured.LOADS) + stored_cells())


def test_the_reference_values_come_out_within_three_standard_errors(rows):
    # 16 draws a load; the reference is rounded to three digits.
    table = tables.reference_table(rows)
    assert len(table.rows) == len(tables.REFERENCE) * len(measured.LOADS)
    assert [line for line in table.rows if line[-1] > 3] == []
    assert "16 draws; 42 of 42 cells lie within 3 standard errors" in table.note
    assert "No cell lies outside." in table.note


def test_a_cell_alone_gives_the_same_rows(rows):
    part = random_cells(1 / 8) + stored_cells()[:1]
    assert all(row in rows for row in run(part[::-1]))


def test_the_page_comes_from_stored_rows(rows, tmp_path):
    study = Study("recall_error", "why?", STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    text = render_markdown(render(again.rows), again)
    assert text == render_markdown(render(study.rows), study)
    assert "nan" not in text.lower().split()


def test_captions_say_that_weights_are_4_bit_where_they_are(rows):
    name = "SmolLM2 layer 15 (4-bit weights)"
    renamed = [row | {"source": name} if row["source"].startswith("MiniLM") else row for row in rows]
    for of, quantised in ((rows, False), (renamed, True)):
        captions = {figure.name: figure.caption for figure in render(of).figures}
        assert all(("4-bit" in captions[name]) == quantised for name in ("real", "distance"))


@pytest.mark.parametrize("heads", [1, 2])
def test_keys_of_a_users_file_make_a_page_too(rows, heads, tmp_path):
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, heads, 40, 8))
    np.savez(tmp_path / "own.npz", q=q, k=k, v=v)
    study = STUDY.with_keys(str(tmp_path / "own.npz"))
    own = run([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert "own" in section.answer
    assert max(row["n"] for row in own) == 32


def test_a_scaled_layer_misses_the_reference(monkeypatch):
    sound = readings.layers.linear_attention
    monkeypatch.setattr(readings.layers, "linear_attention", lambda q, k, v: sound(q, k, 1.1 * v))
    assert "linear attention at 0.5" in tables.reference_table(run(random_cells(0.5))).note


def test_a_delta_rule_with_a_wrong_step_misses_its_theory(monkeypatch):
    sound = readings.layers.delta_rule
    monkeypatch.setattr(readings.layers, "delta_rule", lambda q, k, v, *, beta: sound(q, k, v, beta=0.95 * beta))
    assert "delta rule, β = 1 at 1" in tables.reference_table(run(random_cells(1.0))).note
