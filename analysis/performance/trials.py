"""From contenders to rows: every answer first, judged and let go; then the times, taken in turns."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from analysis.performance import clock, counts, ours
from analysis.performance.contender import Contender, error, share, whole_over_share
from analysis.performance.problems import Size, Truth, checked

__all__ = ["Makers", "Row", "Trial", "processor", "threads", "timed_rows", "tried"]

ORDER_SEED = 0  # of the turns
Row = dict[str, Any]
Makers = list[tuple[str, Callable[[], Contender]]]
COUNTED = {
    ours.REFERENCE_NAME: counts.linear_attention,
    ours.LINEAR: counts.linear_attention,
    f"exact.{ours.INNOVATION}": counts.ridge_by_innovation,
}


class Trial(NamedTuple):
    """A contender that has answered once: its cell, what the first run took, how wrong it was, its extra bytes."""

    cell: Row
    size: Size
    contender: Contender
    first: clock.Run
    error: float
    extra_bytes: int | None


def tried(
    cell: Mapping[str, Any],
    size: Size,
    makers: Makers,
    truths: Mapping[str, Truth],
    number: int,
    *,
    heads: int | None = None,
    memory: Callable[[Callable[[], Any]], int] | None = None,
) -> list[Trial | Row]:
    """A trial for each contender that can be made, judged at `number` positions; a row that says why for others."""
    own = {"device": processor(), "threads": threads()} | dict(cell) | size._asdict()
    found: list[Trial | Row] = []
    for name, make in makers:
        try:
            contender = make()
        except ImportError as missing:
            found.append(own | {"contender": name, "absent": str(missing)})
            continue
        first, o = clock.timed(contender.run)
        away = error(contender, o, truths, range(heads or size.heads), checked(size.T, number))
        del o
        found.append(Trial(own, size, contender, first, away, memory(contender.run) if memory else None))
    return found


def timed_rows(found: Sequence[Trial | Row]) -> list[Row]:
    """The rows of all trials, timed in turns, after those of the absent."""
    trials = [each for each in found if isinstance(each, Trial)]
    rng = np.random.default_rng(ORDER_SEED)
    times = clock.interleaved([trial.contender for trial in trials], [trial.first for trial in trials], rng)
    rows = [each for each in found if not isinstance(each, Trial)]
    return rows + [_row(trial, runs) for trial, runs in zip(trials, times, strict=True)]


def _row(trial: Trial, runs: Sequence[clock.Run]) -> Row:
    contender, size = trial.contender, trial.size
    factor = whole_over_share(contender, size)
    value, low, high = (factor * x for x in clock.quartiles([run.seconds for run in runs]))
    return {
        **trial.cell,
        "dtype": contender.dtype or trial.cell["dtype"],
        "contender": contender.name,
        "side": contender.side,
        "library": contender.versions,
        "routine": contender.routine,
        "sampled": contender.sampled,
        "share": share(contender, size),
        "factor": factor,
        "runs": len(runs),
        "busy": sum(run.busy for run in runs) / sum(run.seconds for run in runs),
        "seconds": value,
        "low": low,
        "high": high,
        "error": trial.error,
        "extra_bytes": trial.extra_bytes,
        **_work(trial),
    }


def _work(trial: Trial) -> Row:
    """The bytes of q, k and v; flops and compulsory bytes where a formula counts them."""
    (T, d, heads), contender = trial.size, trial.contender
    itemsize = np.dtype(trial.cell["dtype"]).itemsize
    name = f"exact.{contender.form}" if contender.form else contender.name
    count = COUNTED.get(name)
    return {
        "input_bytes": 3 * heads * T * d * itemsize,
        "flops": heads * count(T, d, d) if count else None,
        "bytes": heads * counts.compulsory_bytes(T, d, d, itemsize) if count else None,
    }


@cache
def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def threads() -> int:
    """The threads of every BLAS, as `analysis` set them before NumPy was loaded."""
    return int(os.environ["OPENBLAS_NUM_THREADS"])
