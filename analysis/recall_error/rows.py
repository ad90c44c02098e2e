"""Stored rows by what they say, and as series."""

from typing import Any

from analysis.recall_error.measured import RECALL
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "by_metric", "error_of", "line", "most_pairs", "recall", "row_of"]

Row = dict[str, Any]


def by_metric(rows: Rows, metric: str) -> list[Row]:
    """The rows of one metric."""
    return chosen(rows, metric=metric)


def recall(rows: Rows, source: str) -> list[Row]:
    """Recall errors on one source."""
    return chosen(rows, metric=RECALL, source=source)


def row_of(rows: Rows, source: str, layer: str, n: int) -> Row:
    """The recall error of a layer after n pairs."""
    return chosen(rows, metric=RECALL, source=source, layer=layer, n=n)[0]


def most_pairs(rows: Rows, source: str) -> int:
    """The largest n of a source."""
    return int(max(values(chosen(rows, source=source), "n")))


def error_of(row: Row) -> float | None:
    """The standard error, None where there was one head."""
    return None if row["high"] is None else row["high"] - row["value"]


def line(rows: Rows, source: str, layer: str, metric: str = RECALL) -> Measured:
    """A layer's values over the load."""
    own = chosen(rows, metric=metric, source=source, layer=layer)
    low, high = ([row["value"] if row[end] is None else row[end] for row in own] for end in ("low", "high"))
    return Measured(layer, [row["n"] / row["d"] for row in own], [row["value"] for row in own], low, high, layer=layer)
