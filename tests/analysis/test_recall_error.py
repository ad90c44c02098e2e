"""The study of recall error: reference values, rows by cell, the page from stored rows, and faults its table names.

By other array libraries: torch here, CuPy where there is a device, array-api-strict to hold the code to the standard.
"""

from collections.abc import Iterator
from typing import Any

import array_api_strict
import numpy as np
import pytest

from analysis.libraries import agreements
from analysis.recall_error import STUDY, measured, readings, render, tables
from analysis.recall_error.answer import ASKED
from tests.analysis.odd_keys import ODD, written
from tests.conftest import STRICT_DEVICE
from tests.test_gpu import LIBRARIES
from ttr_numerics.report import Study, read_study, render_markdown, write_study
from ttr_numerics.study import placed

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


@pytest.mark.parametrize("name", ODD)
def test_a_page_is_made_of_odd_keys_too(rows, name, tmp_path):
    study = STUDY.with_keys(written(tmp_path, name))
    own = run([cell for cell in study.cells if "keys" in cell], study)
    section = render([row for row in rows if "keys" not in row] + own)
    assert name in section.answer
    assert any("left out" in limit for limit in section.limits) == (name == "zero keys")


def test_a_scaled_layer_misses_the_reference(monkeypatch):
    sound = readings.layers.linear_attention
    monkeypatch.setattr(readings.layers, "linear_attention", lambda q, k, v: sound(q, k, 1.1 * v))
    assert "linear attention at 0.5" in tables.reference_table(run(random_cells(0.5))).note


def test_a_delta_rule_with_a_wrong_step_misses_its_theory(monkeypatch):
    sound = readings.layers.delta_rule
    monkeypatch.setattr(readings.layers, "delta_rule", lambda q, k, v, *, beta: sound(q, k, v, beta=0.95 * beta))
    assert "delta rule, β = 1 at 1" in tables.reference_table(run(random_cells(1.0))).note


OTHERS = ["torch", pytest.param("cupy", marks=[*LIBRARIES[0].marks, pytest.mark.gpu])]
DOUBLE = 2.0**-53


def by(library: str, cells: list[Row]) -> list[Row]:
    """The rows of the same cells by another library."""
    return run([{"library": library, **cell} for cell in cells], STUDY.computed_by(library))


def beyond_rounding(cells: list[Row], found: list[Row]) -> list[Row]:
    """The rows `found` that are further from NumPy's than rounding on both sides.

    An output is a solve, or a recurrence that contracts, of n rows in d channels: off by at most δ = n d κ(K)² u of the
    values and of itself, κ² being least squares' at its worst (Wedin's theorem: Higham, Accuracy and Stability, 20.1);
    a gate of 63/64 changes κ by less than 3 up to n = 128. An error r of outputs and targets that are both off is then
    off by 4√r δ + 4δ², and by n d u r for its own sum; ends and extremes by at most twice the largest of it.
    """
    own = {tuple(row[name] for name in ASKED): (cell, row) for cell in cells for row in run([cell])}
    outside = []
    for row in found:
        cell, expected = own[tuple(row[name] for name in ASKED)]
        _, K, _ = measured._pairs(cell, STUDY.generator(cell))
        n, d = K.shape[-2:]
        delta = n * d * (3 * float(np.max(np.linalg.cond(K)))) ** 2 * DOUBLE
        r = expected["largest"]
        allowed = 2 * 2 * (4 * r**0.5 * (1 + r**0.5) * delta + 4 * delta**2 * (1 + r) + n * d * DOUBLE * r)
        names = ("value", "low", "high", "smallest", "largest")
        if not all(abs(row[name] - expected[name]) <= allowed for name in names):
            outside.append(row)
    return outside


def compared_cells() -> list[Row]:
    return random_cells(1 / 8, 2.0) + stored_cells()[:1]


@pytest.mark.parametrize("library", OTHERS)
def test_another_library_measures_the_same_to_within_rounding(library):
    found = by(library, compared_cells())
    assert len(found) == 3 * 2 * len(readings.LAYERS)
    assert {row["library"] for row in found} == {library}
    assert beyond_rounding(compared_cells(), found) == []


