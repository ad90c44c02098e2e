"""The measurement, as a study: random keys by covariance and mean, rotation, tracking, stored keys."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.key_covariance import recall, rotation, tracking
from analysis.key_covariance.memories import TREATMENT
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

__all__ = ["STUDY", "measure_cell", "on_keys"]

Row = dict[str, Any]
CONDITIONS = (1.0, 10.0, 1e2, 1e3, 1e4, 1e6)
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
PAIRS, DIMENSION = 256, 64

Measure = Callable[[Row, np.random.Generator], list[Row]]
PARTS: dict[str, tuple[Measure, tuple[str, ...]]] = {  # and the axes that it asks for
    "spectrum": (recall.spectra, ("family", "cond", "d")),
    "mean key": (recall.mean_key, ("share", "d")),
    "keys": (recall.keys, ("treatment",)),
    "halves": (recall.halves, ("keys",)),
    "rotary": (rotation.rotated, ("n",)),
    "unseen": (tracking.unseen, ("noise", "cond", "d")),
    "steady step": (tracking.steady_step, ("noise", "beta")),
    "steady forgetting": (tracking.steady_forgetting, ("noise", "decay")),
}
GRIDS = (
    Grid({"part": ("spectrum",), "family": ("log-uniform",), "cond": CONDITIONS, "n": (PAIRS,), "d": (DIMENSION,)}),
    Grid(
        {
            "part": ("spectrum",),
            "family": ("power law", "two levels"),
            "cond": (1e2, 1e4, 1e6),
            "n": (PAIRS,),
            "d": (DIMENSION,),
        }
    ),
    Grid({"part": ("mean key",), "share": SHARES, "n": (PAIRS,), "d": (DIMENSION,)}),
    Grid({"part": ("keys",), "treatment": tuple(TREATMENT), "n": (PAIRS,), "d": (DIMENSION,)}),
    Grid({"part": ("rotary",), "share": (0.0, 0.7), "n": (32, 128), "d": (DIMENSION,)}),
    Grid(
        {
            "part": ("unseen",),
            "n": (16, 64, 256, 1024),
            "noise": (0.0, 0.1, 1.0),
            "cond": (1.0, 1e4, 1e6),
            "d": (32,),
        }
    ),
    Grid({"part": ("steady step",), "beta": (0.05, 0.1, 0.2, 0.5, 1.0), "noise": (1.0,), "d": (16,)}),
    Grid({"part": ("steady forgetting",), "decay": (0.999, 0.995, 0.99, 0.98, 0.95, 0.9), "noise": (1.0,), "d": (16,)}),
)


def measure_cell(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The rows of one cell; none where a grid restricted to another part lacks what that part asks for."""
    measure, axes = PARTS[cell["part"]]
    if cell["part"] == "rotary" and "keys" not in cell:
        axes = (*axes, "share")
    return measure(cell, rng) if all(name in cell for name in axes) else []


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """What is asked of T stored keys of d channels."""
    n = min(T, PAIRS)
    return (
        Grid({"part": ("keys",), "treatment": tuple(TREATMENT), "n": (n,)}),
        Grid({"part": ("halves",), "n": (n,)}),
        Grid({"part": ("rotary",), "n": (max(1, n // 2),)}),
    )


STUDY = Study(
    "key_covariance",
    "How does the covariance of the keys decide what a memory recalls, and how far are real keys from isotropic?",
    measure_cell,
    GRIDS,
    20263,
    on_keys,
    tasks.SHIPPED,
)
