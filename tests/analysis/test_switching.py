"""The switching study: its cells, its page from stored rows, and a fault that the page itself tells."""

import json

import numpy as np

from analysis.switching import STUDY, methods, render
from analysis.switching.rate_figure import rate_exponent
from ttr_numerics.study import Grid

SWITCHED = {"part": "switching", "reading": "time and region", "d": 8, "segment": 256}
RATES = Grid({"part": ("rates",), "d": (1,), "n": (128, 256, 512)}).cells()


def rows_of(cells):
    return [cell | row for cell in cells for row in STUDY.measure(cell, STUDY.generator(cell))]


def test_a_cell_has_the_same_rows_whatever_is_measured_beside_it():
    assert all(cell in STUDY.cells for cell in [SWITCHED, *RATES])
    assert rows_of(RATES[:1]) == rows_of(RATES)[:3]


def test_the_page_is_made_from_stored_rows_and_says_no_nan():
    rows = json.loads(json.dumps(rows_of([SWITCHED, *RATES])))
    section = render(rows)
    assert section == render(rows)
    assert "nan" not in " ".join([section.answer, *(figure.finding for figure in section.figures)]).lower()
    by = {row["layer"]: row for row in rows if row.get("kind") == "summary"}
    # Linear in each region, one a segment: local fits learn in it, a global one only in the first.
    assert by[methods.LOCAL]["improvement_high"] < 1
    assert by[methods.MESA]["over_local_first_high"] < 1 < by[methods.MESA]["over_local_low"]
    fitted = rate_exponent(rows, 1, "global linear")
    assert fitted.low <= 0.1


def test_values_given_to_the_wrong_keys_are_told_by_the_page(monkeypatch):
    shuffled = {
        name: (lambda task, _run=run, **given: _run(task._replace(v=np.roll(task.v, 1, axis=-2)), **given), grid)
        for name, (run, grid) in methods.METHODS.items()
    }
    monkeypatch.setattr(methods, "METHODS", shuffled)
    rows = rows_of([SWITCHED])
    # Sound values leave the best layer 0.04.
    assert min(row["later"] for row in rows if row["kind"] == "summary") > 0.2


def test_the_study_asks_stored_keys_of_any_size(tmp_path):
    rng = np.random.default_rng(0)
    file = tmp_path / "mine.npz"
    np.savez(
        file, q=rng.standard_normal((2, 40, 8)), k=rng.standard_normal((2, 40, 8)), v=rng.standard_normal((2, 40, 8))
    )
    study = STUDY.with_keys(str(file))
    cells = [cell for cell in study.cells if cell["part"] == "stored keys"]
    rows = [cell | row for cell in cells for row in study.measure(cell, study.generator(cell))]
    assert {row["source"] for row in rows} == {"mine"}
    assert render(rows).tables[0].rows