def test_the_code_keeps_to_the_array_standard_on_any_device(monkeypatch):
    def on_device(cell: Row, *arrays: np.ndarray) -> tuple[Any, ...]:
        return tuple(array_api_strict.asarray(x, device=STRICT_DEVICE) for x in arrays)

    monkeypatch.setattr(measured, "TRIALS", 2)
    cells = random_cells(1 / 8) + stored_cells()[:1]
    with monkeypatch.context() as patch:
        patch.setattr(measured, "placed", on_device)
        found = run(cells)
    assert beyond_rounding(cells, found) == []


def test_every_library_is_given_the_same_pairs(monkeypatch):
    given: list[Any] = []

    def noted(cell: Row, *arrays: np.ndarray) -> tuple[Any, ...]:
        given.append(arrays)
        return placed(cell, *arrays)

    monkeypatch.setattr(measured, "placed", noted)
    (cell,) = random_cells(1 / 8)
    run([cell])
    by("torch", [cell])
    assert all(np.array_equal(one, other) for one, other in zip(*given, strict=True))


def in_single(cell: Row, *arrays: np.ndarray) -> tuple[Any, ...]:
    """Arrays that have lost half of their digits on the way."""
    return placed(cell, *(x.astype(np.float32).astype(np.float64) for x in arrays))


def last_two_swapped(cell: Row, *arrays: np.ndarray) -> tuple[Any, ...]:
    """Keys of which two have changed places, values of which none."""
    K, V = arrays
    return placed(cell, np.concatenate([K[..., :-2, :], K[..., :-3:-1, :]], axis=-2), V)


@pytest.mark.parametrize("fault", [in_single, last_two_swapped])
def test_a_library_that_is_given_something_else_is_caught(fault, monkeypatch):
    cells = random_cells(1 / 8)
    monkeypatch.setattr(measured, "placed", fault)
    found = by("torch", cells)
    monkeypatch.undo()
    assert beyond_rounding(cells, found)


def test_a_library_whose_sums_are_off_is_caught(monkeypatch):
    sound = readings.layers.linear_attention
    monkeypatch.setattr(readings.layers, "linear_attention", lambda q, k, v: sound(q, k, v * (1 + 1e-9)))
    found = by("torch", random_cells(1 / 8))
    monkeypatch.undo()
    outside = beyond_rounding(random_cells(1 / 8), found)
    assert {row["layer"] for row in outside} == {readings.LA}


def of_torch(rows: list[Row]) -> list[Row]:
    """The same rows as torch would have stored them, a little off."""
    return [{"library": "torch"} | row | {"value": row["value"] * (1 + 2.0**-50)} for row in rows]


def test_a_page_of_torch_names_it_in_every_figure(rows):
    section = render(of_torch(rows))
    assert [figure.name for figure in section.figures] == [figure.name for figure in render(rows).figures]
    assert all(figure.grid.endswith("Computed by torch.") for figure in section.figures)
    assert section.answer.startswith("Computed by torch. ")
    assert not any("Computed by" in figure.grid for figure in render(rows).figures)


def test_rows_of_two_libraries_are_never_in_one_line(rows):
    mixed = [row for pair in zip(of_torch(rows), rows, strict=True) for row in pair]
    section, alone = render(mixed), (render(rows), render(of_torch(rows)))
    assert [figure.panels for figure in section.figures] == [f.panels for each in alone for f in each.figures]
    assert len({figure.name for figure in section.figures}) == len(section.figures)
    study = Study("recall_error", "why?", STUDY.seed, "command", {}, tuple(mixed))
    assert "Computed by NumPy." in render_markdown(section, study)
    assert f"Of {len(rows)} rows that torch computed too" in section.answer


def test_the_agreement_of_two_libraries_counts_what_differs(rows):
    changed = [row | {"library": "torch", "value": row["value"] + (row["layer"] == readings.LA) / 8} for row in rows]
    for line in agreements([*changed, *rows], ASKED, "metric"):
        assert line.both - line.equal == sum(row["layer"] == readings.LA for row in rows) / 2
        assert abs(line.largest - 1 / 8) <= 2.0**-44  # of a difference of numbers below 2^8
        assert f"layer = {readings.LA}" in line.where
    (line, *_) = agreements([*changed[:4], *rows[-4:]], ASKED, "metric")
    assert (line.both, line.equal, line.largest) == (0, 0, None)
