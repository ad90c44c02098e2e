"""Cells of the map of forms: which stored rows belong together, and their error in the units it is read in."""

from typing import Any

import numpy as np

from analysis.conditioning.forms import DEFAULT_CHUNK, INNOVATION, MOMENTS, ROOT
from analysis.rows import Rows

__all__ = ["FORMS", "at_default_chunk", "in_law", "in_roots", "over_best", "taken", "unit"]

FORMS = (INNOVATION, ROOT, MOMENTS)  # what the choice is between; the dense QR is the yardstick


def taken(rows: Rows) -> list[dict[str, Any]]:
    """The rows of forms that the automatic choice takes."""
    return [row for row in rows if row["taken"] and row["value"] is not None]


def over_best(rows: Rows, row: dict[str, Any]) -> float:
    """The error of `row` over that of the most accurate form of its cell, each at the chunk it uses."""
    cell = ("dtype", "prescribed", "ridge", "query")
    beside = [each for each in rows if each["value"] is not None and all(each[name] == row[name] for name in cell)]
    return row["value"] / min(each["value"] for each in beside if each["form"] in FORMS and at_default_chunk(each))


def at_default_chunk(row: dict[str, Any]) -> bool:
    """Whether the form runs with the chunk that it uses when called."""
    return row.get("chunk") == DEFAULT_CHUNK.get(row["form"]) or row["form"] not in DEFAULT_CHUNK


def in_roots(row: dict[str, Any]) -> float:
    """The error in multiples of √u: 1 is half of the digits."""
    return row["value"] / unit(row["dtype"]) ** 0.5


def in_law(row: dict[str, Any]) -> float:
    """The error in multiples of √κ·u for square roots, of κu for the other forms."""
    return row["value"] / (row["kappa"] ** (0.5 if row["form"] == ROOT else 1.0) * unit(row["dtype"]))


def unit(dtype: str) -> float:
    """The unit roundoff u."""
    return float(np.finfo(dtype).eps) / 2
