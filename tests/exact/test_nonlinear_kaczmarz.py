"""Sweeps with losses that are not the square: gates, links and mini-batches beyond the catalogue's examples."""

import numpy as np
import pytest

from ttr_numerics import exact, layers
from ttr_numerics.exact import losses
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T = 10
NAMES = ["huber_delta_rule", "entrywise_huber_delta_rule", "lp_delta_rule", "exponentiated_gradient_rule"]


def given(name, channels=False, seed=0):
    rng = np.random.default_rng(seed)
    return pairing(name).example(rng, (2,), True, channels, T=T, d_k=4, d_v=3)


def apart(one, other, arrays):
    """The distance of two forms in units of the rounding of both (2, T)."""
    bounds = [rounding(form, arrays, FORMATS["float64"]) for form in (one, other)]
    return row_norms(bounds[0].reference - bounds[1].reference) / (bounds[0].bound + bounds[1].bound)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("gate", [None, 0.0, -50.0, -np.inf])
@pytest.mark.parametrize("name", NAMES)
def test_leaks_of_any_size_are_those_of_the_layer(name, gate, channels) -> None:
    row, a = pairing(name), given(name, channels)
    if gate is not None:
        a["log_decay"][:, 2::3] = gate
    assert (apart(row.layer, row.partner, a) <= 1).all()


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_leak_before_the_error_is_another_layer(name) -> None:
    row, a = pairing(name), given(name)
    loss = (
        losses.Power(a["p"])
        if "p" in a
        else (losses.Huber, losses.EntrywiseHuber)["entry" in name](a["delta"][..., None])
    )
    S, rows = a["initial_state"], []
    for t in range(T):
        one = slice(t, t + 1)
        S = np.exp(a["log_decay"][:, t, None, None]) * S
        S = S + a["k"][:, one].mT @ (
            a["beta"][:, one, None] * loss.rows(one).influence(a["k"][:, one] @ S, a["v"][:, one])
        )
        rows.append(a["q"][:, one] @ S)
    bound = rounding(row.layer, a, FORMATS["float64"])
    assert (row_norms(np.concatenate(rows, axis=1) - bound.reference) > bound.bound).all()


@pytest.mark.parametrize("retention", [1.5, 3.0, 4.0])
def test_a_memory_over_a_power_of_its_norm_is_mirror_descent_with_that_link(retention) -> None:
    a = given("lp_delta_rule")

    def link(A):
        norm = (abs(A) ** retention).reshape(*A.shape[:-2], -1).sum(axis=-1) ** (1 / retention)
        return A / norm[..., None, None] ** (retention - 2)

    bound = rounding(lambda **x: layers.lp_delta_rule(**x, retention=retention), a, FORMATS["float64"])
    p = a.pop("p")
    o = exact.mirror_descent_prefixes(**a, loss=losses.Power(p), link=link).o
    assert (row_norms(o - bound.reference) <= 2 * bound.bound).all()


def test_the_state_of_a_sweep_carries_on_where_no_mini_batch_is_open() -> None:
    a = given("huber_delta_rule")
    delta, begun = a.pop("delta"), a.pop("initial_state")

    def sweep(part, state):
        piece = {n: x[:, part] for n, x in a.items()}
        loss = losses.Huber(delta[:, part, None])
        return exact.nonlinear_kaczmarz_prefixes(**piece, loss=loss, initial_state=state)

    whole = sweep(slice(None), begun)
    head = sweep(slice(0, 6), begun)
    tail = sweep(slice(6, None), head.state)
    bound = rounding(
        lambda initial_state, delta, **x: exact.nonlinear_kaczmarz_prefixes(
            **x, loss=losses.Huber(delta[..., None]), initial_state=initial_state
        ),
        a | {"delta": delta, "initial_state": begun},
        FORMATS["float64"],
    ).bound
    o = np.concatenate([head.o, tail.o], axis=1)
    assert (row_norms(o - whole.o) <= 2 * bound).all()


@pytest.mark.parametrize("batch", [1, 3, 10, 16])
def test_with_the_squared_loss_it_is_the_triangular_system(batch) -> None:
    a = pairing("ttt_linear").example(np.random.default_rng(1), (2,), T=T, d_k=4, d_v=3) | {"batch": batch}

    def sweep(eta, **x):
        return exact.nonlinear_kaczmarz_prefixes(**x, beta=eta, loss=losses.Squares())

    assert (apart(sweep, lambda eta, **x: exact.descent_prefixes(**x, inner=eta), a) <= 1).all()


def test_bad_arrays_are_refused() -> None:
    a = given("exponentiated_gradient_rule")
    with pytest.raises(ValueError, match=r"^log_decay: expected at most 0 \(-inf resets\), got 1.0"):
        exact.mirror_descent_prefixes(**a | {"log_decay": np.ones((2, T))}, loss=losses.Squares(), link=exact.Softmax())
    a["k"][0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="^k: expected finite entries"):
        exact.nonlinear_kaczmarz_prefixes(**a, loss=losses.Squares())
