"""The measurement, as a study: n pairs of random keys, or the first n tokens of stored ones, in every layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.recall_error.readings import readings
from ttr_numerics import tasks
from ttr_numerics.measure import mean_interval, relative_squared_error, unit_rows
from ttr_numerics.study import Grid, Study

__all__ = ["DIMENSION", "DISTANCE", "LOADS", "RANDOM", "RECALL", "STUDY", "measure_cell", "on_keys"]

DIMENSION = 64
LOADS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
TRIALS = 40
REAL_PAIRS = (8, 16, 32, 64, 128, 256)

RANDOM = "random unit keys"
RECALL, DISTANCE = "recall error", "distance to target"


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Both metrics of every layer, over draws or heads."""
    source, K, V = _pairs(cell, rng)
    rows = []
    for layer, (o, target) in readings(K, V, random=source == RANDOM).items():
        distance = np.sum((o - target) ** 2, axis=(-2, -1)) / np.sum(V**2, axis=(-2, -1))
        for metric, values in ((RECALL, relative_squared_error(o, V)), (DISTANCE, distance)):
            found = mean_interval(values)._asdict()
            if len(values) == 1:
                found |= {"low": None, "high": None}
            extremes = {"smallest": float(np.min(values)), "largest": float(np.max(values))}
            rows.append({"source": source, "d": K.shape[-1], "layer": layer, "metric": metric} | found | extremes)
    return rows


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """The first n of T stored tokens, for n up to all of them."""
    return (Grid({"n": tuple(n for n in REAL_PAIRS if n <= T) or (T,)}),)


def _pairs(cell: dict[str, Any], rng: np.random.Generator) -> tuple[str, np.ndarray, np.ndarray]:
    if "keys" in cell:
        found, n = tasks.stored(cell["keys"]), cell["n"]
        return found.name, unit_rows(found.k[:, :n]), found.v[:, :n].astype(float)
    K, V = (tasks.isotropic_unit_keys(rng, (TRIALS, cell["n"], cell["d"])) for _ in range(2))
    return RANDOM, K, V


STUDY = Study(
    "recall_error",
    "How far is each layer from the regression it stands for, as more associations are stored?",
    measure_cell,
    (Grid({"n": tuple(round(load * DIMENSION) for load in LOADS), "d": (DIMENSION,)}),),
    20260,
    on_keys,
    tasks.SHIPPED,
)
