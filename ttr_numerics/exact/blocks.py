"""Queries against keys, some rows at a time: what replaces a matrix T by T by memory linear in T.

Query t sees the first t + ahead keys: ahead = n + 1 after n earlier keys (causal), or all keys (ahead = their number),
of these the last `window` where there is one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from ttr_numerics.arrays import Array, positions

__all__ = ["ENTRIES", "Block", "query_blocks", "spans"]

ENTRIES = 1 << 17  # numbers of the widest array of a block, all batch slices together; at least one query's


@dataclass(frozen=True)
class Block:
    """Queries `rows`, the keys that any of them sees, and `visible` (rows, keys): which of them each one sees."""

    rows: slice
    keys: slice
    visible: Array


def spans(n: int, length: int) -> list[slice]:
    """0..n-1 in consecutive slices of `length`, the last one shorter.

    >>> spans(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def query_blocks(q: Array, keys: int, ahead: int, entries: int, window: int | None = None) -> Iterator[Block]:
    """All rows of q (..., T, d) against `keys` keys, in blocks of as many queries as fit, at `entries` numbers each.

    With a window query t sees only the last `window` of its first t + ahead keys.
    """
    reach = keys + q.shape[-2] if window is None else min(window, keys)
    wide = entries if window is None else min(entries, 2 * reach)
    together = max(1, ENTRIES // max(1, wide * prod(q.shape[:-2])))
    for rows in spans(q.shape[-2], together if window is None else min(together, max(reach, 16))):
        seen = slice(max(0, rows.start + ahead - reach), min(keys, rows.stop - 1 + ahead))
        last = positions(q, rows.stop)[rows.start :, None] + ahead
        place = positions(q, seen.stop)[seen.start :]
        yield Block(rows, seen, (place < last) & (place >= last - reach))
