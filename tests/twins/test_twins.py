"""Every layer against its naive twin in extended precision, to the layer's own rounding; planted faults are seen."""

import numpy as np
import pytest

from tests.pairs.hostile import HOSTILE, hostile
from tests.twins import TWINS
from ttr_numerics import catalogue
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding

ROWS = pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
SIZES = {"T": 12, "d_k": 4, "d_v": 3}


def twin(row, arrays):
    """The twin's outputs for every head of a batch (2,), in float64."""
    wide = {n: x.astype(np.longdouble) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    batched = {n for n, x in wide.items() if isinstance(x, np.ndarray)}
    heads = [TWINS[row.name](**{n: x[h] if n in batched else x for n, x in wide.items()}) for h in range(2)]
    return np.stack(heads).astype(np.float64)


def test_every_layer_has_a_twin():
    assert set(TWINS) == {row.name for row in catalogue()}


@pytest.mark.parametrize("case", HOSTILE)
@ROWS
def test_the_layer_is_its_twin_to_its_own_rounding(row, case):
    arrays = hostile(row, case, **SIZES)
    run = rounding(row.layer, arrays, FORMATS["float64"])
    truth = twin(row, arrays)
    apart = np.linalg.norm(run.reference - truth, axis=-1)
    # The twin's answer was rounded once to float64.
    assert (apart <= run.bound + FORMATS["float64"].u * np.linalg.norm(truth, axis=-1)).all()


@ROWS
def test_a_value_changed_in_the_ninth_digit_is_seen(row):
    arrays = hostile(row, "unit keys", **SIZES)
    run = rounding(row.layer, arrays, FORMATS["float64"])
    arrays["v"] = arrays["v"] * (1 + 1e-9 * (np.arange(12) == 3)).reshape(-1, *(1,) * (arrays["v"].ndim - 2))
    assert (np.linalg.norm(run.reference - twin(row, arrays), axis=-1) > run.bound).any()
