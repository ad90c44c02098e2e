"""What a reader has to know of stored keys, from the names that the rows carry."""

from collections.abc import Sequence
from typing import Any

__all__ = ["quantised"]


def quantised(rows: Sequence[dict[str, Any]]) -> str:
    """A sentence, with a blank before it, where weights of a source were quantised; else nothing.

    >>> quantised([{"source": "a user's keys"}, {"part": "gain"}])
    ''
    """
    named = any("SmolLM2" in row.get("source", "") and "4-bit" in row["source"] for row in rows)
    return " SmolLM2's weights are 4-bit, dequantised." if named else ""
