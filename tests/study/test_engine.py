"""Running a grid: the same rows whoever computes them, nothing twice, nothing lost by a kill, no failure contagious."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import Client

from tests.study import studies
from ttr_numerics.study import Cluster, Grid, InProcess, Kept, Store, Study, WorkersError, run
from ttr_numerics.study.engine import missing

ROOT = Path(__file__).parents[2]


def rows(store):
    return {key: entry.rows for key, entry in store.entries().items()}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "rows.jsonl")


def test_a_second_run_computes_only_what_is_missing(store):
    first = run(studies.PRODUCTS, store)
    assert (first.cells, first.stored, first.computed, first.failed) == (6, 0, 6, 0)
    wider = Study("products", "", studies.products, (Grid({"n": (1, 2, 3, 4), "d": (4, 8)}),), seed=7)
    again = run(wider, store)
    assert (again.stored, again.computed) == (6, 2)


def test_another_seed_is_another_cell(store):
    run(studies.PRODUCTS, store)
    other = Study("products", "", studies.products, (studies.GRID,), seed=8)
    assert len(missing(other, store)) == 6


def test_a_failing_cell_is_stored_with_its_sentence_and_tried_again(store, monkeypatch):
    summary = run(studies.FAILING, store)
    assert (summary.computed, summary.failed) == (3, 1)
    errors = [e.error for e in store.entries().values() if e.error]
    assert errors == ["ValueError: no such matrix"]
    monkeypatch.setenv("TTR_TEST_BROKEN", "mended")
    summary = run(studies.FAILING, store)
    assert (summary.stored, summary.computed, summary.failed) == (2, 1, 0)


def test_every_cell_runs_on_one_blas_thread(store):
    assert run(Study("threads", "", blas_threads, (Grid({"i": (0,)}),)), store).failed == 0
    (entry,) = store.entries().values()
    assert entry.rows[0]["threads"] == 1


def blas_threads(cell, rng):
    from threadpoolctl import threadpool_info

    return [{"threads": max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")}]


def test_rows_are_the_same_to_the_bit_on_a_local_cluster(store, tmp_path):
    run(studies.PRODUCTS, store)
    others = Store(tmp_path / "others.jsonl")
    summary = run(studies.PRODUCTS, others, Cluster(workers=2))
    assert summary.computed == 6
    assert rows(others) == rows(store)


def test_a_cell_that_kills_its_workers_is_a_failed_cell(store):
    summary = run(studies.DYING, store, Cluster(workers=1))
    assert (summary.computed, summary.failed) == (3, 1)
    (error,) = [e.error for e in store.entries().values() if e.error]
    assert error.startswith("KilledWorker")


def _started(folder, place, command, *options):
    line = [sys.executable, "-m", "dask", command, "--scheduler-file", str(place), "--no-dashboard", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(line, env=environment, cwd=folder, **nowhere)


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and a worker started as a user starts them, in processes of their own."""
    place = tmp_path / "scheduler.json"
    started = [_started(tmp_path, place, "scheduler", "--host", "127.0.0.1", "--port", "0")]
    until = time.monotonic() + 60
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.05)
    started.append(_started(tmp_path, place, "worker", "--nthreads", "1", "--local-directory", str(tmp_path)))
    address = json.loads(place.read_text())["address"]
    with Client(address) as client:
        client.wait_for_workers(1, timeout=60)
    yield address
    for process in reversed(started):
        process.terminate()
        process.wait()


def test_rows_are_the_same_to_the_bit_on_a_cluster_by_its_address(store, tmp_path, scheduler):
    run(studies.PRODUCTS, store)
    others = Store(tmp_path / "others.jsonl")
    assert run(studies.PRODUCTS, others, Cluster(scheduler)).computed == 6
    assert rows(others) == rows(store)


