"""Queries against keys, some at a time: attention without a matrix T by T.

Query t stands after n earlier keys and its own is key n + t, the last one it sees.
"""

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from ttr_numerics.arrays import Array, positions

__all__ = ["Block", "causal", "everyone"]

ENTRIES = 1 << 18  # logits of a block, all batch slices together; at least one query's


class Block(NamedTuple):
    """Queries `rows` against the keys `keys` that some of them see; `visible` (rows, keys) says which each one sees."""

    rows: slice
    keys: slice
    visible: Array


def causal(q: Array, keys: int, window: int | None = None, width: int = 1) -> Iterator[Block]:
    """All rows of q (..., T, d) against the last `window` keys (None: all) up to their own, T of `keys` keys.

    `width` is how many numbers a layer keeps for each logit.
    """
    T, reach = q.shape[-2], keys if window is None else min(window, keys)
    place = positions(q, keys)
    for start, stop in _ranges(q, width * (keys if reach == keys else 2 * reach), min(T, max(reach, 16))):
        now = place[keys - T + start : keys - T + stop, None]
        seen = slice(max(0, keys - T + start + 1 - reach), keys - T + stop)
        visible = (place[seen] <= now) & (place[seen] > now - reach)
        yield Block(slice(start, stop), seen, visible)


def everyone(q: Array, keys: int) -> Iterator[Block]:
    """All rows of q against every key."""
    place = positions(q, max(keys, q.shape[-2]))
    for start, stop in _ranges(q, keys, q.shape[-2]):
        yield Block(slice(start, stop), slice(0, keys), place[start:stop, None] + place[:keys] >= 0)


def _ranges(q: Array, keys: int, most: int) -> Iterator[tuple[int, int]]:
    """0..T-1 in ranges of as many queries as fit beside `keys` logits each, at most `most`."""
    together = max(1, min(most, ENTRIES // max(1, keys * prod(q.shape[:-2]))))
    for start in range(0, q.shape[-2], together):
        yield start, min(start + together, q.shape[-2])
