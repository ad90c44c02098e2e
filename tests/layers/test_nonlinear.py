"""What mini-batch, heavy-ball, windowed and robust learners are bound to, each on its own."""

import numpy as np
import pytest
import torch

from ttr_numerics import layers
from ttr_numerics.axes import Momentum
from ttr_numerics.layers.omega import NewtonSchulz
from ttr_numerics.layers.ttt import MiniBatch
from ttr_numerics.layers.ttt_mlp import Perceptron
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T = 11
BATCHED = ("ttt_linear", "layer_norm_ttt_linear", "ttt_mlp")
ROBUST = ("huber_delta_rule", "entrywise_huber_delta_rule", "lp_delta_rule", "exponentiated_gradient_rule")
ALL = (*BATCHED, "titans", "omega_rule", *ROBUST)


def given(name, optional=False, batch=(2,), seed=0, **axes):
    return pairing(name).example(np.random.default_rng(seed), batch, optional, **{"T": T, "d_k": 4, "d_v": 3} | axes)


def cut(name, arrays, part):
    timed = {"q"} | {x.name for x in pairing(name).arguments if "T" in x.shapes[0]}
    return {
        n: x[..., part] if n in timed and x.ndim == 2 else x[:, part] if n in timed else x for n, x in arrays.items()
    }


def run(name, arrays, **changed):
    return getattr(layers, name)(**arrays | changed)


def differs(name, arrays, other):
    """Whether other outputs lie beyond rounding at every position but the first."""
    bound = rounding(getattr(layers, name), arrays, FORMATS["float64"])
    return bool((row_norms(other - bound.reference) > bound.bound)[..., 1:].all())


def parts(state):
    return [np.asarray(x) for x in (state if isinstance(state, tuple) else (state,))]


