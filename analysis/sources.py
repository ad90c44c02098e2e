"""What a reader has to know of stored keys, from the names that the rows carry."""

from collections.abc import Sequence
from typing import Any

__all__ = ["left_out", "quantised", "stored_names", "without_value"]


def quantised(rows: Sequence[dict[str, Any]]) -> str:
    """A sentence, with a blank before it, where weights of a source were quantised; else nothing.

    >>> quantised([{"source": "a user's keys"}, {"part": "gain"}])
    ''
    """
    named = any("SmolLM2" in row.get("source", "") and "4-bit" in row["source"] for row in rows)
    return " SmolLM2's weights are 4-bit, dequantised." if named else ""


def stored_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Display names of the stored keys, in the order of the rows; not of random ones that stand beside them.

    >>> stored_names([{"source": "random"}, {"source": "mine", "keys": "mine.npz"}])
    ['mine']
    """
    return list(dict.fromkeys(row["source"] for row in rows if "keys" in row and "source" in row))


def left_out(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """A sentence for each source with tokens that `directed` leaves out.

    >>> left_out([{"source": "mine", "left_out": 2}, {"source": "mine", "left_out": 2}])
    ('2 tokens of mine have a key or a query of norm 0 in some head and are left out: they have no direction.',)
    """
    counts = dict.fromkeys((row["source"], row["left_out"]) for row in rows if "left_out" in row)
    return tuple(
        f"{n} {'token' if n == 1 else 'tokens'} of {name} {'has' if n == 1 else 'have'} a key or a query of norm 0 in "
        f"some head and {'is' if n == 1 else 'are'} left out: {'it has' if n == 1 else 'they have'} no direction."
        for name, n in counts
    )


def without_value(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """A sentence for each source with tokens that `directed.valued` leaves out because a value of theirs is 0.

    >>> without_value([{"source": "mine", "without_value": 1}, {"source": "random"}])
    ('Of mine, tokens left out because a value of theirs is 0 in some head, which no inner product ranks first: 1.',)
    """
    counts = dict.fromkeys((row["source"], row["without_value"]) for row in rows if "without_value" in row)
    return tuple(
        f"Of {name}, tokens left out because a value of theirs is 0 in some head, which no inner product ranks first: "
        f"{n}."
        for name, n in counts
    )
