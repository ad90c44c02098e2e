"""Running a study: what is missing is computed, stored as it comes, and a cell that fails stops no other."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from ttr_numerics.study.failure import sentence
from ttr_numerics.study.rows import flat
from ttr_numerics.study.store import Entry, Store
from ttr_numerics.study.study import Cell, Study
from ttr_numerics.study.workers import InProcess, Workers

__all__ = ["Summary", "computed", "missing", "run", "stored"]

Progress = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Summary:
    """How many cells the study has, were stored before, computed now, by another run meanwhile, and have failed."""

    cells: int
    stored: int
    computed: int
    meanwhile: int
    failed: int


@dataclass(frozen=True)
class _Task:
    """What travels to a worker: parameters, not arrays."""

    study: Study
    key: str
    cell: Cell


def run(study: Study, store: Store, workers: Workers | None = None, progress: Progress | None = None) -> Summary:
    """Compute and store every cell of `study` that `store` lacks, by `workers` (this process by default).

    `progress(iterable, total=...)` watches the cells. A cell that was stored as failed is tried again; one that another
    run has stored meanwhile is not begun.
    """
    before = set(store.entries())
    left = [_Task(study, study.key(cell), cell) for cell in missing(study, store)]
    results = (workers or InProcess()).results(_computed, _still(left, store)) if left else iter(())
    ours, configured = set(), False
    for task, result in results if progress is None else progress(results, total=len(left)):
        if isinstance(result, BaseException):  # its worker was lost more often than the scheduler allows
            result = Entry(task.key, study.name, task.cell, (), sentence(result), 0.0)
        if not configured:  # not before there is something to say it of: workers may be refused
            configured = store.configure(study.configuration) or True
        if store.add(result):
            ours.add(task.key)
    entries = store.entries()
    failed = {task.key for task in left if task.key in entries and entries[task.key].error is not None}
    others = {task.key for task in left if task.key in entries} - ours - (failed & before)
    return Summary(len(study.cells), len(study.cells) - len(left), len(ours), len(others), len(failed))


def _still(tasks: Iterable[_Task], store: Store) -> Iterator[_Task]:
    """Those that no other run has stored by the time they are handed out."""
    for task in tasks:
        stored = store.entries().get(task.key)
        if stored is None or stored.error is not None:
            yield task


def missing(study: Study, store: Store) -> list[Cell]:
    """The cells without a row, in the order of the grid: never computed, or failed."""
    entries = store.entries()
    keyed = [(study.key(cell), cell) for cell in study.cells]
    return [cell for key, cell in keyed if key not in entries or entries[key].error is not None]


def stored(study: Study, store: Store) -> list[Entry]:
    """The entries of the study's cells, in the order of the grid; of those that failed too."""
    entries = store.entries()
    return [entries[key] for key in map(study.key, study.cells) if key in entries]


def computed(study: Study, cell: Cell) -> Entry:
    """One cell, here and now."""
    return _computed(_Task(study, study.key(cell), cell))


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    """For PyTorch, whose threads are not a BLAS library's: where it is loaded, and where the cell itself loads it."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
        yield
        return
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        os.environ.pop(_THREADS)
        os.environ |= {} if before is None else {_THREADS: before}


_THREADS = "OMP_NUM_THREADS"


def _computed(task: _Task) -> Entry:
    """One cell on one BLAS thread. Whatever it raises is its answer; what it prints is no answer of ours."""
    begun = time.perf_counter()
    try:
        with threadpool_limits(1), _one_openmp_thread(), redirect_stdout(sys.stderr):
            found = task.study.measure(dict(task.cell), task.study.generator(task.cell))
            rows, error = flat(found, task.cell), None  # rows that cannot be stored fail here, in their own cell
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # noqa: BLE001 (a stranger's function; the sentence is stored and shown)
        rows, error = (), sentence(failure)
    return Entry(task.key, task.study.name, task.cell, rows, error, time.perf_counter() - begun)
