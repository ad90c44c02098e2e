"""The measurement, as a study: which cells there are, and who measures them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.mqar import lists, passes, sequences
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

__all__ = ["STUDY", "measure_cell"]

Row = dict[str, Any]

PARTS: dict[str, Callable[[dict[str, Any], np.random.Generator], list[Row]]] = {
    "sizes": sequences.by_sizes,
    "load": sequences.by_load,
    "list": lists.by_pairs,
    "reassigned": lists.by_assignments,
    "passes": passes.by_passes,
    "kaczmarz": passes.kaczmarz,
    "stored": lists.on_stored_keys,
}


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[Row]:
    """The rows of one cell: what is measured is named by its part."""
    return PARTS[cell["part"]](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """The first T/8, T/4, T/2 and T pairs, shown once and eight times."""
    pairs = tuple(dict.fromkeys(max(1, T // part) for part in (8, 4, 2, 1)))
    return (Grid({"part": ("stored",), "passes": (1, passes.PASSES), "pairs": pairs}),)


def _tokens(part: str, **axes: Sequence[Any]) -> Grid:
    every = {"part": (part,), "filler": ("neutral", "random"), "convolution": ("keys shifted",)}
    return Grid(every | axes)


STUDY = Study(
    "mqar",
    "What does associative recall ask of a layer: with a short convolution or without, on long sequences, of keys "
    "that are given new values, and of lists that are shown again?",
    measure_cell,
    (
        _tokens("sizes", d=(16, 32, 64, 128, 256), length=(256,), pairs=(4, 16, 64)),
        _tokens("sizes", filler=("neutral",), d=(16, 32, 64), length=(256,), pairs=(8, 32)),
        _tokens("sizes", d=(32,), length=(64, 128, 512, 1024), pairs=(4, 16)),
        _tokens("sizes", convolution=("none",), d=(64,), length=(256,), pairs=(4, 16, 64)),
        _tokens("load", filler=("random",), d=(32, 64, 128), length=(256, 1024), pairs=(16, 32, 64)),
        Grid({"part": ("list",), "d": (16, 32, 64, 128, 256), "pairs": (4, 8, 16, 32, 64, 128, 256)}),
        Grid({"part": ("reassigned",), "d": (64,), "assignments": (1, 2, 4, 8), "between": (0, 4, 16, 64)}),
        Grid({"part": ("passes",), "d": (64,), "pairs": (16, 32, 64, 128)}),
        Grid({"part": ("kaczmarz",), "d": (64,), "order": ("drawn", "shuffled"), "pairs": (16, 32, 48)}),
    ),
    20275,
    on_keys,
    tasks.SHIPPED,
)
