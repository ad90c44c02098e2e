"""Intervals as series, and a grid in words."""

from collections.abc import Iterable

from analysis.rows import Rows, values
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Measured

__all__ = ["LOST", "count", "grid", "measured"]

LOST = "excess, multiple of the Kalman filter's"


def measured(label: str, points: Iterable[tuple[float, Interval]], layer: str = "") -> Measured:
    """A series of intervals over x."""
    found = list(points)
    ends = ([getattr(interval, end) for _, interval in found] for end in ("value", "low", "high"))
    return Measured(label, [x for x, _ in found], *ends, layer=layer)


def grid(rows: Rows, names: tuple[str, ...]) -> str:
    """Values of each parameter, and the least and largest number of draws."""
    axes = [f"{name} {', '.join(_word(value) for value in values(rows, name))}" for name in names]
    return f"{'; '.join(axes)}; {count(rows)} draws"


def count(rows: Rows) -> str:
    """The number of draws a point, or its ends."""
    trials = sorted({row["trials"] for row in rows})
    return f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
