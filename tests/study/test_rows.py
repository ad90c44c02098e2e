"""What a cell may answer: flat rows that can be stored, beside its own parameters."""

import os
import sys

import numpy as np
import pytest

from ttr_numerics.study import Grid, Store, Study, run
from ttr_numerics.study.rows import flat


def test_scalars_of_numpy_are_pythons_and_a_generator_is_rows():
    found = flat((row for row in [{"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "n": 3}]), {"n": 3})
    assert found == ({"a": 0.5, "b": 3, "c": True, "n": 3},)
    assert [type(value) for value in found[0].values()] == [float, int, bool, int]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "rows: expected a list of dicts, got NoneType"),
        ({"a": 1}, "rows: expected a list of dicts, got dict"),
        ([1.0], "row 1: expected a dict, got float"),
        ([{}, {"a": [1, 2]}], "row 2, a: expected text, a number, a truth value or None, got list"),
        ([{"a": np.ones(2)}], "row 1, a: expected text, a number, a truth value or None, got ndarray"),
        ([{"a": "nan"}], "row 1, a: expected the number nan, got it as text, which is reserved for the number"),
        ([{1: 2.0}], "row 1, a name: expected text, got int"),
        ([{"a": "\ud800"}], "row 1, a: expected text of whole characters, got half of a pair (surrogate)"),
        ([{"n": 4}], "row 1, n: expected 3 as in the cell, got 4"),
    ],
)
def test_what_cannot_be_stored_fails_in_its_own_cell(answer, sentence):
    with pytest.raises(ValueError, match=r"^row") as refused:
        flat(answer, {"n": 3})
    assert str(refused.value) == sentence


def leaving_at_two(cell, rng):
    """Ends as a script does, raises what cannot be said, prints."""
    sys.stdout.write("a stranger's word\n")
    if cell["n"] == 2:
        sys.exit("enough")
    if cell["n"] == 3:
        raise ValueError("\ud800")
    if cell["n"] == 4:
        raise MemoryError
    return [{"process": os.getpid()}]


def test_a_cell_that_leaves_stops_no_other_and_prints_no_answer(tmp_path, capsys):
    study = Study("leaving", "?", leaving_at_two, (Grid({"n": (1, 2, 3, 4, 5)}),))
    store = Store(tmp_path / "rows.jsonl")
    summary = run(study, store)
    assert (summary.computed, summary.failed) == (5, 3)
    errors = [store.entries()[study.key(cell)].error for cell in study.cells]
    assert errors == [None, "SystemExit: enough", "ValueError: ?", "MemoryError", None]
    assert capsys.readouterr().out == ""


def test_parquet_of_texts_and_numbers_in_one_column_is_refused(tmp_path):
    study = Study("mixed", "?", mixed, (Grid({"n": (1, 2)}),))
    store = Store(tmp_path / "rows.jsonl")
    run(study, store)
    with pytest.raises(ValueError, match="--parquet: expected values of one kind in v, got numbers and texts"):
        store.write_parquet(tmp_path / "rows.parquet", [study.key(cell) for cell in study.cells])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def mixed(cell, rng):
    """A number, then a text."""
    return [{"v": 1.0 if cell["n"] == 1 else "one"}]
