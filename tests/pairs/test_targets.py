"""Targets whose layers keep no single matrix: their maps are the solvers', and the check says how they fit."""

from functools import partial

import numpy as np
import pytest

from tests.pairs.hostile import hostile
from ttr_numerics import catalogue, check, exact
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding


def of(name: str, **axes: int) -> tuple:
    row = pairing(name)
    a = hostile(row, "unit keys", **axes)
    return row, a, {n: a[n] for n in row.arrays}


def test_the_linearised_perceptron_is_tangent_kernel_ridge_at_the_last_token() -> None:
    row, a, named = of("ttt_mlp", T=12, d_k=3, d_v=2)
    named["eta"] = np.full((2, 12), 0.125)
    read = row.other_targets[0].fit(a["k"], a["v"], **named)(a["q"][:, -1:])
    data = {n: a[n] for n in ("q", "k", "v", "W_1", "W_2")}
    dual = rounding(partial(exact.tangent_kernel_ridge_prefixes, ridge=8.0), data, FORMATS["float64"])
    # The primal by QR rounds no worse than the dual, whose matrix has the squared condition number.
    assert (np.linalg.norm(read - dual.reference[:, -1:], axis=-1) <= 4 * dual.bound[:, -1:]).all()
    wrong = row.other_targets[0].fit(a["k"], a["v"], **named | {"eta": named["eta"] * 1.001})(a["q"][:, -1:])
    assert (np.linalg.norm(wrong - dual.reference[:, -1:], axis=-1) > 4 * dual.bound[:, -1:]).all()


@pytest.mark.parametrize("name", ["ttt_mlp", "mlstm", "exponentiated_gradient_rule", "titans", "omega_rule"])
def test_the_check_says_how_well_the_layer_and_its_targets_fit(name: str) -> None:
    row, a, _ = of(name, T=16, d_k=3, d_v=2)
    said = [x for x in check(row.layer(**a).o, name, **a).reasons if x.startswith("its target is")]
    assert len(said) == 1 + len(row.other_targets)
    assert row.target in said[0]


@pytest.mark.parametrize("name", ["huber_delta_rule", "entrywise_huber_delta_rule", "lp_delta_rule"])
def test_a_target_that_is_not_unique_is_said_to_refuse(name: str) -> None:
    row, a, _ = of(name, T=2, d_k=3, d_v=2)
    said = " ".join(check(row.layer(**a).o, name, **a).reasons)
    assert f"its target, {row.target}, refuses this input: K: expected full column rank" in said


def test_a_power_that_the_solver_does_not_take_is_said() -> None:
    row, a, _ = of("lp_delta_rule", T=8, d_k=3, d_v=2)
    a["p"] = 1.0
    said = " ".join(check(row.layer(**a).o, "lp_delta_rule", **a).reasons)
    assert "refuses this input: loss: expected a power above 1, got 1.0" in said


@pytest.mark.parametrize("name", ["mesa_cg", "gated_kalmanet"])
def test_enough_steps_reach_the_ridge_that_is_the_target(name: str) -> None:
    row = pairing(name)
    a = row.example(np.random.default_rng(0), optional=True, T=24, d_k=4, d_v=3) | {"steps": 200}
    a = {n: x for n, x in a.items() if n not in ("alpha", "start")}
    named = {n: x for n, x in a.items() if n not in "qkv"}
    held, best = row.memory(row.layer(**a).state, **named), row.fit(a["k"], a["v"], **named)
    x = np.random.default_rng(1).standard_normal((2, 5, 4))
    H = np.swapaxes(a["k"], -1, -2) @ a["k"]
    ridge = a["ridge"] if name == "mesa_cg" else 0.02 * np.linalg.norm(H)
    # Both solve with H + ridge: rounding of the moments, 24 terms, by its condition number.
    cond = 1 + np.linalg.norm(H) / np.min(ridge)
    size = np.linalg.norm(x) * np.linalg.norm(best.S)
    assert np.linalg.norm(held(x) - best(x)) <= 24 * 4 * 2.0**-53 * cond * size
    weaker = row.fit(a["k"], 1.0001 * a["v"], **named)
    assert np.linalg.norm(held(x) - weaker(x)) > 24 * 4 * 2.0**-53 * cond * size


def test_a_perceptron_too_large_to_fit_is_said_not_fitted() -> None:
    row, a, _ = of("ttt_mlp", T=40, d_k=16, d_v=16, d_h=64)
    said = " ".join(check(row.layer(**a).o, "ttt_mlp", **a).reasons)
    assert "was not computed: 2048 weights a head" in said


@pytest.mark.parametrize("channels", [False, True])
def test_several_associations_a_token_age_together_in_both_targets(channels: bool) -> None:
    row = pairing("gated_delta_product")
    a = row.example(np.random.default_rng(0), batch=(), channels=channels, T=9, d_k=3, d_v=2)
    named = {n: a[n] for n in row.arrays}
    gate = a["log_decay"] if channels else a["log_decay"][:, None]
    ages = np.exp(np.cumsum(gate[::-1], axis=0)[::-1] - gate)[:, None] * np.ones_like(a["k"][..., :1])
    k, v = a["k"].reshape(-1, 3), a["v"].reshape(-1, 2)
    root = np.sqrt(np.exp(np.flip(np.cumsum(np.flip(np.mean(gate, -1)))) - np.mean(gate, -1))).repeat(2)[:, None]
    aged = (ages * a["k"]).reshape(-1, 3)
    for fit, K, V in ((row.fit, root * k, root * v), (row.other_targets[0].fit, aged, v)):
        theirs = np.linalg.lstsq(K, V)[0]
        # Wedin: rounding of K and V, a dozen operations an entry, by cond(K), and by its square times the residual.
        spread = np.linalg.norm(V) / np.linalg.norm(K, 2) * np.linalg.cond(K) ** 2
        assert np.linalg.norm(fit(a["k"], a["v"], **named).S - theirs) <= 18 * 12 * 2.0**-53 * spread
        assert np.linalg.norm(np.linalg.lstsq(1.001 * K, V)[0] - theirs) > 18 * 12 * 2.0**-53 * spread


@pytest.mark.parametrize("row", [r for r in catalogue() if r.fit is not None], ids=lambda row: row.name)
def test_a_gate_that_may_be_per_channel_has_both_partners(row) -> None:
    by_channel = any(x.name == "log_decay" and len(x.shapes) > 1 for x in (*row.takes, *row.may_take))
    if by_channel and row.target.startswith("weighted least squares"):
        assert ["aged keys" in other.problem for other in row.other_targets] == [True]
