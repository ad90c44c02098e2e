"""The measurement, as a study: n pairs of random keys, or the first n tokens of stored ones, in every layer.

Pairs are drawn or read by NumPy; layers, solutions and errors are computed in the library of the cell.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.recall_error.readings import Reading, readings
from ttr_numerics import tasks
from ttr_numerics.arrays import Array, namespace, to_numpy
from ttr_numerics.measure import mean_interval, relative_squared_error, unit_rows
from ttr_numerics.study import Grid, Study, placed

__all__ = ["DIMENSION", "DISTANCE", "LOADS", "RANDOM", "RECALL", "STUDY", "measure_cell", "on_keys"]

DIMENSION = 64
LOADS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
TRIALS = 40
REAL_PAIRS = (8, 16, 32, 64, 128, 256)

RANDOM = "random unit keys"
RECALL, DISTANCE = "recall error", "distance to target"


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Both metrics of every layer, over draws or heads."""
    said, K, V = _pairs(cell, rng)
    K, V = placed(cell, K, V)
    return [
        said | {"d": K.shape[-1], "layer": layer, "metric": metric} | _spread(values)
        for layer, reading in readings(K, V, random="keys" not in cell).items()
        for metric, values in _errors(reading, V).items()
    ]


def _errors(reading: Reading, V: Array) -> dict[str, np.ndarray]:
    """Both relative squared errors of each draw or head."""
    xp = namespace(V)
    distance = xp.sum((reading.o - reading.target) ** 2, axis=(-2, -1)) / xp.sum(V**2, axis=(-2, -1))
    return {RECALL: to_numpy(relative_squared_error(reading.o, V)), DISTANCE: to_numpy(distance)}


def _spread(values: np.ndarray) -> dict[str, float | None]:
    """Mean and standard error, which one value has none of, and the extremes."""
    ends = {"low": None, "high": None} if len(values) == 1 else {}
    extremes = {"smallest": float(np.min(values)), "largest": float(np.max(values))}
    return mean_interval(values)._asdict() | ends | extremes


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """The first n of T stored tokens, for n up to all of them."""
    return (Grid({"n": tuple(n for n in REAL_PAIRS if n <= T) or (T,)}),)


def _pairs(cell: dict[str, Any], rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """What a row says of the source, unit keys and values."""
    if "keys" in cell:
        (found, left_out), n = directed(cell["keys"]), cell["n"]
        return {"source": found.name} | left_out, unit_rows(found.k[:, :n]), found.v[:, :n].astype(float)
    K, V = (tasks.isotropic_unit_keys(rng, (TRIALS, cell["n"], cell["d"])) for _ in range(2))
    return {"source": RANDOM}, K, V


STUDY = Study(
    "recall_error",
    "How far is each layer from the regression it stands for, as more associations are stored?",
    measure_cell,
    (Grid({"n": tuple(round(load * DIMENSION) for load in LOADS), "d": (DIMENSION,)}),),
    20260,
    on_keys,
    tasks.SHIPPED,
    libraries=("numpy", "torch", "cupy"),
)
