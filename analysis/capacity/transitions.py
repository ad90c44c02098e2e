"""Rows of the study by what they are of, and the number of pairs at which a share falls through one half."""

from typing import Any

import numpy as np

from analysis import rows as stored
from analysis.rows import Rows
from ttr_numerics.measure import pairs_at_half
from ttr_numerics.report import notation

__all__ = ["Rows", "chosen", "half", "halves", "number", "values", "with_interval"]


def chosen(rows: Rows, **wanted: Any) -> list[dict[str, Any]]:
    """The rows with these values, in the order of n."""
    return sorted(stored.chosen(rows, **wanted), key=lambda row: row.get("n", 0))


def values(rows: Rows, name: str) -> list[Any]:
    """The different values of one name, in order."""
    return sorted({row[name] for row in rows if name in row})


def half(rows: Rows) -> float | None:
    """The n at which the share is ½; None where no two rows have it between them. See `measure.pairs_at_half`."""
    found = pairs_at_half(np.array([row["n"] for row in rows]), np.array([row["value"] for row in rows]))
    return None if found is None else found.value


def halves(rows: Rows, name: str = "d") -> tuple[np.ndarray, np.ndarray]:
    """The values of `name` at which `half` exists, and it."""
    found = [(value, half(chosen(rows, **{name: value}))) for value in values(rows, name)]
    kept = [(value, n) for value, n in found if n is not None]
    return np.array([value for value, _ in kept], dtype=float), np.array([n for _, n in kept], dtype=float)


def number(x: float | None) -> str:
    """A number for a sentence, or "none"."""
    return "none" if x is None else notation.number(x)


def with_interval(interval: Any) -> str:
    """value (low to high), three digits; the value alone where two points left no degree of freedom."""
    if not np.isfinite(interval.low):
        return notation.number(interval.value)
    return "{} ({} to {})".format(*map(notation.number, interval[:3]))
