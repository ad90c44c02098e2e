"""Stored rows by what they say, and as series."""

from collections.abc import Sequence
from typing import Any

from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "line", "part", "sources"]

Row = dict[str, Any]
Rows = Sequence[Row]


def part(rows: Rows, name: str) -> list[Row]:
    """The rows of one part of the study."""
    return [row for row in rows if row["part"] == name]


def sources(rows: Rows) -> list[str]:
    """Display names of the stored keys, in order."""
    return list(dict.fromkeys(row["source"] for row in rows if "keys" in row))


def line(rows: Rows, label: str, x: str, y: str, scale: float = 1.0, factor: str = "") -> Measured:
    """y over x times `scale`, with the ends y_low and y_high where there are any; both times the row's `factor`."""
    own = sorted(rows, key=lambda row: row[x])

    def values(name: str) -> list[float]:
        found = [row[name] if row.get(name) is not None else row[y] for row in own]
        return [value * (row[factor] if factor else 1) for value, row in zip(found, own, strict=True)]

    return Measured(label, [row[x] * scale for row in own], values(y), values(f"{y}_low"), values(f"{y}_high"))
