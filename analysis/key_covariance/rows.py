"""Stored rows by what they say, as series, and in words."""

from typing import Any

import numpy as np

from analysis.rows import Rows, chosen
from analysis.words import short
from ttr_numerics.measure import Interval, mean_interval
from ttr_numerics.report import Measured

__all__ = ["Row", "at_ends", "described", "kept", "line", "mean_error", "ratio", "spelled"]

Row = dict[str, Any]


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


def kept(row: Row) -> int:
    """The tokens of a row: as many as its cell asks for, unless some had no direction."""
    return int(row["kept"] if "kept" in row else row["n"])


def described(rows: Rows, source: str, treatment: str, metric: str) -> Row | None:
    """The row of one description of the keys, None where the treatment does not apply."""
    found = chosen(rows, source=source, treatment=treatment, metric=metric)
    return found[0] if found else None


def mean_error(rows: Rows, source: str, treatment: str, layer: str, values: str) -> Interval | None:
    """Mean and standard error over heads or draws of recall errors of the part `keys`; None where there are none."""
    own = chosen(rows, source=source, treatment=treatment, values=values, metric="recall error")
    return mean_interval(np.array([row[layer] for row in own])) if own else None


def at_ends(rows: Rows) -> tuple[int, int, int]:
    """How often a number was chosen from a list for these rows, and how often its least and its greatest."""
    own = [row for row in rows if "choices" in row]
    choices, least, most = (sum(row[name] for row in own) for name in ("choices", "least", "most"))
    return choices, least, most


def ratio(row: Row) -> str:
    """A ratio of errors and its interval."""
    return f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"


def spelled(own: Rows, name: str) -> str:
    """The different values of a field, in order of size."""
    return ", ".join(short(value) for value in sorted({row[name] for row in own}))
