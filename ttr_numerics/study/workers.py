"""Who computes the cells: this process, or the workers of a Dask cluster, one's own or one that is running.

Scheduling, restarts of dead workers and their limits are Dask's. Whoever computes, a cell has one BLAS thread.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Cluster", "InProcess", "Kept", "Workers", "WorkersError"]

CONNECTING = 10.0  # seconds a scheduler may take to answer


class WorkersError(ValueError):
    """No workers can be had, in one sentence."""


class Workers(Protocol):
    """Calls a function on many items and gives results as they come."""

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """(item, result) for every item, in any order; the result is an exception where a worker was lost."""


@dataclass(frozen=True)
class InProcess:
    """One cell after the other, here."""

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

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workers`. The processes of this machine begin here, and end with the last result."""
        with self.client() as client:
            yield from _handed_out(client, self.resources, function, items)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the workers. Raises WorkersError in one sentence where there are none."""
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise WorkersError(
                "--cores, --cluster: expected dask.distributed: pip install 'ttr-numerics[cluster]'"
            ) from error
        if self.address is None:
            options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
            options |= {"resources": dict(self.resources)} if self.resources else {}
            with LocalCluster(n_workers=self.workers, **options) as cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(self.address, timeout=CONNECTING)
        except (OSError, ValueError) as error:
            raise WorkersError(f"--cluster: expected a scheduler at {self.address}, got no answer ({error})") from error
        with client:
            _check(client, self.address, self.resources)
            yield client


class Kept:
    """The same workers for one study after the other: begun when the first cell is handed out, ended on leaving."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._open = ExitStack()
        self._client: Any = None

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def results(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """See `Workers`."""
        if self._client is None:
            self._client = self._open.enter_context(self._cluster.client())
        yield from _handed_out(self._client, self._cluster.resources, function, items)


def _handed_out(
    client: Any, resources: Mapping[str, float], function: Callable[[Any], Any], items: Iterable[Any]
) -> Iterator[tuple[Any, Any]]:
    """Results as they come. One item a worker is under way: one that ends its worker takes no other along."""
    import cloudpickle
    from distributed import as_completed

    waiting = iter(items)
    running: dict[Any, Any] = {}
    completed = as_completed()

    def submit(n: int) -> None:
        for _, item in zip(range(n), waiting, strict=False):
            packed = cloudpickle.dumps((function, item))
            future = client.submit(_called, packed, pure=False, resources=dict(resources) or None)
            running[future.key] = item
            completed.add(future)

    submit(max(1, len(client.scheduler_info(n_workers=-1)["workers"])))
    for future in completed:
        error = future.exception() if future.status == "error" else None
        yield running.pop(future.key), future.result() if error is None else error
        submit(1)


def _called(content: bytes) -> Any:
    """The call that was packed by value where it had to be: a plain pickle would name a file of another process."""
    function, item = pickle.loads(content)
    return function(item)


def _check(client: Any, address: str, resources: Mapping[str, float]) -> None:
    """Refuse a cluster without workers for such cells, and one of other versions, before any cell is handed out."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not workers:
        raise WorkersError(f"--cluster: expected workers at {address}, got a scheduler without any")
    for name, amount in resources.items():
        if all(worker["resources"].get(name, 0) < amount for worker in workers):
            wanted = f"{name}={amount:g}"
            raise WorkersError(f"--cluster: expected a worker started with --resources {wanted} at {address}, got none")
    try:
        client.get_versions(check=True)
    except ValueError as error:
        first = " ".join(str(error).split())[:300]
        raise WorkersError(f"--cluster: expected the same versions at {address} as here, got: {first}") from error
