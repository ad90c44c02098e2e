"""Stored rows by what they say, and as series."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.rows import chosen
from ttr_numerics.measure import Interval, mean_interval
from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "described", "line", "mean_error", "part", "sources"]

Row = dict[str, Any]
Rows = Sequence[Row]


def part(rows: Rows, name: str) -> list[Row]:
    """The rows of one part of the study."""
    return [row for row in rows if row["part"] == name]


def sources(rows: Rows) -> list[str]:
    """Display names of the stored keys, in order; not the random ones that stand beside them."""
    return list(dict.fromkeys(row["source"] for row in rows if "keys" in row and "source" in row))


def line(rows: Rows, label: str, x: str, scale: float = 1.0, layer: str = "") -> Measured:
    """Rows of one layer as a series, x times `scale`."""
    own = sorted(rows, key=lambda row: row[x])
    return Measured(
        label,
        [row[x] * scale for row in own],
        [row["value"] for row in own],
        [row["value"] if row["low"] is None else row["low"] for row in own],
        [row["value"] if row["high"] is None else row["high"] for row in own],
        layer=layer or label,
    )


def described(rows: Rows, source: str, treatment: str, metric: str) -> Row | None:
    """The row of one description of the keys, None where the treatment does not apply."""
    found = chosen(rows, source=source, treatment=treatment, metric=metric)
    return found[0] if found else None


def mean_error(rows: Rows, source: str, treatment: str, layer: str, values: str) -> Interval | None:
    """Mean and standard error over heads or draws of recall errors of the part `keys`; None where there are none."""
    own = chosen(rows, source=source, treatment=treatment, values=values, metric="recall error")
    return mean_interval(np.array([row[layer] for row in own])) if own else None
