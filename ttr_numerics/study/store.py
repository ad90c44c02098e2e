"""The journal of a study: one JSON line a finished cell, appended whole or not at all.

A kill at any moment leaves at most one line without its end, which is not read and not built upon. Writers take turns
by a lock on the open file, which the system releases when a process dies. Of two lines of a key the first
counts, unless it is that of a failure. Lines between them say under which configuration they were measured.
"""

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ttr_numerics.study.configuration import Configuration
from ttr_numerics.study.failure import sentence

__all__ = ["Entry", "Store"]


@dataclass(frozen=True)
class Entry:
    """A finished cell: its rows, or the sentence of its failure where `error` is not None."""

    key: str
    study: str
    cell: dict[str, Any]
    rows: tuple[dict[str, Any], ...]
    error: str | None
    seconds: float

    def line(self) -> bytes:
        """As one line of the journal."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=True).encode() + b"\n"


class Store:
    """The journal at `path`, which need not exist yet. Reads what others appended before it appends itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, Entry] = {}
        self._configurations: list[Configuration] = []
        self._read = 0  # bytes of whole lines that have been read
        self._damaged = 0

    def add(self, entry: Entry) -> bool:
        """Append the entry, on disk when this returns; False where its key is stored already.

        A cell that failed before may be stored once more when it has succeeded.
        """

        def wanted() -> bool:
            stored = self.entries().get(entry.key)
            return stored is None or (stored.error is not None and entry.error is None)

        return self._append(entry.line(), wanted)

    def configure(self, configuration: Configuration) -> bool:
        """Append the configuration; False where it is stored already."""
        line = json.dumps({"configuration": asdict(configuration)}, ensure_ascii=False).encode() + b"\n"
        return self._append(line, lambda: configuration not in self.configurations(configuration.study))

    def damaged(self) -> int:
        """How many lines cannot be read: they were cut off by a kill, or are of something else than a journal."""
        self._catch_up()
        return self._damaged

    def entries(self) -> dict[str, Entry]:
        """Every readable entry by its key: the first of a key, or the first that did not fail."""
        self._catch_up()
        return self._found

    def configurations(self, study: str) -> list[Configuration]:
        """Under which the rows of `study` were measured, in the order of their first rows; none in an old journal."""
        self._catch_up()
        return [each for each in self._configurations if each.study == study]

    def set_aside(self) -> Path:
        """Rename the journal to the first free name NAME.1, NAME.2, ..., and begin again; the new name."""
        n = 1
        while (kept := self.path.with_name(f"{self.path.name}.{n}")).exists():
            n += 1
        os.rename(self.path, kept)
        self._found, self._configurations, self._read, self._damaged = {}, [], 0, 0
        return kept

    def _append(self, line: bytes, wanted: Callable[[], bool]) -> bool:
        """Append the line while no other writes, if it is `wanted` then. An OSError names the journal."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not wanted():
                return False
            _write(descriptor, line)
            return True
        except OSError as error:  # no space left: what was written of the line is not read
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        finally:
            os.close(descriptor)

    def _catch_up(self) -> None:
        """Read the whole lines that were appended since. Raises ValueError for a file that is no journal."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            beginning = stream.read(len(_BEGINNINGS[0]))
            stream.seek(self._read)
            lines, end, _ = stream.read().rpartition(b"\n")
        self._read += len(lines) + len(end)
        for line in lines.split(b"\n"):
            found = _read(line)
            self._damaged += found is None and bool(line)
            if isinstance(found, Configuration):
                self._configurations.append(found)
            elif found is not None and (found.key not in self._found or self._found[found.key].error is not None):
                self._found[found.key] = found
        alike = any(beginning.startswith(whole[: len(beginning)]) for whole in _BEGINNINGS)
        if not alike and not self._found and not self._configurations:
            raise ValueError(f"--store: expected a journal of rows, got {self.path}, which holds something else")

    def write_parquet(self, path: Path, keys: Sequence[str]) -> int:
        """The rows of these keys, the cell's parameters first, as a Parquet file; how many rows. Needs pyarrow."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ValueError("--parquet: expected pyarrow, which is not installed: pip install pyarrow") from error
        found = self.entries()
        rows = [{**found[key].cell, **row} for key in keys if key in found for row in found[key].rows]
        _check_columns(rows)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_same_columns(rows)), temporary)
            os.replace(temporary, path)
        except (pyarrow.ArrowInvalid, OverflowError) as error:
            said = sentence(error)
            raise ValueError(f"--parquet: expected what a column can hold, got {said} (all rows are stored)") from error
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)
        return len(rows)


_BEGINNINGS = (b'{"key"', b'{"conf')  # of a line of a journal


def _write(descriptor: int, line: bytes) -> None:
    """The line, on disk when this returns, after the end of one that was cut off."""
    size = os.fstat(descriptor).st_size
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    content = (b"\n" if torn else b"") + line
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)


def _read(line: bytes) -> Entry | Configuration | None:
    """What a line holds; None for one that was cut off, or holds something else."""
    try:
        found: Any = json.loads(line)
        if "configuration" in found:
            return Configuration(**found["configuration"])
        entry = Entry(**{**found, "rows": tuple(found["rows"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    whole = isinstance(entry.key, str) and isinstance(entry.cell, dict) and isinstance(entry.seconds, int | float)
    return entry if whole and all(isinstance(row, dict) for row in entry.rows) else None


def _check_columns(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a column of more than one kind of value, which no column of Parquet can be."""
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, set()).add(_KINDS.get(type(value), "numbers"))
    for name, found in kinds.items():
        if len(found) > 1:
            there = " and ".join(sorted(found))
            raise ValueError(f"--parquet: expected values of one kind in {name}, got {there} (all rows are stored)")


_KINDS: dict[type, str] = {str: "texts", bool: "truth values"}


def _same_columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]
