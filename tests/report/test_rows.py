"""Rows come back as they went in, or the file is refused with the line that is wrong."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttr_numerics.report import Study, read_study, threads, versions, write_atomically, write_study


@pytest.fixture
def stored(tmp_path: Path, study: Study) -> Path:
    path = tmp_path / "recall.jsonl"
    write_study(path, study)
    return path


def with_rows(study: Study, *rows: dict[str, object]) -> Study:
    return dataclasses.replace(study, rows=rows)


@given(st.floats())
def test_every_float_comes_back_bit_for_bit_and_every_nan_as_nan(
    tmp_path_factory: pytest.TempPathFactory, value: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "one.jsonl"
    write_study(path, Study("a", "?", 0, "c", {}, ({"value": value},)))
    (row,) = read_study(path).rows
    same = struct.pack("<d", row["value"]) == struct.pack("<d", value)
    assert same or (math.isnan(value) and math.isnan(row["value"]))


def test_a_study_comes_back_equal_with_text_truth_values_integers_and_none(tmp_path: Path, study: Study) -> None:
    study = with_rows(study, {"layer": "κ·u", "within": True, "n": 2**60, "worst": None}, {"low": -math.inf})
    write_study(tmp_path / "s.jsonl", study)
    assert read_study(tmp_path / "s.jsonl") == study


def test_array_scalars_are_stored_as_the_numbers_they_are(tmp_path: Path, study: Study) -> None:
    row = {"a": np.float32(0.1), "b": np.int64(3), "c": np.bool_(True), "d": np.float64("inf")}
    write_study(tmp_path / "s.jsonl", with_rows(study, row))
    assert read_study(tmp_path / "s.jsonl").rows == ({"a": float(np.float32(0.1)), "b": 3, "c": True, "d": math.inf},)


def test_equal_studies_make_equal_bytes_whatever_the_order_of_fields(tmp_path: Path, study: Study) -> None:
    turned = with_rows(study, *(dict(reversed(row.items())) for row in study.rows))
    for name, each in (("a", study), ("b", turned)):
        write_study(tmp_path / name, each)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_line_is_legal_json(stored: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    for line in stored.read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=refuse)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", [1.0], {"a": 1}, 1j, np.zeros(2)])
def test_what_would_not_come_back_is_refused_with_its_row_and_field(
    tmp_path: Path, study: Study, value: object
) -> None:
    with pytest.raises(ValueError, match=r"row 2, field 'x': "):
        write_study(tmp_path / "s.jsonl", with_rows(study, {"x": 1}, {"x": value}))
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_refused_with_its_line_number(stored: Path) -> None:
    whole = stored.read_bytes()
    for length in range(len(whole)):
        stored.write_bytes(whole[:length])
        line = whole[:length].count(b"\n") + 1
        with pytest.raises(ValueError, match=rf"recall\.jsonl, line ({line}|{line - 1}): "):
            read_study(stored)


@pytest.mark.parametrize(
    ("line", "text", "complaint"),
    [
        (1, '{"schema": 2}', "line 1: schema is 2; this version reads schema 1"),
        (1, '{"hello": "world"}', "line 1: schema is None"),
        (1, '{"schema": 1}', "line 1: header fields are"),
        (2, "not json", r"line 2: not JSON \(Expecting value at column 1\)"),
        (2, "[1, 2]", "line 2: a list where a JSON object was expected"),
        (3, '{"error": NaN}', "line 3: a bare NaN, which is not JSON"),
        (3, '{"error": [1]}', "line 3: field 'error' holds a list; rows are flat"),
        (3, "\udcff", "line 3: not UTF-8 text"),
    ],
)
def test_a_planted_corrupt_line_is_caught_and_named(stored: Path, line: int, text: str, complaint: str) -> None:
    lines = stored.read_bytes().splitlines()
    lines[line - 1] = text.encode("utf-8", "surrogateescape")
    stored.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ValueError, match=complaint):
        read_study(stored)


@pytest.mark.parametrize(("name", "value"), [("seed", "7"), ("seed", True), ("versions", []), ("rows", None)])
def test_a_header_field_of_the_wrong_kind_is_refused(stored: Path, name: str, value: object) -> None:
    first, rest = stored.read_text(encoding="utf-8").split("\n", 1)
    stored.write_text(json.dumps(json.loads(first) | {name: value}) + "\n" + rest, encoding="utf-8")
    with pytest.raises(ValueError, match=f"line 1: header field '{name}'"):
        read_study(stored)


def test_a_row_too_few_or_too_many_is_noticed(stored: Path) -> None:
    lines = stored.read_bytes().splitlines(keepends=True)
    for wrong in (lines[:-1], [*lines, lines[-1]]):
        stored.write_bytes(b"".join(wrong))
        with pytest.raises(ValueError, match="its header says 2"):
            read_study(stored)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udcff")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_atomically(folder, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "old.txt"]


def test_the_environment_names_versions_and_threads_but_no_path_and_no_host() -> None:
    found = versions() | threads()
    assert {"python", "numpy", "scipy", "BLAS", "machine", "ttr_numerics", "processors"} <= found.keys()
    assert not any("/" in value or "\\" in value for value in found.values())
