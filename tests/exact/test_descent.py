"""Descent as one triangular system: states it starts from and ends in, and the choices that it brings together."""

import numpy as np
import pytest

from ttr_numerics import exact, layers
from ttr_numerics.axes import Momentum
from ttr_numerics.exact.descent import Motion
from ttr_numerics.layers.omega import Windowed
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T = 10


def given(name, optional=False, seed=0):
    return pairing(name).example(np.random.default_rng(seed), (2,), optional, T=T, d_k=4, d_v=3)


def agree(one, other, arrays, both=1):
    """Whether two forms agree to the rounding of both."""
    bounds = [rounding(form, arrays, FORMATS["float64"]) for form in (one, other)]
    apart = row_norms(bounds[0].reference - bounds[1].reference)
    return (apart <= both * (bounds[0].bound + bounds[1].bound)).all()


def test_an_initial_memory_and_velocity_count_as_in_the_layer() -> None:
    a, rng = given("titans"), np.random.default_rng(1)
    a |= {"S": rng.standard_normal((2, 4, 3)), "U": rng.standard_normal((2, 4, 3))}

    def layer(S, U, **x):
        return layers.titans(**x, initial_state=Momentum(S, U))

    def system(S, U, theta, **x):
        return exact.descent_prefixes(**x, inner=2 * theta, initial_state=Motion(S, U))

    assert agree(layer, system, a)
    assert not agree(layer, lambda S, U, theta, **x: system(S, 0.999 * U, theta, **x), a)
    ends = layer(**a).state, system(**a).state
    sizes = [np.abs(x).max() for x in ends[0]]
    # The states are read as outputs by unit queries: T steps, of 4 + 6 roundings each.
    assert all(np.abs(x - y).max() <= T * 10 * 2.0**-53 * 10 * s for x, y, s in zip(*ends, sizes, strict=True))


@pytest.mark.parametrize("window", [1, 2, 3, 10, 20])
def test_every_window_is_that_of_the_layer(window) -> None:
    a = given("omega_rule", optional=True) | {"window": window}
    a["beta"] = a["beta"] / window

    def system(beta, **x):
        return exact.descent_prefixes(**x, outer=beta)

    assert agree(layers.omega_rule, system, a)


def test_an_initial_memory_under_a_window_counts_as_in_the_layer() -> None:
    a, rng = given("omega_rule", optional=True), np.random.default_rng(2)
    a |= {"S": rng.standard_normal((2, 4, 3)), "U": rng.standard_normal((2, 4, 3))}

    def layer(S, U, k, v, **x):
        begun = Windowed(S, U, k[..., :0, :], v[..., :0, :], k[..., :0, :1])
        return layers.omega_rule(k=k, v=v, **x, initial_state=begun)

    def system(S, U, beta, **x):
        return exact.descent_prefixes(**x, outer=beta, initial_state=Motion(S, U))

    assert agree(layer, system, a)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 10, 16])
def test_every_mini_batch_is_that_of_the_layer(batch) -> None:
    a = given("ttt_linear") | {"batch": batch}
    assert agree(layers.ttt_linear, lambda eta, **x: exact.descent_prefixes(**x, inner=eta), a)


def test_without_velocity_leak_window_or_batch_it_is_the_kaczmarz_sweep() -> None:
    a = given("delta_rule")

    def system(beta, **x):
        return exact.descent_prefixes(**x, inner=beta)

    assert agree(exact.kaczmarz_prefixes, system, a)
    assert agree(exact.kaczmarz_prefixes, lambda beta, **x: exact.descent_prefixes(**x, outer=beta), a)


@pytest.mark.parametrize("gate", ["log_momentum", "log_decay"])
@pytest.mark.parametrize("value", [0.0, -50.0, -np.inf])
def test_extreme_gates_are_those_of_the_layer(gate, value) -> None:
    a = given("titans")
    a[gate][:, 2::3] = value
    assert agree(layers.titans, lambda theta, **x: exact.descent_prefixes(**x, inner=2 * theta), a)


def test_an_empty_sequence_hands_the_state_on() -> None:
    a = {n: x[:, :0] for n, x in given("titans").items() if n in "qkv"}
    S = np.ones((2, 4, 3))
    result = exact.descent_prefixes(**a, initial_state=Motion(S, 2 * S))
    assert result.o.shape == (2, 0, 3)
    assert np.array_equal(result.state.S, S)
    assert np.array_equal(result.state.U, 2 * S)


def test_nan_is_refused() -> None:
    a = given("titans")
    a["v"][1, 3, 0] = np.nan
    with pytest.raises(ValueError, match=r"^v: expected finite entries, got NaN or infinity first at \(1, 3, 0\)$"):
        exact.descent_prefixes(a["q"], a["k"], a["v"], inner=a["theta"])
