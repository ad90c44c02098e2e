"""Which stored rows belong together."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Rows", "chosen", "values"]

Rows = Sequence[dict[str, Any]]


def chosen(rows: Rows, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that have every value wanted."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def values(rows: Rows, name: str) -> list[Any]:
    """The different values of one field, in the order of the rows."""
    return list(dict.fromkeys(row[name] for row in rows))