@pytest.mark.parametrize("split", range(T + 1))
@pytest.mark.parametrize("name", ALL)
def test_a_split_anywhere_leaves_the_same_bits(name, split) -> None:
    a = given(name)
    carried = {x.name for x in pairing(name).arguments if x.in_state}
    whole, head = run(name, a), run(name, cut(name, a, slice(split)))
    rest = {n: x for n, x in cut(name, a, slice(split, None)).items() if n not in carried}
    tail = run(name, rest, initial_state=head.state)
    assert np.array_equal(np.concatenate([head.o, tail.o], axis=-2), whole.o)
    assert all(np.array_equal(x, y) for x, y in zip(parts(tail.state), parts(whole.state), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_the_future_leaves_no_bit_in_the_past(name) -> None:
    a, b = given(name), given(name, seed=1)
    timed = {"q"} | {x.name for x in pairing(name).arguments if "T" in x.shapes[0]}
    mixed = {n: np.concatenate([x[:, :5], b[n][:, 5:]], axis=1) if n in timed else x for n, x in a.items()}
    assert np.array_equal(run(name, mixed).o[:, :5], run(name, a).o[:, :5])


@pytest.mark.parametrize("name", ALL)
def test_positions_before_a_nan_stay_clean_and_later_ones_say_so(name) -> None:
    a = given(name)
    clean = run(name, a).o
    a["v"][0, 5] = np.nan
    o = run(name, a).o
    assert np.array_equal(o[:, :5], clean[:, :5])
    assert np.array_equal(o[1], clean[1])
    assert np.isnan(o[0, 5:]).any(axis=-1).all()


@pytest.mark.parametrize("name", ALL)
def test_gradients_match_finite_differences(name) -> None:
    a = given(name, batch=(), T=4, d_k=2, d_v=2)
    names = [n for n, x in a.items() if isinstance(x, np.ndarray)]
    fixed = {n: x for n, x in a.items() if n not in names}
    leaves = tuple(torch.asarray(a[n]).requires_grad_() for n in names)
    assert torch.autograd.gradcheck(
        lambda *x: run(name, dict(zip(names, x, strict=True)), **fixed).o, leaves, check_forward_ad=False
    )


QUARTERS = np.full((2, T), 0.25)  # a power of two scales without rounding, inside a product or outside
LIMITS = {
    "ttt_linear": {"eta": QUARTERS, "batch": 1},
    "omega_rule": {"beta": QUARTERS, "window": 1},
    "huber_delta_rule": {"beta": QUARTERS, "delta": np.full((2, T), 1e6)},
    "entrywise_huber_delta_rule": {"beta": QUARTERS, "delta": np.full((2, T), 1e6)},
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_that_are_the_delta_rule_are_so_to_the_bit(name) -> None:
    a = given(name)
    delta = layers.delta_rule(a["q"], a["k"], a["v"], beta=QUARTERS)
    assert np.array_equal(run(name, a, **LIMITS[name]).o, delta.o)


def test_power_two_and_shut_momentum_are_the_delta_rule() -> None:
    a, b = given("lp_delta_rule"), given("titans")
    delta = layers.delta_rule(a["q"], a["k"], a["v"], beta=a["beta"])
    assert np.array_equal(run("lp_delta_rule", a, p=2.0).o, delta.o)
    plain = b | {"log_momentum": np.full((2, T), -np.inf), "log_decay": np.zeros((2, T))}
    delta = layers.delta_rule(b["q"], b["k"], b["v"], beta=2 * b["theta"])
    assert np.array_equal(run("titans", plain).o, delta.o)


# Mini-batches


@pytest.mark.parametrize("name", BATCHED)
def test_a_mini_batch_is_not_its_tokens_one_by_one(name) -> None:
    a = given(name)
    assert differs(name, a, run(name, a, batch=1).o)


@pytest.mark.parametrize("batch", [1, 3, 11, 12])
def test_the_count_says_how_far_the_mini_batch_is(batch) -> None:
    state = run("ttt_linear", given("ttt_linear"), batch=batch).state
    assert int(state.count) == T % batch
    assert np.array_equal(state.start, state.now) == (T % batch == 0)


def test_wrong_batches_and_states_are_refused() -> None:
    a, S = given("ttt_linear"), np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match="^batch: expected at least 1, got 0$"):
        run("ttt_linear", a, batch=0)
    with pytest.raises(ValueError, match="^initial_state.count: expected below batch = 4, got 4$"):
        run("ttt_linear", a, initial_state=MiniBatch(S, S, np.asarray(4)))
    with pytest.raises(ValueError, match=r"^initial_state.now: expected shape \(2, 4, 3\), got \(2, 4, 4\)$"):
        run("ttt_linear", a, initial_state=MiniBatch(S, np.zeros((2, 4, 4)), np.asarray(0)))
    with pytest.raises(ValueError, match=r"^eta: expected shape \(2, 11\), got \(2, 10\)$"):
        run("ttt_linear", a, eta=np.ones((2, 10)))


def test_a_perceptron_needs_its_weights_once() -> None:
    a = given("ttt_mlp")
    none = {n: x for n, x in a.items() if n not in ("W_1", "W_2")}
    with pytest.raises(ValueError, match="^W_1, W_2: expected both, or initial_state"):
        run("ttt_mlp", none | {"W_1": a["W_1"]})
    with pytest.raises(ValueError, match="^W_1, W_2: expected either them or initial_state"):
        run("ttt_mlp", a, initial_state=run("ttt_mlp", a).state)
    with pytest.raises(ValueError, match=r"^W_2: expected shape \(2, 6, 3\), got \(2, 5, 3\)$"):
        run("ttt_mlp", a, W_2=np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match="^W_1: expected dtype float64 as q, got float32$"):
        run("ttt_mlp", a, W_1=a["W_1"].astype(np.float32))
    state = Perceptron(a["W_1"], a["W_2"], a["W_1"], a["W_2"], np.asarray(0))
    assert np.array_equal(run("ttt_mlp", none, initial_state=state).o, run("ttt_mlp", a).o)


def test_weights_may_be_shared_by_a_batch() -> None:
    a = given("ttt_mlp")
    shared = a | {"W_1": a["W_1"][:1], "W_2": a["W_2"][0]}
    spread = a | {n: np.repeat(a[n][:1], 2, axis=0) for n in ("W_1", "W_2")}
    assert np.array_equal(run("ttt_mlp", shared).o, run("ttt_mlp", spread).o)


def test_layer_norm_of_a_zero_memory_has_a_gradient_that_grows_as_one_over_the_root_of_epsilon() -> None:
    a = {n: x[:, :1] if n in ("q", "k", "v", "eta") else x for n, x in given("layer_norm_ttt_linear").items()}
    coarse, fine = (run("layer_norm_ttt_linear", a, epsilon=e).o for e in (1.0, 2.0**-20))
    assert np.array_equal(fine, 1024 * coarse)


# Heavy ball and windows


def order_of_titans(a, where):
    """Titans with its gradient taken at another point: `where(M, decay)`."""
    M, U, rows = np.zeros((2, 4, 3)), np.zeros((2, 4, 3)), []
    for t in range(T):
        decay = np.exp(a["log_decay"][:, t, None, None])
        k, v = a["k"][:, t : t + 1], a["v"][:, t : t + 1]
        error = v - k @ where(M, decay)
        U = np.exp(a["log_momentum"][:, t, None, None]) * U + 2 * a["theta"][:, t, None, None] * k.mT @ error
        M = decay * M + U
        rows.append(a["q"][:, t : t + 1] @ M)
    return np.concatenate(rows, axis=1)


def test_titans_takes_its_gradient_at_the_undecayed_memory() -> None:
    a = given("titans")
    bound = rounding(layers.titans, a, FORMATS["float64"])
    assert (row_norms(order_of_titans(a, lambda M, decay: M) - bound.reference) <= bound.bound).all()
    assert differs("titans", a, order_of_titans(a, lambda M, decay: decay * M))
    assert differs("titans", a, run("titans", a, theta=a["theta"] / 2).o)


def test_a_shut_gate_forgets_after_the_error_was_taken() -> None:
    a = given("titans")
    a["log_decay"][:, 5] = a["log_momentum"][:, 5] = -np.inf
    late = {n: x[:, 5:] for n, x in a.items()}
    fresh, whole = run("titans", late), run("titans", a)
    assert differs("titans", late, whole.o[:, 5:])  # the error of token 5 was that of the old memory
    state = run("titans", {n: x[:, :5] for n, x in a.items()}).state
    same = run("titans", late, initial_state=Momentum(state.S, 0 * state.U))
    assert np.array_equal(same.o, whole.o[:, 5:])
    assert np.isfinite(fresh.o).all()


def test_the_state_of_the_omega_rule_holds_one_token_less_than_its_window() -> None:
    a = given("omega_rule")
    for window in (1, 4, 50):
        assert run("omega_rule", a, window=window).state.k.shape == (2, min(window - 1, T), 4)
    with pytest.raises(ValueError, match="^window: expected at least 1, got 0$"):
        run("omega_rule", a, window=0)


def test_a_window_one_token_longer_is_another_layer() -> None:
    a = given("omega_rule")
    other = run("omega_rule", a, window=5).o
    assert np.array_equal(other[:, :4], run("omega_rule", a).o[:, :4])
    bound = rounding(layers.omega_rule, a, FORMATS["float64"])
    assert (row_norms(other - bound.reference) > bound.bound)[:, 4:].all()


def test_orthogonalised_steps_forget_the_size_of_the_velocity_and_nothing_of_zero_keys() -> None:
    a = given("omega_rule") | {"log_momentum": np.full((2, T), -0.5)}
    one = {n: x[:, :1] if isinstance(x, np.ndarray) else x for n, x in a.items()}
    first = run("omega_rule", one, orthogonalise=NewtonSchulz(5)).state.M
    scaled = run("omega_rule", one | {"v": 8 * one["v"]}, orthogonalise=NewtonSchulz(5)).state.M
    assert np.array_equal(first, scaled)
    silent = run("omega_rule", a | {"k": 0 * a["k"]}, orthogonalise=NewtonSchulz(5))
    assert not silent.o.any()


# Robust and multiplicative rules


@pytest.mark.parametrize("name", ["huber_delta_rule", "entrywise_huber_delta_rule"])
def test_one_outlier_moves_the_memory_no_farther_than_the_threshold(name) -> None:
    a = given(name)
    a["v"][:, -1] = 1e9
    before = run(name, {n: x[:, :-1] for n, x in a.items()}).state
    channels = np.sqrt(3) if "entrywise" in name else 1.0
    moved = np.linalg.norm(run(name, a).state - before, axis=(-2, -1))
    reach = (a["beta"] * a["delta"] * np.linalg.norm(a["k"], axis=-1))[:, -1] * channels
    # Products, a root and a quotient: at most ten roundings of this step, and one of the memory it is added to.
    slack = 10 * 2.0**-53 * reach + 2 * 2.0**-53 * np.linalg.norm(before, axis=(-2, -1))
    assert (moved <= reach + slack).all()


def test_whole_errors_turn_with_the_values_and_clipped_ones_do_not() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    for name, turns in (("huber_delta_rule", True), ("entrywise_huber_delta_rule", False)):
        a = given(name)
        bound = rounding(getattr(layers, name), a, FORMATS["float64"])
        apart = row_norms(run(name, a, v=a["v"] @ turn).o @ turn.T - bound.reference)
        # Turning v, and the outputs back, rounds each by 3 u in its own way: as many roundings as a step of the layer.
        assert (apart <= 2 * bound.bound).all() == turns


def test_for_one_value_channel_both_hubers_are_one() -> None:
    a = given("huber_delta_rule", d_v=1)
    assert np.array_equal(run("huber_delta_rule", a).o, run("entrywise_huber_delta_rule", a).o)


@pytest.mark.parametrize("name", ["huber_delta_rule", "entrywise_huber_delta_rule"])
@pytest.mark.parametrize("delta", [0.0, -1.0, np.nan])
def test_a_threshold_that_is_not_above_zero_is_refused(name, delta) -> None:
    a = given(name)
    a["delta"][1, 3] = delta
    with pytest.raises(ValueError, match="^delta: expected above 0, got"):
        run(name, a)


def test_power_one_writes_signs_and_less_is_refused() -> None:
    a = given("lp_delta_rule", T=1)
    written = a["k"].mT @ (a["beta"][..., None] * np.sign(a["v"]))
    assert np.array_equal(run("lp_delta_rule", a, p=1.0).state, written)
    with pytest.raises(ValueError, match=r"^p: expected at least 1, got 0.5$"):
        run("lp_delta_rule", a, p=0.5)
    with pytest.raises(ValueError, match=r"^retention: expected at least 1, got 0.0$"):
        run("lp_delta_rule", a, retention=0.0)


def test_a_zero_error_writes_nothing_whatever_the_power() -> None:
    a = given("lp_delta_rule")
    for p in (1.0, 1.5, 3.0):
        assert not run("lp_delta_rule", a | {"v": 0 * a["v"]}, p=p).o.any()
        assert not run("lp_delta_rule", a | {"v": 0 * a["v"]}, p=p, retention=4.0).o.any()


def test_retention_four_reads_the_state_over_the_square_of_its_norm() -> None:
    a = given("lp_delta_rule")
    result = run("lp_delta_rule", a, retention=4.0)
    norm = np.sum(result.state**4, axis=(-2, -1)) ** 0.25
    read = a["q"][:, -1:] @ (result.state / norm[:, None, None] ** 2)
    size = np.abs(a["q"][:, -1:]) @ (np.abs(result.state) / norm[:, None, None] ** 2)
    # 12 terms of the norm, a root, a power, a quotient and 4 products: at most 32 roundings of each term.
    assert (np.abs(result.o[:, -1:] - read) <= 32 * 2.0**-53 * size).all()


def test_a_multiplicative_memory_is_a_distribution_on_the_key_channels() -> None:
    a = given("exponentiated_gradient_rule")
    units = np.broadcast_to(np.eye(4), (2, 4, 4))
    # Reads with unit queries by steps of size zero: the memory itself, row by row.
    idle = {"k": a["k"][:, :4], "v": a["v"][:, :4], "beta": np.zeros((2, 4))}
    S = layers.exponentiated_gradient_rule(units, **idle, initial_state=run("exponentiated_gradient_rule", a).state).o
    assert (S > 0).all()
    assert np.abs(S.sum(axis=-2) - 1).max() <= 4 * 8 * 2.0**-53


def test_logits_are_free_up_to_a_constant_and_huge_ones_stay_finite() -> None:
    a = given("exponentiated_gradient_rule", optional=True)
    a["log_decay"] = 0 * a["log_decay"]
    a["initial_state"] = np.round(a["initial_state"] * 64) / 64
    shifted = run("exponentiated_gradient_rule", a, initial_state=a["initial_state"] + 8.0)
    bound = rounding(layers.exponentiated_gradient_rule, a, FORMATS["float64"])
    # A shift by 8 rounds logits of size 8 instead of 1: sixteen times the roundings of the state.
    assert (row_norms(shifted.o - bound.reference) <= 16 * bound.bound).all()
    assert np.isfinite(run("exponentiated_gradient_rule", a, initial_state=1e4 * a["initial_state"]).o).all()


def test_a_shut_gate_tempers_a_multiplicative_memory_to_its_last_step() -> None:
    a = given("exponentiated_gradient_rule", optional=True)
    a["log_decay"] = np.zeros((2, T))
    a["log_decay"][:, -1] = -np.inf
    before = run(
        "exponentiated_gradient_rule", {n: x if n == "initial_state" else x[:, :-1] for n, x in a.items()}
    ).state
    S = np.exp(before) / np.exp(before).sum(axis=-2, keepdims=True)
    k, v = a["k"][:, -1:], a["v"][:, -1:]
    logits = k.mT @ (a["beta"][:, -1, None, None] * (v - k @ S))
    size = np.abs(k).mT @ (a["beta"][:, -1, None, None] * (np.abs(v) + np.abs(k) @ S))
    state = run("exponentiated_gradient_rule", a).state
    # A softmax of 4 channels and two products of length 4 and 1, here and there.
    assert (np.abs(state - logits) <= 2 * 16 * 2.0**-53 * size).all()
