"""Rows by what they say, series of them, and how far a mean is from a number."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "beyond", "distinct", "half_width", "line", "of_part", "ratio", "where"]

Row = dict[str, Any]
Rows = Sequence[Row]


def of_part(rows: Rows, part: str) -> list[Row]:
    """The rows of one part of the study."""
    return [row for row in rows if row["part"] == part]


def where(rows: Rows, **wanted: Any) -> list[Row]:
    """The rows with these values."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def distinct(rows: Rows, name: str) -> list[Any]:
    """The values of `name`, sorted."""
    return sorted({row[name] for row in rows})


def line(rows: Rows, label: str, x: Callable[[Row], float], layer: str = "") -> Measured:
    """The accuracy of the rows over x, with their intervals."""
    own = sorted(rows, key=x)
    y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
    return Measured(label, [x(row) for row in own], y, low, high, layer=layer)


def half_width(row: Row) -> float:
    """Half of a row's interval."""
    return float(row["high"] - row["low"]) / 2


def beyond(differences: np.ndarray, errors: np.ndarray, trials: Sequence[int]) -> tuple[int, float]:
    """How many means lie beyond three standard errors, and how many would by chance (Student's t)."""
    expected = float(np.sum(2 * stats.t.sf(3.0, np.asarray(trials) - 1)))
    return int(np.count_nonzero(np.abs(differences) > 3 * errors)), expected


def ratio(rows: Rows, by: str) -> float:
    """Correlation ratio η²: the share of the variance of the accuracies that lies between the groups of `by`."""
    values = np.array([row["value"] for row in rows])
    groups = [values[[row[by] == level for row in rows]] for level in distinct(rows, by)]
    spread = float(np.sum((values - values.mean()) ** 2))
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
    return float(between) / spread if spread > 0 else float("nan")
