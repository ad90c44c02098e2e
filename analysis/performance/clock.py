"""Seconds, bytes and the limits of the machine.

Contenders take turns: in every round each that still owes runs is timed once, in an order drawn anew, so that a
disturbance of the machine hits all alike and nobody always follows the same neighbour. A value is the median, low and
high are the quartiles. The first run is not counted, it loads what is missing and gives the answer that is judged; only
where a run is so long that it is done once, it is.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.performance.contender import Contender

__all__ = [
    "ONCE",
    "RUNS",
    "SHARE_RUNS",
    "bandwidth",
    "extra_memory",
    "interleaved",
    "peak_flop_rate",
    "quartiles",
    "timed",
]

RUNS = ((0.03, 25), (0.3, 9), (1.5, 5), (4.0, 3))  # (seconds at most, runs); longer ones once
ONCE, SHARE_RUNS = 1, 3
_WORDS = 1 << 23  # of the copied array: 64 MiB of float64, twice the largest cache seen here


class Run(NamedTuple):
    """Seconds on the clock, and seconds of them that this process had a processor."""

    seconds: float
    busy: float


def timed(run: Callable[[], Any]) -> tuple[Run, Any]:
    """What one run took, and what it returned."""
    started, worked = time.perf_counter(), time.process_time()
    result = run()
    return Run(time.perf_counter() - started, time.process_time() - worked), result


def interleaved(contenders: Sequence[Contender], first: Sequence[Run], rng: np.random.Generator) -> list[list[Run]]:
    """Every run, contender by contender; `first` are the first ones, not counted."""
    owed = [_runs(run.seconds, c.sampled) for c, run in zip(contenders, first, strict=True)]
    found: list[list[Run]] = [[run] if n == ONCE else [] for run, n in zip(first, owed, strict=True)]
    gc.collect()
    rounds = max(owed, default=0)
    for number in range(rounds):
        for i in rng.permutation(len(contenders)):
            if owed[i] > ONCE and number * owed[i] // rounds == len(found[i]):  # its runs are spread over all rounds
                found[i].append(timed(contenders[i].run)[0])
    return found


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile.

    >>> quartiles([3.0, 1.0, 2.0, 5.0, 4.0])
    (3.0, 2.0, 4.0)
    """
    low, middle, high = (float(x) for x in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return middle, low, high


def extra_memory(run: Callable[[], Any]) -> int:
    """Bytes of arrays alive at once beyond those that were there before, the outputs among them.

    NumPy reports every array to `tracemalloc`; LAPACK's workspace of one small matrix is not seen.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def peak_flop_rate(dtype: str, order: int = 1024, runs: int = 9) -> float:
    """Flops a second of the fastest of several products of two square matrices: 2 n³ flops each."""
    x = np.ones((order, order), dtype)
    out = np.empty_like(x)
    return 2 * order**3 / min(timed(lambda: np.matmul(x, x, out=out))[0].seconds for _ in range(runs))


def bandwidth(runs: int = 9) -> float:
    """Bytes a second of the fastest of several copies of a large array, read and written bytes both counted."""
    x = np.ones(_WORDS)
    out = np.ones_like(x)
    return 2 * x.nbytes / min(timed(lambda: np.copyto(out, x))[0].seconds for _ in range(runs))


def _runs(seconds: float, sampled: bool) -> int:
    runs = next((runs for limit, runs in RUNS if seconds <= limit), ONCE)
    return min(runs, SHARE_RUNS) if sampled else runs
