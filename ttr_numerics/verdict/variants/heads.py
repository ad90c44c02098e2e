"""Variants of heads: each query head given the keys and values of another."""

from collections.abc import Iterator

import numpy as np

from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants.moved import other_heads
from ttr_numerics.verdict.variants.variant import Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["HEADS"]


def _tiled(evidence: Evidence) -> Iterator[Change]:
    """Heads that serve n neighbouring queries each, laid out again and again: query head i reads i mod (H/n)."""
    axis = evidence.at - 1
    if axis < 0:
        return
    H = evidence.o.shape[axis]
    shared = _shared(evidence.arrays["k"], axis)
    if not 1 < shared < H:
        return
    order = np.tile(np.arange(0, H, shared), shared)
    arrays = {
        n: x.take(order, axis) if n in evidence.timed and _shared(x, axis) == shared else x
        for n, x in evidence.arrays.items()
    }
    yield Change(arrays, detail=f"{shared} query heads a key head")


def _shared(x: np.ndarray, axis: int) -> int:
    """The largest n for which every run of n neighbouring heads is equal."""
    heads = np.moveaxis(x, axis, 0)
    for n in range(len(heads), 1, -1):
        if len(heads) % n == 0:
            runs = heads.reshape(len(heads) // n, n, *heads.shape[1:])
            if np.array_equal(runs, np.broadcast_to(runs[:, :1], runs.shape)):
                return n
    return 1


def _rows_of_other_heads(evidence: Evidence) -> Iterator[Change]:
    for name in ("q", "k", "v"):
        for x, words in other_heads(evidence, evidence.arrays[name]):
            yield Change(evidence.changed(**{name: x}), name, words)


HEADS = (
    Variant("heads.tiled", "key and value heads tiled, not repeated ({detail})", _tiled),
    Variant("{name}.other_head", "{name} of another head ({detail})", _rows_of_other_heads, Word.WRONG),
)
