"""The measurement, as a study: memories of d × d numbers, smoothers with gain, polynomial sums, and stored keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize

from analysis.capacity.dense import dense_rows
from analysis.capacity.kernel_laws import kernel_grids
from analysis.capacity.kernels import kernel_rows
from analysis.capacity.matrices import all_rows, matrix_rows
from analysis.capacity.notions import (
    BEST_DELTA,
    DELTA,
    DENSE,
    EVERY,
    GAIN,
    GATED,
    GATED_DELTA,
    KERNELS,
    KEYS,
    LEAST,
    LINEAR,
    MATRIX,
    MESA,
    SOFTMAX,
    THEOREM,
    TOLERANCE,
)
from analysis.capacity.smoothers import WIDTH, gain_rows, softmax_rows, theorem_rows
from analysis.capacity.stored import stored_rows
from ttr_numerics import tasks
from ttr_numerics.measure import bounds
from ttr_numerics.study import Grid, Study

__all__ = ["DIMENSIONS", "STUDY", "measure_cell", "on_keys"]

DIMENSIONS = (16, 32, 64, 128, 256, 512)
WIDE, WIDEST = DIMENSIONS[-2:]
LOADS = (0.25, 0.5, 0.7, 0.87, 1.05, 1.2, 1.5, 2.2)  # 2 n ln n/d²
PER_WIDTH = (0.5, 0.75, 1.0, 1.25)  # n/d, about where values stop coming back
FORGETTING = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0)  # n/d of layers that forget
PER_SQUARE = (0.1, 0.2, 0.3, 0.4, 0.5)  # n/d²
WIDE_WIDTHS = (0.5, 1.0, 1.25)
WIDE_LOADS, WIDE_SQUARES = (0.5, 0.87, 1.2, 1.5), (0.3, 0.45)  # where a cell takes seconds: about one half
ALL_LOADS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)  # 8 n ln n/d²
NEAR_HALF = (0.2, 0.3, 0.4, 0.55, 0.75, 0.9, 1.1, 1.35, 1.7)  # of the n with half of the signs right
DENSE_DIMENSIONS = {1: (16, 32, 64, 128, 256, 512), 2: (16, 32, 64, 128), 3: (16, 24, 32, 48), 4: (16, 20, 24, 28)}
SOFTMAX_GAINS, SOFTMAX_DIMENSIONS, SOFTMAX_MOST = (0.5, 1.0, 2.0), (4, 6, 8, 10, 12, 14, 16), 15  # 2^15 keys
STORED = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The rows of one cell, by the part of the grid it is in."""
    return _MEASURE[cell["part"]](cell, rng)


_MEASURE: dict[str, Callable[[Mapping[str, Any], np.random.Generator], list[dict[str, Any]]]] = {
    MATRIX: matrix_rows,
    EVERY: all_rows,
    SOFTMAX: softmax_rows,
    GAIN: gain_rows,
    THEOREM: theorem_rows,
    DENSE: dense_rows,
    KERNELS: kernel_rows,
    KEYS: stored_rows,
}


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """The first n of T stored keys."""
    counts = tuple(n for n in STORED if n < T)
    return (Grid({"part": (KEYS,), "n": (*counts, T)}),)


def _pairs_at(load: float, d: int) -> int:
    """The n with 2 n ln n = load d²."""
    return round(optimize.brentq(lambda n: 2 * n * np.log(n) - load * d * d, 1.0, d * d + 2.0))


def _stored_pairs(layer: str, d: int) -> tuple[int, ...]:
    near = {round(x * d) for x in (PER_WIDTH if d < WIDE else WIDE_WIDTHS)}
    if layer in (DELTA, GATED, GATED_DELTA):
        return tuple(sorted(near | {round(x * d) for x in FORGETTING}))
    wide = d >= {LINEAR: WIDEST, MESA: WIDE // 2}.get(layer, WIDE)
    argmax = {_pairs_at(load, d) for load in (WIDE_LOADS if wide and layer != LINEAR else LOADS)}
    squares = () if layer == MESA or (layer != LINEAR and d == WIDEST) else WIDE_SQUARES if wide else PER_SQUARE
    return tuple(sorted(near | argmax | {round(x * d * d) for x in squares}))


def _matrix_grids() -> list[Grid]:
    grids = [
        Grid({"part": (MATRIX,), "layer": (layer,), "d": (d,), "n": _stored_pairs(layer, d)})
        for layer in (LINEAR, LEAST, BEST_DELTA, DELTA, GATED, GATED_DELTA, MESA)
        for d in DIMENSIONS
    ]
    every = [
        Grid({"part": (EVERY,), "layer": (layer,), "d": (d,), "n": tuple(_pairs_at(x / 4, d) for x in ALL_LOADS)})
        for layer in (LINEAR, LEAST)
        for d in DIMENSIONS[: -1 if layer == LINEAR else -2]
    ]
    widest = tuple(_pairs_at(x / 4, DIMENSIONS[-1]) for x in (0.8, 1.2))
    return [*grids, *every, Grid({"part": (EVERY,), "layer": (LINEAR,), "d": DIMENSIONS[-1:], "n": widest})]


def _softmax_grids() -> list[Grid]:
    grids = []
    for gain in SOFTMAX_GAINS:
        for d in SOFTMAX_DIMENSIONS:
            counts = _counts_about(
                bounds.softmax_error_half(d, gain * d, TOLERANCE), bounds.softmax_argmax_half(d, gain * d, WIDTH)
            )
            grids.append(Grid({"part": (SOFTMAX,), "gain": (gain,), "d": (d,), "n": counts}))
    grids.append(Grid({"part": (GAIN,), "d": (16, 64, 256), "n": (16, 128, 1024, 8192)}))
    return [*grids, Grid({"part": (THEOREM,), "d": (20, 24, 28, 32, 36, 40)})]


def _counts_about(*halves: float) -> tuple[int, ...]:
    """Powers of two within a factor 12 of where one half is expected, up to 2^15."""
    powers = range(1, SOFTMAX_MOST + 1)
    return tuple(2**power for power in powers if any(half / 12 <= 2**power <= 12 * half for half in halves))


def _dense_grids() -> list[Grid]:
    return [
        Grid({"part": (DENSE,), "degree": (degree,), "d": (d,), "n": _patterns(d, degree)})
        for degree, dimensions in DENSE_DIMENSIONS.items()
        for d in dimensions
    ]


def _patterns(d: int, degree: int) -> tuple[int, ...]:
    half = bounds.dense_half(d, degree)
    return tuple(sorted({max(2, round(share * half)) for share in NEAR_HALF}))


STUDY = Study(
    "capacity",
    'How many pairs does a memory hold, for each of the things "hold" can mean?',
    measure_cell,
    (*_matrix_grids(), *_softmax_grids(), *_dense_grids(), *kernel_grids()),
    20262,
    on_keys,
    tasks.SHIPPED,
    libraries=("numpy", "torch", "cupy"),
)
