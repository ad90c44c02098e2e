"""Analyses that take long, as studies: on all cores, and a run that was stopped goes on where it was."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ttr_numerics.study import Cluster, Store, Study, run

__all__ = ["JOURNALS", "measured_rows"]

JOURNALS = Path(".studies")


def measured_rows(study: Study, progress: Callable[..., Iterable[Any]]) -> list[dict[str, Any]]:
    """The rows of every cell, each with the cell's parameters, in the order of the grid.

    Raises RuntimeError where a cell failed to be measured.
    """
    JOURNALS.mkdir(exist_ok=True)
    store = Store(JOURNALS / f"{study.name}.jsonl")
    run(study, store, Cluster(workers=os.cpu_count()), progress)
    entries = store.entries()
    found = [entries[study.key(cell)] for cell in study.cells]
    failed = [entry for entry in found if entry.error]
    if failed:
        raise RuntimeError(f"{len(failed)} cells were not measured, first {failed[0].cell}: {failed[0].error}")
    return [entry.cell | row for entry in found for row in entry.rows]
