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
from ttr_numerics.study import Cluster, Grid, Store, Study, WorkersError, run
from ttr_numerics.study.engine import estimate, missing

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


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and a worker started as a user starts them, in processes of their own."""
    place = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    common = ["--scheduler-file", str(place)]
    commands = [
        ["scheduler", *common, "--no-dashboard", "--host", "127.0.0.1", "--port", "0"],
        ["worker", *common, "--nthreads", "1", "--no-dashboard", "--local-directory", str(tmp_path)],
    ]
    started = []
    for command in commands:
        line = [sys.executable, "-m", "dask", *command]
        started.append(
            subprocess.Popen(line, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        until = time.monotonic() + 60
        while not place.exists() and time.monotonic() < until:
            time.sleep(0.05)
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


def test_the_estimate_uses_stored_times_and_times_one_cell_without_them(store):
    cells, seconds = estimate(studies.SLOW, store)
    assert cells == 60
    assert 3.0 <= seconds < 60
    assert not store.path.exists()
    run(studies.SLOW, store)
    assert estimate(studies.SLOW, store) == (0, 0.0)
