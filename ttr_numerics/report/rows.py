"""Stored rows: what an analysis measured, as JSON lines that give every number back exactly.

Line 1 is a header: schema, analysis, question, seed, command, versions, threads and the number of rows. Every
further line is one flat row. Floats are written with the fewest digits that read back to the same float64.
JSON has no NaN and no infinity, and `null` would lose them: they are stored as the strings "nan", "inf" and
"-inf", which no row may therefore hold as text. There is no date, host name or path: equal measurements make
equal bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ttr_numerics.report.files import write_atomically

__all__ = ["SCHEMA", "Row", "Study", "Value", "read_study", "threads", "versions", "write_study"]

Value = str | int | float | bool | None
Row = Mapping[str, Any]

SCHEMA = 1
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_HEADER = {"schema": int, "analysis": str, "question": str, "seed": int, "command": str, "rows": int}
_MAPS = ("versions", "threads")


@dataclass(frozen=True)
class Study:
    """The rows of one analysis, with what is needed to measure them again."""

    analysis: str
    question: str
    seed: int
    command: str
    versions: Mapping[str, str]
    rows: tuple[dict[str, Any], ...]
    threads: Mapping[str, str] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """The versions that can change a measured digit: Python, libraries, BLAS, machine type."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload, index, unused-ignore]
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": _installed("scipy"),
        "ttr_numerics": _installed("ttr-numerics"),
        "BLAS": f"{blas['name']} {blas.get('version', '')}".strip(),
        "machine": platform.machine(),
    }


def threads() -> dict[str, str]:
    """Processors seen and the thread limits in the environment: they choose the order of BLAS sums."""
    limits = {name: os.environ.get(name, "unset") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return {"processors": str(os.cpu_count()), **limits}


def write_study(path: Path, study: Study) -> None:
    """Write `study` to `path` as JSON lines, atomically. `ValueError` names a row that cannot be stored."""
    header: dict[str, Any] = {name: getattr(study, name) for name in _HEADER if hasattr(study, name)}
    header |= {"schema": SCHEMA, "rows": len(study.rows)}
    header |= {name: dict(getattr(study, name)) for name in _MAPS}
    rows = [_stored_row(row, number) for number, row in enumerate(study.rows, start=1)]
    write_atomically(path, "".join(_json(line) + "\n" for line in [header, *rows]))


def read_study(path: Path) -> Study:
    """The study stored at `path`; `ValueError` says in one sentence which line is wrong, and how."""
    lines = path.read_bytes().split(b"\n")
    if lines[-1]:
        _refuse(path, len(lines), "the file breaks off inside this line")
    lines.pop()
    if not lines:
        _refuse(path, 1, "the file is empty; a header was expected")
    header = _read_header(path, _read_object(path, 1, lines[0]))
    rows = tuple(_read_row(path, number, line) for number, line in enumerate(lines[1:], start=2))
    if len(rows) != header["rows"]:
        _refuse(path, len(lines), f"the file ends after {len(rows)} rows; its header says {header['rows']}")
    kept = {name: value for name, value in header.items() if name not in ("schema", "rows")}
    return Study(**kept, rows=rows)


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "source tree"


def _json(line: Mapping[str, Any]) -> str:
    return json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _stored_row(row: Row, number: int) -> dict[str, Value]:
    for name in row:
        if not isinstance(name, str):
            raise ValueError(f"row {number}: a field name must be text, got {name!r}.")
    return {name: _stored(value, f"row {number}, field {name!r}") for name, value in row.items()}


def _stored(value: Any, where: str) -> Value:
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        return "nan" if math.isnan(plain) else "inf" if plain > 0 else "-inf"
    if isinstance(plain, str) and plain in _NOT_FINITE:
        raise ValueError(f"{where}: the text {plain!r} is reserved for the number; choose another word.")
    if plain is None or isinstance(plain, str | int | float):
        return plain
    raise ValueError(f"{where}: got {type(value).__name__}; expected text, a number, a truth value or None.")


def _read_header(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    expected = {**_HEADER, **dict.fromkeys(_MAPS, dict)}
    if header.get("schema") != SCHEMA:
        _refuse(path, 1, f"schema is {header.get('schema')!r}; this version reads schema {SCHEMA}")
    if header.keys() != expected.keys():
        _refuse(path, 1, f"header fields are {sorted(header)}; expected {sorted(expected)}")
    for name, kind in expected.items():
        if not isinstance(header[name], kind) or isinstance(header[name], bool):
            _refuse(path, 1, f"header field {name!r} is {header[name]!r}; expected {kind.__name__}")
    return header


def _read_row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    row = _read_object(path, number, line)
    for name, value in row.items():
        if isinstance(value, list | dict):
            _refuse(path, number, f"field {name!r} holds a {type(value).__name__}; rows are flat")
        if isinstance(value, str):
            row[name] = _NOT_FINITE.get(value, value)
    return row


def _read_object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    def bare(word: str) -> NoReturn:
        _refuse(path, number, f"a bare {word}, which is not JSON")

    try:
        found = json.loads(line.decode("utf-8"), parse_constant=bare)
    except UnicodeDecodeError:
        _refuse(path, number, "not UTF-8 text")
    except json.JSONDecodeError as error:
        _refuse(path, number, f"not JSON ({error.msg} at column {error.colno})")
    if not isinstance(found, dict):
        _refuse(path, number, f"a {type(found).__name__} where a JSON object was expected")
    return found


def _refuse(path: Path, line: int, what: str) -> NoReturn:
    raise ValueError(f"{path}, line {line}: {what}.") from None
