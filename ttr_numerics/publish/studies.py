"""The rows of a study: on all cores, and a run that was stopped goes on where it was."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ttr_numerics.study import Cluster, InProcess, Kept, Store, Study, Workers, run
from ttr_numerics.study.engine import stored
from ttr_numerics.study.target import JOURNALS

__all__ = ["JOURNALS", "Unmeasured", "journal", "measured_rows", "on_cores"]


class Unmeasured(RuntimeError):  # noqa: N818 (of cells; the command itself did not err)
    """Some cells of a study failed, which the next run tries again; `rows` are those of the others."""

    def __init__(self, sentence: str, rows: list[dict[str, Any]]) -> None:
        super().__init__(sentence)
        self.rows = rows


def measured_rows(
    study: Study, progress: Callable[..., Iterable[Any]], store: Store | None = None, workers: Workers | None = None
) -> list[dict[str, Any]]:
    """The rows of every cell, each with the cell's parameters, in the order of the grid.

    From `store`, by default the study's journal in `JOURNALS`; what it lacks is measured by `workers`, by default those
    of every core. Raises Unmeasured where a cell failed.
    """
    store = journal(study.name) if store is None else store
    with nullcontext(workers) if workers is not None else on_cores() as at_work:
        run(study, store, at_work, progress)
    found = stored(study, store)
    rows = [entry.cell | row for entry in found for row in entry.rows]
    failed = [entry for entry in found if entry.error]
    if failed:
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise Unmeasured(f"{study.name}: a cell failed at {failed[0].cell}: {failed[0].error}{more}", rows)
    return rows


def journal(name: str) -> Store:
    """The journal of a study of that name."""
    JOURNALS.mkdir(exist_ok=True)
    return Store(JOURNALS / f"{name}.jsonl")


@contextmanager
def on_cores(cores: int | None = None) -> Iterator[Workers]:
    """Workers on `cores` processes of this machine, by default one a core where Dask is installed."""
    if cores == 1 or (cores is None and importlib.util.find_spec("distributed") is None):
        yield InProcess()
        return
    with Kept(Cluster(workers=cores or os.cpu_count())) as workers:
        yield workers
