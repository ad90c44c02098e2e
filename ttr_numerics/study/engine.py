"""Running a study: what is missing is computed, stored as it comes, and a cell that fails stops no other."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from ttr_numerics.study.rows import flat
from ttr_numerics.study.store import Entry, Store
from ttr_numerics.study.study import Cell, Study
from ttr_numerics.study.workers import InProcess, Workers

__all__ = ["Summary", "estimate", "missing", "run"]

Progress = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Summary:
    """How many cells the study has, were stored before, were computed now, and failed (now or before)."""

    cells: int
    stored: int
    computed: int
    failed: int


@dataclass(frozen=True)
class _Task:
    """What travels to a worker: parameters, not arrays."""

    study: Study
    key: str
    cell: Cell


def run(study: Study, store: Store, workers: Workers | None = None, progress: Progress | None = None) -> Summary:
    """Compute and store every cell of `study` that `store` lacks, by `workers` (this process by default).

    `progress(iterable, total=...)` watches the cells. A cell that was stored as failed is tried again.
    """
    left = missing(study, store)
    tasks = [_Task(study, study.key(cell), cell) for cell in left]
    results = (workers or InProcess()).results(_computed, tasks) if tasks else iter(())
    computed, configured = 0, False
    for task, result in results if progress is None else progress(results, total=len(tasks)):
        if isinstance(result, BaseException):  # its worker was lost more often than the scheduler allows
            result = Entry(task.key, study.name, task.cell, (), _sentence(result), 0.0)
        if not configured:  # not before there is something to say it of: workers may be refused
            configured = store.configure(study.configuration) or True
        computed += store.add(result)
    entries = store.entries()
    failed = sum(entries[key].error is not None for key in map(study.key, study.cells) if key in entries)
    return Summary(len(study.cells), len(study.cells) - len(left), computed, failed)


def missing(study: Study, store: Store) -> list[Cell]:
    """The cells without a row, in the order of the grid: never computed, or failed."""
    entries = store.entries()
    keyed = [(study.key(cell), cell) for cell in study.cells]
    return [cell for key, cell in keyed if key not in entries or entries[key].error is not None]


def estimate(study: Study, store: Store) -> tuple[int, float]:
    """(cells to compute, seconds they will take one after the other).

    By the mean time of this study's stored cells; where there are none the middle cell of what is left is timed.
    """
    left = missing(study, store)
    seconds = [e.seconds for e in store.entries().values() if e.study == study.name and e.error is None]
    if left and not seconds:
        cell = left[len(left) // 2]
        seconds = [_computed(_Task(study, study.key(cell), cell)).seconds]
    return len(left), len(left) * sum(seconds) / max(len(seconds), 1)


def _computed(task: _Task) -> Entry:
    """One cell on one BLAS thread. Whatever it raises is its answer; what it prints is no answer of ours."""
    begun = time.perf_counter()
    try:
        with threadpool_limits(1), redirect_stdout(sys.stderr):
            if "torch" in sys.modules:  # its own threads are not a BLAS library's
                sys.modules["torch"].set_num_threads(1)
            found = task.study.measure(dict(task.cell), task.study.generator(task.cell))
            rows, error = flat(found, task.cell), None  # rows that cannot be stored fail here, in their own cell
    except (Exception, SystemExit) as failure:  # noqa: BLE001 (a stranger's function; the sentence is stored and shown)
        rows, error = (), _sentence(failure)
    return Entry(task.key, task.study.name, task.cell, rows, error, time.perf_counter() - begun)


def _sentence(failure: BaseException) -> str:
    said = (str(failure).splitlines() or [""])[0]
    said = said.encode(errors="replace").decode()  # a lone surrogate cannot be stored
    return f"{type(failure).__name__}: {said}" if said else type(failure).__name__
