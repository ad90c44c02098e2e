"""The journal of a study: one JSON line a finished cell, appended whole or not at all.

A kill at any moment leaves at most one line without its end, which is not read and not built upon. Writers take turns
by a lock on the open file, which the system releases when a process dies. Of two lines of a key the first
counts, unless it is that of a failure.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
        self._read = 0  # bytes of whole lines that have been read

    def add(self, entry: Entry) -> bool:
        """Append the entry, on disk when this returns; False where its key is stored already.

        A cell that failed before may be stored once more when it has succeeded.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            stored = self.entries().get(entry.key)
            if stored is not None and (stored.error is None or entry.error is not None):
                return False
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            content = (b"\n" if torn else b"") + entry.line()
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
            return True
        finally:
            os.close(descriptor)

    def entries(self) -> dict[str, Entry]:
        """Every readable entry by its key: the first of a key, or the first that did not fail."""
        if self.path.exists():
            with self.path.open("rb") as stream:
                stream.seek(self._read)
                lines, end, _ = stream.read().rpartition(b"\n")
            self._read += len(lines) + len(end)
            for line in lines.split(b"\n"):
                entry = _read(line)
                if entry is not None and (entry.key not in self._found or self._found[entry.key].error is not None):
                    self._found[entry.key] = entry
        return self._found

    def write_parquet(self, path: Path, keys: Sequence[str]) -> int:
        """The rows of these keys, the cell's parameters first, as a Parquet file; how many rows. Needs pyarrow."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise ValueError("--parquet: expected pyarrow, which is not installed: pip install pyarrow") from error
        found = self.entries()
        rows = [{**found[key].cell, **row} for key in keys if key in found for row in found[key].rows]
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_same_columns(rows)), temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return len(rows)


def _read(line: bytes) -> Entry | None:
    """The entry of a line; None for one that was cut off."""
    try:
        found: Any = json.loads(line)
        return Entry(**{**found, "rows": tuple(found["rows"])})
    except (ValueError, TypeError, KeyError):
        return None


def _same_columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]
