"""How long a study will take: by the stored times of its cells, and by timing a few where there are none.

A cell that is stored under other code took about as long as it will take; for any other stands the mean of its grid.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np

from ttr_numerics.study.engine import computed, missing
from ttr_numerics.study.store import Store
from ttr_numerics.study.study import Cell, Study

__all__ = ["TIMING", "Estimate", "estimate"]

TIMING = 20.0  # seconds after which no further cell is timed
_SEED = 1


@dataclass(frozen=True)
class Estimate:
    """Cells left, how many of them failed before, and the seconds that all take one after the other.

    `seconds` is None where nothing is known, `longest` that of one cell; `failure` is the sentence of a timed cell.
    """

    left: int
    failed_before: int
    seconds: float | None
    longest: float
    timed: int
    failure: str | None

    def on(self, workers: int) -> float | None:
        """Seconds on so many workers at once: no less than the longest cell takes."""
        return None if self.seconds is None else max(self.seconds / workers, self.longest)


def estimate(study: Study, store: Store, timing: float = 0.0) -> Estimate:
    """By what is stored; where a grid has nothing stored its cells are timed in turn, for about `timing` seconds."""
    left = missing(study, store)
    took = _stored_seconds(study, store)
    names = {study.key(cell): _name(cell) for cell in left}
    grids = [[cell for cell in cells if study.key(cell) in names] for cells in study.by_grid]
    unknown = [
        cells for cells, whole in zip(grids, study.by_grid, strict=True) if not took.keys() & set(map(_name, whole))
    ]
    timed, failure = _timed(study, unknown, timing)
    took |= timed
    seconds = [
        value for cells, whole in zip(grids, study.by_grid, strict=True) for value in _expected(cells, whole, took)
    ]
    entries = store.entries()
    return Estimate(
        len(left),
        sum(key in entries for key in names),
        sum(seconds) if took or not left else None,
        max(seconds, default=0.0),
        len(timed),
        failure,
    )


def _name(cell: Cell) -> tuple[tuple[str, object], ...]:
    """What a cell asks, whatever the content of its keys."""
    return tuple(sorted((name, repr(value)) for name, value in cell.items() if name != "content"))


def _stored_seconds(study: Study, store: Store) -> dict[object, float]:
    """That the cells of this study took whenever they were stored, under whatever code."""
    done = [entry for entry in store.entries().values() if entry.study == study.name and entry.error is None]
    return {_name(entry.cell): entry.seconds for entry in done}


def _timed(study: Study, grids: Sequence[Sequence[Cell]], timing: float) -> tuple[dict[object, float], str | None]:
    """Seconds of cells of each grid in turn, and of a failure its sentence.

    Grids of small cells first, so that many are seen; of each the middle cell by size, then any, by a fixed seed.
    """
    rng = np.random.default_rng(_SEED)
    drawn = [_middle_first([cells[i] for i in rng.permutation(len(cells))]) for cells in grids if cells]
    drawn.sort(key=lambda cells: _size(cells[0]))
    turns = [cell for cell in chain.from_iterable(zip_longest(*drawn)) if cell is not None]
    took: dict[object, float] = {}
    failures: list[str] = []
    until = time.monotonic() + timing
    for cell in turns:
        if time.monotonic() >= until or len(failures) >= _FAILURES:
            break
        entry = computed(study, cell)
        if not took and not entry.error and entry.seconds < 1.0:  # what the first one loads is loaded once
            entry = computed(study, cell)
        if entry.error is None:
            took[_name(cell)] = entry.seconds
        else:
            failures.append(entry.error)
    return took, failures[0] if failures else None


def _middle_first(cells: Sequence[Cell]) -> list[Cell]:
    middle = sorted(cells, key=_size)[len(cells) // 2]
    return [middle, *(cell for cell in cells if cell is not middle)]


def _size(cell: Cell) -> float:
    """The product of its counts: what most costs grow with."""
    return math.prod(float(min(value, 10**9)) for value in cell.values() if type(value) is int and value > 1)


_FAILURES = 3  # after which nothing more is timed


def _expected(cells: Sequence[Cell], whole: Sequence[Cell], took: Mapping[object, float]) -> list[float]:
    """Of each cell its own time, the mean of those known of its grid, or of all."""
    known = [took[_name(cell)] for cell in whole if _name(cell) in took] or list(took.values()) or [0.0]
    return [took.get(_name(cell), sum(known) / len(known)) for cell in cells]
