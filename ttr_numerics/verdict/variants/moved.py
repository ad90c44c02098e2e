"""An array moved in time, or from head to head."""

from collections.abc import Iterator

import numpy as np

from ttr_numerics.verdict.evidence import Evidence, along_time

__all__ = ["other_heads", "shifted"]


def shifted(evidence: Evidence, name: str, tokens: int) -> Iterator[tuple[np.ndarray, str]]:
    """An array late by `tokens`, 1 or -1: what enters is zero, a repetition, or what left at the other end."""
    at, whole = evidence.at, evidence.whole
    x = whole.arrays[name]
    if whole.T < 2:
        return
    kept = along_time(x, at, slice(0, -1) if tokens > 0 else slice(1, None))
    lost, edge = (slice(-1, None), slice(0, 1)) if tokens > 0 else (slice(0, 1), slice(-1, None))
    fills = (
        (np.zeros_like(along_time(x, at, edge)), ""),
        (along_time(x, at, edge), ", the one at the end repeated"),
        (along_time(x, at, lost), ", in a ring"),
    )
    for fill, words in fills:
        moved = np.concatenate([fill, kept] if tokens > 0 else [kept, fill], axis=at)
        yield along_time(moved, at, slice(0, evidence.T)), words


def other_heads(evidence: Evidence, x: np.ndarray) -> Iterator[tuple[np.ndarray, str]]:
    """x with each head's rows those of the next, of the one before, of the first: heads and batch axes alike."""
    for axis in range(evidence.at):
        if x.shape[axis] < 2:
            continue
        yield np.roll(x, -1, axis=axis), "the next one's"
        if x.shape[axis] > 2:
            yield np.roll(x, 1, axis=axis), "the one before"
        yield np.broadcast_to(x.take([0], axis), x.shape), "the first one's for all"
