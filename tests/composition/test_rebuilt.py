"""Every layer of the catalogue rebuilt from its three choices by an engine that knows no layer."""

import numpy as np
import pytest

from tests.composition.rebuilt import NOT_COMPOSED, case
from tests.pairs.hostile import HOSTILE
from ttr_numerics import catalogue, regression
from ttr_numerics.arguments import Domain
from ttr_numerics.choices import Leak, Linear, StochasticGradient, Uniform
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T = 14
COMPOSED = [row for row in catalogue() if row.name not in NOT_COMPOSED]
ROWS = pytest.mark.parametrize("row", COMPOSED, ids=lambda row: row.name)


def sides(row, case):
    """Rounding of the layer and of the composed one."""
    return [rounding(f, a, FORMATS["float64"]) for f, a in ((row.layer, case.layer), (case.run, case.composed))]


def example(row, **axes):
    return case(row, row.example(np.random.default_rng(0), optional=True, **{"T": T, "d_v": 5} | axes))


@ROWS
def test_the_three_choices_rebuild_the_layer_to_the_rounding_of_both(row):
    layer, composed = sides(row, example(row))
    assert (row_norms(layer.reference - composed.reference) <= layer.bound + composed.bound).all()
    assert (composed.bound < row_norms(composed.reference)).mean() > 0.5  # the bound says something


GATED = [row for row in COMPOSED if any(x.domain is Domain.LOG_GATE for x in row.arguments)]
HARD = [(row, "zero keys") for row in COMPOSED] + [(row, x) for row in GATED for x in ("resets", "channel gates")]


@pytest.mark.parametrize(("row", "name"), HARD, ids=lambda x: getattr(x, "name", x))
def test_it_does_so_on_hostile_input_and_refuses_where_the_layer_does(row, name):
    drawn = row.example(np.random.default_rng(0), optional=True, channels=name == "channel gates", T=T)
    given = case(row, HOSTILE[name](row, drawn))
    try:
        row.layer(**given.layer)
    except ValueError:
        with pytest.raises(ValueError, match="expected"):
            given.run(**given.composed)
        return
    layer, composed = sides(row, given)
    assert (row_norms(layer.reference - composed.reference) <= layer.bound + composed.bound).all()


@ROWS
def test_a_value_changed_in_the_ninth_digit_is_seen(row):
    given = example(row)
    layer, composed = sides(row, given)
    v = given.composed["v"]
    scale = 1 + 1e-9 * (np.arange(T) == 3).reshape(-1, *(1,) * (v.ndim - 2))
    faulty = case(row, {**given.layer, "v": v * scale}).composed
    apart = row_norms(layer.reference - given.run(**faulty).o)
    assert (apart > layer.bound + composed.bound).any()


@ROWS
def test_the_composed_layer_knows_its_name_where_the_choices_are_those_of_the_row(row):
    r = regression(row.choices.weights, row.choices.function_class, row.choices.optimiser)
    numbers = {"order", "bandwidth", "threshold"}  # of a kernel: the choices hold them
    assert row.name in r.names or numbers & {*row.arrays}


@ROWS
def test_every_name_it_gives_is_a_layer_that_it_equals(row):
    r = regression(row.choices.weights, row.choices.function_class, row.choices.optimiser)
    assert not {*r.names} & {*NOT_COMPOSED}


def test_a_row_that_is_not_composed_says_why():
    assert {*NOT_COMPOSED} <= {row.name for row in catalogue()}
    for row in catalogue():
        if row.name in NOT_COMPOSED and row.causal:
            with pytest.raises((ValueError, TypeError), match="expected"):
                regression(row.choices.weights, row.choices.function_class, row.choices.optimiser).arrays  # noqa: B018


def test_a_leak_on_the_other_side_of_the_error_is_seen():
    row = next(row for row in catalogue() if row.name == "gated_delta_rule")
    given = example(row)
    layer = rounding(row.layer, given.layer, FORMATS["float64"])
    late = regression(Uniform(), Linear(), StochasticGradient(leak=Leak.AFTER_ERROR))
    assert row.name not in late.names
    assert (row_norms(late(**given.composed).o - layer.reference)[:, 1:] > layer.bound[:, 1:]).all()
