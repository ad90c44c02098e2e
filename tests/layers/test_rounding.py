"""Every layer agrees with its naive twin within the derived tolerance, on every library, dtype and batch shape."""

import pytest

from tests.conftest import Library
from tests.references import CASES, example, wrong
from ttr_numerics.arrays import like, to_numpy


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_layer_is_its_recursion_to_rounding(name: str, batch: tuple[int, ...], library: Library) -> None:
    given, truth, bound = example(name, batch, library.dtype)
    arrays = library.arrays(given)
    output = CASES[name].layer(**arrays).o
    assert not wrong(to_numpy(output), truth, bound).any()
    assert type(output) is type(arrays["v"])
    assert like(output) == like(arrays["v"])


@pytest.mark.parametrize("name", CASES)
def test_state_stays_in_the_callers_dtype_and_device(name: str, library: Library) -> None:
    given, _, _ = example(name, (), library.dtype)
    arrays = library.arrays(given)
    state = CASES[name].layer(**arrays).state
    parts = [] if state is None else list(state) if isinstance(state, tuple) else [state]
    assert all(like(part) == like(arrays["v"]) for part in parts)
