"""Who computes the cells: this process, or the workers of a Dask cluster, one's own or one that is running.

Scheduling, restarts of dead workers and their limits are Dask's. Whoever computes, a cell has one BLAS thread, and its
process to itself: limits of threads, the precision of Arb and what else a library keeps are of the whole process. A
worker of several threads thus computes one cell at a time; `dask worker --nworkers N --nthreads 1` is N at a time.
"""

import logging
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import Any, Protocol

__all__ = ["Cluster", "InProcess", "Kept", "Workers", "WorkersError"]

CONNECTING = 10.0  # seconds a scheduler may take to answer


class WorkersError(ValueError):
    """No workers can be had, in one sentence."""


class Workers(Protocol):
    """Calls a function on many items and gives results as they come."""

    def begin(self) -> None:
        """Find out whether there are any, before the first item. Raises WorkersError where there are none."""

    def count(self) -> int:
        """How many items they compute at once, as far as that is known now."""

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """(item, result) for every item, in any order; the result is an exception where a worker was lost."""


@dataclass(frozen=True)
class InProcess:
    """One cell after the other, here."""

    def begin(self) -> None:
        """See `Workers`. This process is there."""

    def count(self) -> int:
        """See `Workers`."""
        return 1

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workers`."""
        for item in items:
            yield item, function(item)


@dataclass(frozen=True)
class Cluster:
    """The workers of the scheduler at `address` (tcp://host:port), or `workers` processes of this machine.

    `resources` is what a cell takes of its worker, by Dask's names: {"GPU": 1} goes to a worker that was started with
    `dask worker --resources GPU=1`, one cell at a time.
    """

    address: str | None = None
    workers: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        """See `Workers`."""
        with self.client():
            pass

    def count(self) -> int:
        """See `Workers`. Processes of this machine need not have begun."""
        if self.address is None:
            return self.workers or os.cpu_count() or 1
        with self.client() as client:
            return len(_able(client, self.resources))

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workers`. The processes of this machine begin here, and end with the last result."""
        with self.client() as client:
            yield from _handed_out(client, self.resources, function, items)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the workers. Raises WorkersError in one sentence where there are none."""
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise WorkersError(
                "--cores, --cluster: expected dask.distributed: pip install 'ttr-numerics[cluster]'"
            ) from error
        if self.address is None:
            options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
            options |= {"silence_logs": logging.ERROR}
            options |= {"resources": dict(self.resources)} if self.resources else {}
            with _left_to_us(signal.SIGINT), dask.config.set({_TRIM: None}):
                cluster = LocalCluster(n_workers=self.workers, **options)
            with cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(self.address, timeout=CONNECTING)
        except (OSError, ValueError) as error:
            raise WorkersError(f"--cluster: expected a scheduler at {self.address}, got no answer ({error})") from error
        with client:
            _check(client, self.address, self.resources)
            yield client


# Dask has workers give freed memory back at once, and every large array of a cell then faults its pages in anew: up to
# half of the processor's time in our studies. Without it the C library keeps what it will need again.
_TRIM = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"


@contextmanager
def _left_to_us(number: signal.Signals) -> Iterator[None]:
    """Processes begun inside never receive this signal, which a terminal sends to them too; we do, on leaving.

    They end when we do: what is under way in them is given up without a word.
    """
    resource_tracker.ensure_running()  # which would undo the mask, if it were begun with the first process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Kept:
    """The same workers for one study after the other: begun with the first cell or before, ended on leaving."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._open = ExitStack()
        self._client: Any = None

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def begin(self) -> None:
        """See `Workers`. They stay."""
        if self._client is None:
            self._client = self._open.enter_context(self._cluster.client())

    def count(self) -> int:
        """See `Workers`."""
        return self._cluster.count() if self._client is None else len(_able(self._client, self._cluster.resources))

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workers`."""
        self.begin()
        yield from _handed_out(self._client, self._cluster.resources, function, items)


def _handed_out(
    client: Any, resources: Mapping[str, float], function: Callable[[Any], Any], items: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    """Results as they come. One item a worker is under way: one that ends its worker takes no other along.

    Whenever a result comes, whoever has joined since is given an item too.
    """
    import cloudpickle
    from distributed import as_completed

    waiting = iter(items)
    running: dict[Any, Any] = {}
    completed = as_completed()

    def fill() -> None:
        """An item for each worker without one; where all were lost, one waits for the next that joins."""
        wanted = max(1, len(_able(client, resources))) - len(running)
        for _, item in zip(range(wanted), waiting, strict=False):
            packed = cloudpickle.dumps((function, item))
            future = client.submit(_called, packed, pure=False, resources=dict(resources) or None)
            running[future.key] = item
            completed.add(future)

    fill()
    for future in completed:
        error = future.exception() if future.status == "error" else None
        yield running.pop(future.key), future.result() if error is None else error
        fill()


def _able(client: Any, resources: Mapping[str, float]) -> list[str]:
    """The addresses of workers that have what an item takes."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [
        address
        for address, worker in workers.items()
        if all(worker["resources"].get(name, 0) >= amount for name, amount in resources.items())
    ]


_ALONE = threading.Lock()  # in a worker of several threads items take turns


def _called(content: bytes) -> Any:
    """The call that was packed by value where it had to be: a plain pickle would name a file of another process."""
    function, item = pickle.loads(content)
    with _ALONE:
        return function(item)


def _check(client: Any, address: str, resources: Mapping[str, float]) -> None:
    """Refuse a cluster without workers for such cells, and one of other versions, before any cell is handed out."""
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise WorkersError(f"--cluster: expected workers at {address}, got a scheduler without any")
    if not _able(client, resources):
        wanted = " ".join(f"{name}={amount:g}" for name, amount in resources.items())
        raise WorkersError(f"--cluster: expected a worker started with --resources {wanted} at {address}, got none")
    try:
        client.get_versions(check=True)
    except ValueError as error:
        first = " ".join(str(error).split())[:300]
        raise WorkersError(f"--cluster: expected the same versions at {address} as here, got: {first}") from error
