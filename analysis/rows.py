"""Which stored rows belong together: those with given values, and the values there are."""

from collections.abc import Sequence
from typing import Any

__all__ = ["Rows", "chosen", "values"]

Rows = Sequence[dict[str, Any]]


def chosen(rows: Rows, **wanted: Any) -> list[dict[str, Any]]:
    """The rows that have every value wanted.

    >>> chosen([{"d": 1, "n": 2}, {"d": 3}], d=1)
    [{'d': 1, 'n': 2}]
    """
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def values(rows: Rows, name: str) -> list[Any]:
    """The different values of one field, in the order of the rows.

    >>> values([{"d": 3}, {"d": 1}, {"d": 3}], "d")
    [3, 1]
    """
    return list(dict.fromkeys(row[name] for row in rows))
