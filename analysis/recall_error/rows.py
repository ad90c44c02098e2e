"""Stored rows by what they say, and as series."""

from collections.abc import Sequence
from typing import Any

from analysis.recall_error.measured import RECALL
from ttr_numerics.report import Measured

__all__ = ["Row", "Rows", "by_metric", "error_of", "line", "recall", "row_of"]

Row = dict[str, Any]
Rows = Sequence[Row]


def by_metric(rows: Rows, metric: str) -> list[Row]:
    """The rows of one metric."""
    return [row for row in rows if row["metric"] == metric]


def recall(rows: Rows, source: str) -> list[Row]:
    """Recall errors on one source."""
    return [row for row in by_metric(rows, RECALL) if row["source"] == source]


def row_of(rows: Rows, source: str, layer: str, n: int) -> Row:
    """The recall error of a layer after n pairs."""
    return next(row for row in recall(rows, source) if row["layer"] == layer and row["n"] == n)


def error_of(row: Row) -> float | None:
    """The standard error, None where there was one head."""
    return None if row["high"] is None else row["high"] - row["value"]


def line(rows: Rows, source: str, layer: str, metric: str = RECALL) -> Measured:
    """A layer's values over the load."""
    own = [row for row in by_metric(rows, metric) if row["source"] == source and row["layer"] == layer]
    low, high = ([row["value"] if row[end] is None else row[end] for row in own] for end in ("low", "high"))
    return Measured(layer, [row["n"] / row["d"] for row in own], [row["value"] for row in own], low, high, layer=layer)
