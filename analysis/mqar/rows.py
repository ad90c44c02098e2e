"""Series of rows, how far their means lie from one another, and what explains them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy import stats

from analysis.chance import counted
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "apart", "chosen", "distinct", "explained", "line"]

Row = dict[str, Any]


def distinct(rows: Rows, name: str) -> list[Any]:
    """The values of `name`, sorted."""
    return sorted(values(rows, name))


def line(rows: Rows, label: str, x: Callable[[Row], float], layer: str = "") -> Measured:
    """The accuracy of the rows over x, with their intervals."""
    own = sorted(rows, key=x)
    y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
    return Measured(label, [x(row) for row in own], y, low, high, layer=layer)


def apart(pairs: Iterable[tuple[Row, Row]]) -> tuple[int, int, float]:
    """Of pairs of accuracies: how many differ by more than three standard errors, of how many, how many by chance."""
    found = [(_in_errors(one, other), int(min(one["trials"], other["trials"]))) for one, other in pairs]
    _, _, total, beyond, chance, _ = counted("", "", found)
    return beyond, total, chance


def _in_errors(one: Row, other: Row) -> float:
    """The difference over its standard error, half of a 95 % interval by the normal law."""
    mine, its = (float(row["high"] - row["low"]) / 2 for row in (one, other))
    error = float(np.hypot(mine, its)) / float(stats.norm.ppf(0.975))
    return float(one["value"] - other["value"]) / error


def explained(rows: Rows, by: str) -> float:
    """Correlation ratio η²: the share of the variance of the accuracies that lies between the groups of `by`."""
    accuracies = np.array([row["value"] for row in rows])
    groups = [accuracies[[row[by] == level for row in rows]] for level in distinct(rows, by)]
    spread = float(np.sum((accuracies - accuracies.mean()) ** 2))
    between = sum(len(group) * (group.mean() - accuracies.mean()) ** 2 for group in groups)
    return float(between) / spread if spread > 0 else float("nan")
