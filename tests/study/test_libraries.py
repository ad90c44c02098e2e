"""Cells by another array library, and on the workers that have what it takes."""

import pytest
from distributed import LocalCluster

from tests.study import studies
from ttr_numerics.study import Cluster, Store, WorkersError, run


def test_a_library_is_a_parameter_of_the_cell_and_its_arrays_are_given(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    run(studies.LIBRARY, store)
    run(studies.LIBRARY.computed_by("torch"), store)
    found = [(e.cell.get("library"), e.rows[0]["module"]) for e in store.entries().values()]
    assert found == [(None, "numpy")] * 4 + [("torch", "torch")] * 4


def test_a_library_that_the_study_does_not_compute_with_is_refused():
    with pytest.raises(ValueError, match=r"^--library: expected one of numpy, torch for library, got cupy$"):
        studies.LIBRARY.computed_by("cupy")


def test_cells_that_take_a_gpu_go_to_workers_that_declare_one(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    options = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1", "processes": True}
    with LocalCluster(n_workers=1, **options) as cluster:
        wanting = Cluster(cluster.scheduler_address, resources={"GPU": 1.0})
        with pytest.raises(WorkersError, match=r"expected a worker started with --resources GPU=1 at tcp://"):
            run(studies.LIBRARY, store, wanting)
        cluster.new_spec = {**cluster.new_spec, "options": {**cluster.new_spec["options"], "resources": {"GPU": 1.0}}}
        cluster.scale(2)
        cluster.wait_for_workers(2)
        run(studies.LIBRARY, store, wanting)
    assert len({e.rows[0]["process"] for e in store.entries().values()}) == 1
