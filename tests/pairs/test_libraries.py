"""Both sides of every pairing on every array library: the same answer to rounding, where and as the input was."""

import numpy as np
import pytest

from tests.pairs.hostile import hostile
from ttr_numerics import catalogue
from ttr_numerics.arrays import to_numpy
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

ROWS = pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
SIZES = {"T": 9, "d_k": 4, "d_v": 3}


def agrees(function, given, library):
    moved = library.arrays(given)
    out = function(**moved)
    assert type(out.o) is type(moved["q"])
    assert out.o.dtype == moved["q"].dtype
    assert getattr(out.o, "device", None) == getattr(moved["q"], "device", None)
    run = rounding(function, given, FORMATS[library.dtype])
    apart = np.linalg.norm(to_numpy(out.o).astype(np.float64) - run.reference, axis=-1)
    return bool((apart <= run.bound).all())


@ROWS
def test_the_layer_runs_alike_everywhere(row, library):
    assert agrees(row.layer, hostile(row, "unit keys", **SIZES), library)


@ROWS
def test_its_exact_partner_runs_alike_everywhere(row, full_precision):
    assert agrees(row.partner, hostile(row, "unit keys", **SIZES), full_precision)


@ROWS
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_any_batch_axes_are_carried(row, batch):
    given = row.example(np.random.default_rng(0), batch, T=5, d_k=4, d_v=3)
    together = row.layer(**given).o
    assert together.shape == (*batch, 5, given["v"].shape[-1])
    heads = {n for n, x in given.items() if isinstance(x, np.ndarray)}
    bound = rounding(row.layer, given, FORMATS["float64"]).bound
    for index in np.ndindex(batch):
        alone = row.layer(**{n: x[index] if n in heads else x for n, x in given.items()}).o
        assert (np.linalg.norm(alone - together[index], axis=-1) <= 2 * bound[index]).all()


@ROWS
def test_an_empty_sequence_gives_an_empty_output(row):
    given = row.example(np.random.default_rng(0), (2,), T=0, d_k=4, d_v=3)
    assert row.layer(**given).o.shape == (2, 0, given["v"].shape[-1])
