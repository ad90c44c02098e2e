"""The switching study: its cells, its page from stored rows, and a fault that the page itself tells."""

import json

import numpy as np
import pytest

from analysis.drift.edges import edges, said
from analysis.drift.excess import words
from analysis.switching import STUDY, methods, rates, render
from analysis.switching.exponents import rate_exponent
from analysis.switching.measured import on_keys
from analysis.switching.rate_figure import rate_figure
from ttr_numerics import exact
from ttr_numerics.study import Grid

SWITCHED = {"part": "switching", "reading": "time and region", "d": 8, "segment": 256}
RATES = Grid({"part": ("rates",), "d": (1,), "n": (128, 256, 512)}).cells()


def rows_of(cells):
    return [cell | row for cell in cells for row in STUDY.measure(cell, STUDY.generator(cell))]


def test_a_cell_has_the_same_rows_whatever_is_measured_beside_it():
    assert all(cell in STUDY.cells for cell in [SWITCHED, *RATES])
    assert rows_of(RATES[:1]) == rows_of(RATES)[:4]


@pytest.fixture
def no_quadratic(monkeypatch):
    """At d = 8 the local quadratic fit takes most of the time."""
    monkeypatch.setattr(methods, "LARGEST_QUADRATIC", 4)


@pytest.mark.usefixtures("no_quadratic")
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


@pytest.mark.usefixtures("no_quadratic")
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
    assert on_keys(1, 8) == ()
    cells = [cell for cell in study.cells if cell["part"] == "stored keys"]
    rows = [cell | row for cell in cells for row in study.measure(cell, study.generator(cell))]
    assert {row["source"] for row in rows} == {"mine"}
    assert render(rows).tables[0].rows


def test_a_grid_that_ends_too_early_is_told_by_the_page():
    grids = {"rule": (None, {"beta": (0.5, 1.0), "memory": (1.0, float("inf"))})}
    choices = [words({"beta": beta, "memory": memory}) for beta in (0.5, 0.7) for memory in (8.0, float("inf"))]
    assert choices[1] == "beta 0.5, memory ∞"
    (found,) = edges([("rule", choice) for choice in choices], grids, methods.NATURAL_ENDS)
    assert (found.choices, found.open, found.natural) == (4, 2, 1)  # at 0.5 with either memory; 0.7 without forgetting
    assert "rule 2 of 4. Not counted is 1 choice at natural ends" in said([found], methods.NATURAL_ENDS)


def test_natural_ends_are_ends_of_the_grids():
    ends = {
        words({name: end})
        for _, grid in methods.METHODS.values()
        for name, tried in grid.items()
        for end in (min(tried), max(tried))
    }
    assert methods.NATURAL_ENDS.keys() <= ends
    assert all(len(tried) > 2 for _, grid in methods.METHODS.values() for tried in grid.values())


def test_keys_that_are_zero_leave_nothing_to_scale(tmp_path):
    file = tmp_path / "zero.npz"
    zero = np.zeros((1, 12, 4))
    np.savez(file, q=zero, k=zero, v=zero + 1.0)
    cells = [cell for cell in STUDY.with_keys(str(file)).cells if cell["part"] == "stored keys"]
    assert all(np.isfinite(row["value"]) for cell in cells for row in STUDY.measure(cell, STUDY.generator(cell)))


def test_a_local_fit_that_misses_its_theory_is_told_by_the_page(monkeypatch):
    sound = rows_of(RATES)
    local = [row for row in sound if row["units"] is not None]
    assert {row["layer"] for row in local} == set(rates.DEGREES)
    assert all(rates.BANDWIDTHS[0] < row["units"] < rates.BANDWIDTHS[-1] for row in local)
    assert "in 9 of 9 cases" in rate_figure(sound).finding

    fit = exact.local_polynomial
    monkeypatch.setattr(exact, "local_polynomial", lambda *given, degree, **named: fit(*given, degree=0, **named))
    assert "in 9 of 9 cases" not in rate_figure(rows_of(RATES)).finding
