"""The study of key covariance: rows by cell, the page from stored rows, faults its own tables name, known values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.key_covariance import STUDY, checks, memories, recall, render, rotation, tracking
from analysis.key_covariance import rows as rows_in_words
from analysis.recall_error.tables import REFERENCE
from tests.analysis.odd_keys import ODD, written
from ttr_numerics import exact, tasks
from ttr_numerics.measure import whitened
from ttr_numerics.report import Study, read_study, render_markdown, write_study

Row = dict[str, Any]


def measured(cells: list[Row], study: Any = STUDY) -> list[Row]:
    return [cell | row for cell in cells for row in study.measure(dict(cell), study.generator(cell))]


def small_cells(study: Any = STUDY) -> list[Row]:
    """Every part of the study, with few cells of each."""
    kept: dict[str, dict[str, tuple[Any, ...]]] = {
        "spectrum": {"cond": (1.0, 1e6)},
        "mean key": {"share": (0.0, 0.99)},
        "rotary": {"n": (32, 20)},
        "unseen": {"cond": (1.0, 1e4), "n": (16, 64)},
        "steady step": {"beta": (0.5, 1.0)},
        "steady forgetting": {"decay": (0.95, 0.9)},
    }
    wanted = [c for c in study.cells if all(c[k] in values for k, values in kept.get(c["part"], {}).items())]
    return [cell for cell in wanted if cell.get("keys") not in ("smollm2_layer15", "minilm_layer0")]


@pytest.fixture(scope="module")
def few_trials():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "TRIALS", 3)
        patch.setattr(recall, "DRAWS", 3)
        patch.setattr(rotation, "TRIALS", 4)
        patch.setattr(tracking, "TRIALS", 4)
        yield


@pytest.fixture(scope="module")
def rows(few_trials) -> list[Row]:
    return measured(small_cells())


def test_a_cell_alone_gives_the_same_rows(rows, few_trials):
    part = [cell for cell in small_cells() if cell["part"] in ("rotary", "steady step", "mean key")][::-2]
    again = measured(part)
    assert again
    assert all(row in rows for row in again)


def test_the_page_comes_from_stored_rows(rows, tmp_path):
    study = Study("key_covariance", "why?", STUDY.seed, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    text = render_markdown(render(again.rows), again)
    assert text == render_markdown(render(study.rows), study)
    assert not {"nan", "inf"} & set(text.lower().split())


def test_keys_of_a_users_file_make_a_page_too(rows, few_trials, tmp_path):
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 40, 8))
    np.savez(tmp_path / "own.npz", q=q, k=k, v=v)
    study = STUDY.with_keys(str(tmp_path / "own.npz"))
    own = measured([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert "own" in section.answer
    # Fewer tokens than channels: there is no metric to whiten with, and the page does without.
    np.savez(tmp_path / "short.npz", q=q[:, :6], k=k[:, :6], v=v[:, :6])
    study = STUDY.with_keys(str(tmp_path / "short.npz"))
    short = measured([cell for cell in study.cells if "keys" in cell], study)
    assert render([row for row in rows if "keys" not in row] + short).figures


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(rows, few_trials, tmp_path, name):
    study = STUDY.with_keys(written(tmp_path, name))
    own = measured([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert own
    assert any("left out" in sentence for sentence in section.limits) == (name == "zero keys")
    assert " nan" not in section.answer


def test_a_metric_that_helps_is_said_to(rows):
    own = [row for row in rows if row["part"] == "halves"]
    better = [row | {"value": row["value"] / 9} if row["treatment"] == memories.OTHERS else row for row in own]
    rest = [row for row in rows if row["part"] != "halves"]
    assert "does not do this" in render(rows).answer
    assert "does so too" in render(rest + better).answer


def test_numbers_chosen_at_an_end_of_their_list_are_counted(few_trials, monkeypatch):
    def at_ends() -> tuple[int, int, int]:
        return rows_in_words.at_ends(measured([cell for cell in small_cells() if cell["part"] == "mean key"]))

    choices, least, most = at_ends()
    assert 0 < least + most < choices
    monkeypatch.setattr(memories, "STEPS", memories.STEPS[-2:])
    choices, least, most = at_ends()
    assert least + most == choices


def test_figures_of_quantised_keys_say_so_and_no_others(rows):
    small = [row | {"source": "SmolLM2 layer 15 (4-bit weights)"} if "keys" in row else row for row in rows]
    for said, given in ((False, rows), (True, small)):
        captions = {figure.name: figure.caption for figure in render(given).figures}
        assert [("4-bit" in captions[name]) for name in ("spectrum", "law")] == [said] * 2


def test_the_identity_holds_on_every_head_of_the_shipped_keys():
    cells = [cell for cell in STUDY.cells if cell["part"] == "keys" and cell.get("keys") == "minilm_layer5"]
    own = [row for row in measured(cells) if row.get("values") == recall.RANDOM_VALUES]
    assert len(own) == 12 * len(memories.TREATMENT)
    assert max(abs(row[memories.LINEAR] - 1 + row["rank"] / row["n"]) for row in own) < 0.02


def test_isotropic_keys_reproduce_the_reference_values():
    # n = 256, d = 64, 20 draws: the column n/d = 4 of the independent computation, within 3 standard errors.
    cell = next(c for c in STUDY.cells if c["part"] == "spectrum" and c["cond"] == 1.0)
    own = [row for row in measured([cell]) if row["treatment"] == memories.UNIT]
    names = {memories.LINEAR: "linear attention, scaled", memories.DELTA: "delta rule, β = 1"}
    names |= {memories.BEST: "delta rule, best β", memories.LEAST: "least squares"}
    for row in own:
        reference = REFERENCE[names[row["layer"]]][-1]
        rounding = 0.0005 if reference < 1 else 0.005
        assert abs(row["value"] - reference) <= 3 * (row["high"] - row["value"]) + rounding
    assert len(own) == 4


def outside(rows: list[Row], formula: str) -> int:
    table = checks.check_table(rows)
    return next(int(line[3]) for line in table.rows if str(line[0]).startswith(formula))


def test_a_rotation_of_another_base_misses_its_closed_form(monkeypatch):
    cells = [c for c in STUDY.cells if c["part"] == "rotary" and c.get("share") == 0.0 and c["n"] == 32]
    assert outside(measured(cells), "rotary") == 0
    sound = rotation.rotary
    monkeypatch.setattr(rotation, "rotary", lambda x, places, base: sound(x, places, base=base / 10))
    assert outside(measured(cells), "rotary") > 2


def test_a_delta_rule_with_a_longer_step_misses_its_misadjustment(monkeypatch):
    cells = [c for c in STUDY.cells if c["part"] == "steady step" and c["beta"] >= 0.2]
    assert outside(measured(cells), "σ²β/(2-β)") == 0
    sound = tracking.chunked.delta_rule
    monkeypatch.setattr(
        tracking.chunked, "delta_rule", lambda q, k, v, *, beta: sound(q, k, v, beta=np.minimum(1.3 * beta, 1.9))
    )
    assert outside(measured(cells), "σ²β/(2-β)") > 0


def test_least_squares_does_not_see_whitening_before_rows_are_scaled():
    K = tasks.isotropic_unit_keys(np.random.default_rng(0), (40, 8)) + 0.5
    V = np.random.default_rng(1).standard_normal((40, 3))
    before, after = (X @ exact.least_norm(X, V).S for X in (K, whitened(K)))
    # Equal column spaces: the projections agree to κ u, κ(K) below 100 here.
    assert np.max(abs(before - after)) < 100 * 40 * 2.0**-53 * np.max(abs(V))


def test_measuring_does_not_know_the_figures():
    text = (Path(recall.__file__).parent / "measured.py").read_text("utf-8")
    assert "figure" not in text
    assert "report" not in text