def test_an_address_where_nobody_answers_is_one_sentence(store, monkeypatch):
    monkeypatch.setattr("ttr_numerics.study.workers.CONNECTING", 0.5)
    with pytest.raises(WorkersError, match=r"^--cluster: expected a scheduler at tcp://127.0.0.1:9, got no answer"):
        run(studies.PRODUCTS, store, Cluster("tcp://127.0.0.1:9"))


def _start(store):
    code = (
        "from pathlib import Path; from tests.study import studies; from ttr_numerics.study import Store, run; "
        f"run(studies.SLOW, Store(Path({str(store.path)!r})))"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def test_kill_9_loses_at_most_the_cell_in_flight(store):
    process = _start(store)
    while len(store.entries()) < 10:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = rows(Store(store.path))
    assert 10 <= len(kept) < 60
    summary = run(studies.SLOW, store)
    assert summary.computed == 60 - len(kept)
    assert rows(store).items() >= kept.items()


def test_two_runs_at_once_store_every_cell_once(store):
    processes = [_start(store) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    lines = [json.loads(line) for line in store.path.read_text().splitlines()]
    keys = [line["key"] for line in lines if "key" in line]
    assert len(keys) == len(set(keys)) == 60


def test_of_two_runs_at_once_neither_computes_or_hides_what_the_other_stored(store):
    other = Store(store.path)

    def progress(results, total):
        for n, result in enumerate(results):
            if n == 0:  # before the first is stored, another run stores the first three
                three = Study("slow", "", studies.slow, (Grid({"i": (0, 1, 2)}),), seed=1)
                assert run(three, other).computed == 3
            yield result

    ten = Study("slow", "", studies.slow, (Grid({"i": tuple(range(10))}),), seed=1)
    summary = run(ten, store, progress=progress)
    assert (summary.stored, summary.computed, summary.meanwhile, summary.failed) == (0, 7, 3, 0)
    assert len(store.entries()) == 10


def test_a_cell_that_fails_again_is_nobody_elses(store):
    assert run(studies.FAILING, store).failed == 1
    again = run(studies.FAILING, store)
    assert (again.stored, again.computed, again.meanwhile, again.failed) == (2, 0, 0, 1)


def test_a_cell_that_loads_torch_has_one_thread_like_any_other(tmp_path):
    code = (
        "from pathlib import Path; from tests.study import studies; from ttr_numerics.study import Store, run\n"
        f"run(studies.TORCH, Store(Path({str(tmp_path / 'rows.jsonl')!r})))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    found = [entry.rows[0] for entry in Store(tmp_path / "rows.jsonl").entries().values()]
    assert found == [{"loaded": False, "threads": 1}, {"loaded": True, "threads": 1}]


def test_a_worker_that_joins_late_is_given_cells_and_one_of_two_threads_has_one_at_a_time(store, scheduler, tmp_path):
    late = []

    def progress(results, total):
        for result in results:
            if not late:
                place = tmp_path / "scheduler.json"
                late.append(_started(tmp_path, place, "worker", "--nthreads", "2", "--local-directory", str(tmp_path)))
                with Client(scheduler) as client:
                    client.wait_for_workers(2, timeout=60)
            yield result

    try:
        assert run(studies.ALONE, store, Cluster(scheduler), progress).failed == 0
    finally:
        late[0].terminate()
        late[0].wait()
    found = [entry.rows[0] for entry in store.entries().values()]
    assert len({row["process"] for row in found}) == 2
    assert {row["beside"] for row in found} == {0}


def test_workers_know_how_many_cells_they_compute_at_once(scheduler):
    assert (InProcess().count(), Cluster(workers=3).count(), Cluster(scheduler).count()) == (1, 3, 1)
    with Kept(Cluster(scheduler)) as workers:
        workers.begin()
        assert workers.count() == 1


def test_workers_of_this_machine_keep_the_memory_that_they_free(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)  # Dask's own default of 64 KiB halves their speed
    ((_, kept),) = Cluster(workers=1).results(os.getenv, ["MALLOC_TRIM_THRESHOLD_"])
    assert kept is None
