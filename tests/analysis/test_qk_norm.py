"""The study of key norms: cells repeat, the page renders from rows, the identity and the bounds hold, faults show."""

from typing import Any

import numpy as np
import pytest

from analysis.qk_norm import gain, measured, readings, render, spread, tables
from analysis.rows import chosen
from tests.analysis.odd_keys import ODD, written
from ttr_numerics.report import Study as Stored
from ttr_numerics.report import render_markdown

STUDY = measured.STUDY
SMALL: tuple[dict[str, Any], ...] = (
    *(
        {"part": "spread", "task": task, "n": 32, "d": 8, "gain": g, "spread": s}
        for task in (spread.RECALL, "regression")
        for g in (8.0, 32.0)
        for s in (0.0, 0.5)
    ),
    {"part": "gain", "n": 16, "d": 64},
    {"part": "needed", "n": 16, "d": 64},
    {"part": "needed", "n": 64, "d": 16},
    {"part": "keys", "keys": "smollm2_layer15"},
)


def measured_by(study: Any, cell: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell | row for row in study.measure(dict(cell), study.generator(cell))]


def rows_of(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return measured_by(STUDY, cell)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [row for cell in SMALL for row in rows_of(cell)]


def markdown(rows: list[dict[str, Any]]) -> str:
    return render_markdown(render(rows), Stored("qk_norm", "why?", 0, "command", {}, tuple(rows)))


def test_a_cell_gives_the_same_rows_again(rows):
    again = rows_of(SMALL[3]) + rows_of(SMALL[-3])
    assert all(row in rows for row in again)
    part = STUDY.restricted({"spread": (0.5,), "n": (128,)})
    assert {cell["spread"] for cell in part.cells if cell["part"] == "spread"} == {0.5}


def test_the_page_is_made_of_rows_alone_and_holds_no_nan(rows):
    text = markdown(rows)
    assert text == markdown(rows)
    assert "nan" not in text.lower().split()
    assert len(render([row for row in rows if row["part"] != "keys"]).figures) == 2


def test_keys_of_any_length_and_width_are_asked(tmp_path, rows):
    rng = np.random.default_rng(0)
    path = tmp_path / "few.npz"
    np.savez(path, **{name: rng.standard_normal((2, 40, 8)) for name in "qkv"})
    study = STUDY.with_keys(str(path))
    (cell,) = [cell for cell in study.cells if cell["part"] == "keys"]
    own = measured_by(study, cell)
    assert len(own) == 2
    assert "few" in markdown([row for row in rows if row["part"] != "keys"] + own)


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(tmp_path, rows, name):
    study = STUDY.with_keys(written(tmp_path, name))
    own = [row for cell in study.cells if cell["part"] == "keys" for row in measured_by(study, cell)]
    section = render([row for row in rows if row["part"] != "keys"] + own)
    assert [row["violated"] for row in own] == [0] * len(own)
    assert any("left out" in sentence for sentence in section.limits) == (name == "zero keys")


def test_a_best_gain_at_an_end_of_the_list_is_counted(rows, monkeypatch):
    def ends() -> list[bool]:
        return [row[f"{readings.SOFTMAX}, {spread.ENDS}"] for row in rows_of(SMALL[-1])]

    assert ends() == [False] * 3
    monkeypatch.setattr(spread, "GAINS", spread.GAINS[:2])
    assert ends() == [True] * 3


def test_every_statement_holds_in_every_row(rows):
    for _, _, violated, part in tables.claims_table(rows).rows:
        assert violated == 0
        assert part <= 1


def test_without_spread_all_readings_agree_and_weights_are_equal(rows):
    for row in chosen(rows, part="spread", spread=0.0, gain=8.0):
        own = chosen(rows, **{name: row[name] for name in ("part", "task", "gain", "spread")})
        # Unit norms to rounding: weights differ by e^{β u}, errors by few u of themselves.
        assert abs(row["value"] - own[0]["value"]) <= 1e3 * 2.0**-53
        assert abs(row["size"] - 1) <= 1e3 * 2.0**-53


def test_a_softmax_with_keys_a_thousandth_too_long_is_exposed(monkeypatch):
    sound = readings.layers.bidirectional_softmax_attention
    monkeypatch.setattr(readings.layers, "bidirectional_softmax_attention", lambda q, k, v: sound(q, 1.001 * k, v))
    rows = [row for cell in (SMALL[1], *SMALL[8:10]) for row in rows_of(cell)]
    line = tables.claims_table(rows).rows[0]
    assert line[2] > 0
    assert line[3] > 1


def test_a_smoother_with_half_the_weights_is_exposed(monkeypatch):
    sound = readings.bounds.norm_log_weights
    monkeypatch.setattr(readings.bounds, "norm_log_weights", lambda K, gain: sound(K, gain) / 2)
    assert all(row["violated"] > 0 for row in rows_of(SMALL[1]))


def test_the_gain_of_softmax_with_unit_keys_recalls_nothing(rows):
    first = min(chosen(rows, part="gain"), key=lambda row: row["gain"])
    # Attention within e^{±2β} of 1/n: o is the mean of the values but for that, and 1 - 1/n of each value is lost.
    n, beta = first["n"], first["gain"]
    assert first["gain"] == 64**-0.5
    assert first["value"] >= (1 - np.exp(2 * beta) / n) ** 2 - 3 * (first["high"] - first["value"])


def test_the_needed_gain_recalls_and_a_tenth_less_does_not():
    rng = np.random.default_rng(0)
    cell = {"n": 16, "d": 64}
    (row,) = gain.needed_rows(cell, np.random.default_rng(0))
    K, V = gain._pairs(cell, rng)
    worst = np.max(gain._errors(K, V, 1.1 * row["sufficient"]), axis=-1)
    assert np.all(worst <= gain.ERROR)
    assert row["violated"] == 0
    assert np.mean(np.max(gain._errors(K, V, 0.9 * row["needed"]), axis=-1) > gain.ERROR) > 0.5
