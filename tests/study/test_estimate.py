"""How long a study will take is what its cells took, by grid."""

import time

import pytest

from tests.study import studies
from ttr_numerics.study import Grid, Store, Study, run
from ttr_numerics.study.estimate import estimate


def sleeping(cell, rng):
    """As long as the cell says."""
    time.sleep(cell["seconds"])
    return [{"slept": True}]


def failing_if_long(cell, rng):
    """Fails where it should take long."""
    if cell["seconds"] > 1:
        raise ValueError("no time")
    return sleeping(cell, rng)


QUICK, LONG = Grid({"i": tuple(range(50)), "seconds": (0.001,)}), Grid({"i": tuple(range(100)), "seconds": (0.1,)})
MIXED = Study("mixed", "?", sleeping, (QUICK, LONG))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "rows.jsonl")


def test_cells_are_timed_by_grid_and_no_longer_than_asked(store):
    estimate(MIXED, store)  # what is read once: the code
    begun = time.monotonic()
    found = estimate(MIXED, store, timing=1.0)
    assert time.monotonic() - begun < 2.0
    assert not store.path.exists()
    assert found.left == 150
    assert 100 * 0.1 <= found.seconds < 2 * 100 * 0.1  # a cell sleeps no shorter; one cell of all would say 0.15 or 15
    assert 0 < found.timed < 150


def test_stored_times_of_the_same_cells_are_taken_whatever_the_code(store):
    run(studies.SLOW, store)
    assert estimate(studies.SLOW, store).seconds == 0.0
    other = Study("slow", "", sleeping, studies.SLOW.grids, seed=2)
    found = estimate(other, store, timing=10.0)
    assert (found.left, found.timed) == (60, 0)
    assert found.seconds == sum(entry.seconds for entry in store.entries().values())


def test_of_a_grid_partly_stored_the_rest_takes_its_mean(store):
    run(MIXED.restricted({"i": (0, 1)}), store)
    found = estimate(MIXED, store, timing=10.0)
    assert (found.left, found.timed) == (146, 0)
    seconds = {key: entry.seconds for key, entry in store.entries().items()}
    quick, long = [[seconds[MIXED.key(cell)] for cell in cells[:2]] for cells in MIXED.by_grid]
    assert found.seconds == pytest.approx(48 * sum(quick) / 2 + 98 * sum(long) / 2, rel=150 * 2.0**-53)


def test_a_timed_cell_that_fails_is_said_and_so_is_nothing_known(store):
    study = Study("failing", "?", failing_if_long, (Grid({"i": (0, 1, 2), "seconds": (5,)}),))
    found = estimate(study, store, timing=1.0)
    assert (found.seconds, found.on(2), found.failure) == (None, None, "ValueError: no time")
    run(study, store)
    assert estimate(study, store).failed_before == 3


def test_no_number_of_workers_is_quicker_than_the_longest_cell(store):
    study = Study("two", "?", sleeping, (Grid({"seconds": (0.2, 0.01)}),))
    run(study, store)
    anew = Study("two", "?", sleeping, study.grids, seed=1)
    found = estimate(anew, store)
    assert found.on(1) == found.seconds
    assert found.on(8) == found.longest
