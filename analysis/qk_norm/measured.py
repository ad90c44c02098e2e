"""The measurement: keys whose norms spread, the gain of unit keys, and stored keys."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.qk_norm import gain, spread
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

__all__ = ["STUDY", "measure_cell"]

SEED = 20273
SPREADS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
PARTS: dict[str, Callable[[dict[str, Any], np.random.Generator], list[dict[str, Any]]]] = {
    "spread": spread.spread_rows,
    "gain": gain.gain_rows,
    "needed": gain.needed_rows,
    "keys": spread.key_rows,
}


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The rows of one cell; those of stored keys are of the part "keys"."""
    return PARTS[cell["part"]](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """All tokens of every head."""
    return (Grid({"part": ("keys",)}),)


def _spread(task: str, n: int, d: int, gains: tuple[float, ...]) -> Grid:
    axes: dict[str, tuple[str | float, ...]] = {
        "part": ("spread",),
        "task": (task,),
        "n": (n,),
        "d": (d,),
        "gain": gains,
        "spread": SPREADS,
    }
    return Grid(axes)


STUDY = Study(
    "qk_norm",
    "What do the norms of keys do to softmax attention, how far do the sample weights they stand for explain it, and "
    "what gain does attention need once keys are normalised?",
    measure_cell,
    (
        _spread(spread.RECALL, 128, 64, (8.0, 32.0)),
        _spread("regression", 256, 4, (4.0, 16.0)),
        Grid({"part": ("gain",), "n": (16, 64, 256, 1024), "d": (64,)}),
        Grid({"part": ("needed",), "n": (16, 64, 256), "d": (16, 64, 256)}),
    ),
    SEED,
    on_keys,
    tasks.SHIPPED,
)
