"""Stored rows as series."""

from typing import Any

from analysis.rows import Rows
from ttr_numerics.report import Measured

__all__ = ["FLOOR", "measured"]

FLOOR = "a bar that would reach 0 ends at a tenth of its mean"


def measured(label: str, rows: Rows, x: str, y: str = "value", layer: str = "") -> Measured:
    """A series of the rows of one layer over x, with the interval of y."""
    low, high = ("low", "high") if y == "value" else (f"{y}_low", f"{y}_high")
    rows = sorted(rows, key=lambda row: row[x])
    columns: list[list[Any]] = [[row[name] for row in rows] for name in (x, y, low, high)]
    # A logarithmic axis ends at the smallest mean: an interval that reaches 0 is drawn down to a tenth of its mean.
    columns[2] = [max(end, mean / 10) for mean, end in zip(columns[1], columns[2], strict=True)]
    return Measured(label, *columns, layer=layer)
