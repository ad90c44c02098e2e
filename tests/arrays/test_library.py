"""Which library an array belongs to, and new arrays where and as it is."""

import array_api_strict
import numpy as np
import pytest
import sympy
import torch

from tests.conftest import STRICT_DEVICE, Library
from ttr_numerics import arrays
from ttr_numerics.arrays import symbols
from ttr_numerics.precision import FORMATS


def test_new_arrays_are_where_and_as_the_old_one_is(library: Library) -> None:
    x = library.asarray(np.ones((2, 3)))
    made = [
        arrays.zeros(x, (4, 2)),
        arrays.eye(x, 3),
        arrays.diagonal_matrix(x),
        arrays.concat([x, x], -2),
        arrays.row_maximum(x),
    ]
    assert all(type(y) is type(x) and arrays.like(y) == arrays.like(x) for y in made)
    assert [tuple(y.shape) for y in made] == [(4, 2), (3, 3), (2, 3, 3), (4, 3), (2, 1)]


def test_positions_are_integers_on_the_same_device(library: Library) -> None:
    x = library.asarray(np.ones(2))
    place = arrays.positions(x, 4)
    assert arrays.namespace(x).isdtype(place.dtype, "integral")
    assert arrays.like(place).get("device") == arrays.like(x).get("device")
    assert np.array_equal(arrays.to_numpy(place), np.arange(4))


def test_the_way_to_numpy_keeps_every_value(library: Library) -> None:
    values = np.array([0.0, -0.0, 1.5, -2.0, 2.0**-14, np.inf])
    assert np.array_equal(np.asarray(arrays.to_numpy(library.asarray(values)), np.float64), values)


def test_a_tensor_that_needs_gradients_still_converts() -> None:
    assert np.array_equal(arrays.to_numpy(torch.ones(2, requires_grad=True)), np.ones(2))


def test_unit_roundoff_is_that_of_the_format(library: Library) -> None:
    assert arrays.unit_roundoff(library.asarray(np.ones(1))) == FORMATS[library.dtype].u


def test_object_arrays_are_symbols() -> None:
    x = np.array([sympy.Symbol("x")], dtype=object)
    xp = arrays.namespace(x, None, np.ones(1))
    assert xp is symbols
    assert xp.exp(x)[0] == sympy.exp(sympy.Symbol("x"))
    assert xp.sum(x) == x[0]


def test_the_test_device_is_not_the_default_one() -> None:
    assert array_api_strict.ones(1).device != STRICT_DEVICE


def test_the_smallest_positive_number_is_subnormal_and_its_half_is_zero(library: Library) -> None:
    x = library.asarray(np.ones(3))
    smallest = x * 0 + arrays.smallest_positive(x)
    assert (arrays.to_numpy(smallest) > 0).all()
    assert not arrays.to_numpy(smallest / 2).astype(np.float64).any()


def test_a_stabiliser_is_the_larger_logarithm_and_zero_on_symbols(library: Library) -> None:
    x, y = library.asarray(np.array([1.0, -np.inf, -np.inf])), library.asarray(np.array([2.0, 3.0, -np.inf]))
    assert np.array_equal(arrays.to_numpy(arrays.stabiliser(x, y)).astype(np.float64), [2.0, 3.0, -np.inf])
    symbol = np.array([sympy.Symbol("a")], dtype=object)
    assert arrays.stabiliser(symbol, -symbol) == 0


def test_mixed_libraries_are_refused() -> None:
    with pytest.raises(TypeError, match="[Mm]ultiple namespaces"):
        arrays.namespace(np.ones(1), torch.ones(1))


def test_slices_are_named_by_index_and_long_lists_are_cut() -> None:
    assert arrays.name_slices(np.array(True)) == ""
    assert arrays.name_slices(np.array([[False, True], [True, False]])) == " in slices (0, 1), (1, 0)"
    assert arrays.name_slices(np.ones(10, bool)).endswith("(7,) and 2 more")


def test_quiet_silences_overflow_inside_only() -> None:
    big = np.full(1, 1e308)
    with arrays.quiet():
        assert np.isinf(big * big).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.isinf(big * big).all()
