"""What is peculiar to layers that read before they write, divide by a normaliser, or have no matrix state."""

import numpy as np
import pytest
import torch

from tests.conftest import Library
from tests.twins import TWINS
from ttr_numerics import exact, layers
from ttr_numerics.arrays import to_numpy
from ttr_numerics.axes import NormalisedMemory, WeightedMean
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

NAMES = ("rwkv6", "mlstm", "rwkv4", "rg_lru", "hgrn")
T, D = 24, 4


def given(name, batch=(2,), dtype="float64", **axes):
    """Generic arguments on the numbers that the format has."""
    drawn = pairing(name).example(np.random.default_rng(0), batch, **{"T": T, "d_k": D, "d_v": D} | axes)
    return {n: FORMATS[dtype].nearest(x) for n, x in drawn.items()}


def run(name, arrays):
    return rounding(getattr(layers, name), arrays, FORMATS["float64"])


def equal(one, other):
    """Whether two runs agree to the rounding of both."""
    return bool((row_norms(one.reference - other.reference) <= one.bound + other.bound).all())


def gates(arrays):
    return [n for n in ("log_decay", "log_forget") if n in arrays]


# Reading before the write


# What token t reads and what it leaves, of the state S, its decay d, its pair x and the pair times the bonus u.
ORDERS = {
    "published": lambda S, d, x, u: (S + u, d * S + x),
    "decays before it reads": lambda S, d, x, u: (d * S + u, d * S + x),
    "reads after the write": lambda S, d, x, u: (d * S + x, d * S + x),
    "keeps the bonus": lambda S, d, x, u: (S + u, d * S + u),
    "decays what it writes": lambda S, d, x, u: (S + u, d * (S + x)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_only_the_published_order_is_the_layer(order: str) -> None:
    a = given("rwkv6")
    S, rows = np.zeros((2, D, D)), []
    for t in range(T):
        q, k, v = (a[n][:, t] for n in "qkv")
        pair = k[:, :, None] * v[:, None, :]
        read, S = ORDERS[order](S, np.exp(a["log_decay"][:, t])[:, None, None], pair, a["bonus"][:, :, None] * pair)
        rows.append((q[:, None, :] @ read)[:, 0])
    one = run("rwkv6", a)
    apart = row_norms(np.stack(rows, axis=1) - one.reference)
    if order == "published":
        assert (apart <= 2 * one.bound).all()
    else:
        assert (apart[:, 2:] > one.bound[:, 2:]).all()


@pytest.mark.parametrize("name", ["rwkv6", "rwkv4"])
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_a_token_at_a_reset_still_reads_what_came_before(name: str, form) -> None:
    a, at = given(name), 10
    a["log_decay"][:, at] = -np.inf
    layer = getattr(form, name)
    moved = {**a, "v": a["v"] + (np.arange(T) == at - 1)[:, None]}
    apart = np.abs(layer(**moved).o - layer(**a).o).max(axis=(0, 2))
    assert not apart[: at - 1].any()
    assert apart[at - 1 : at + 1].all()
    assert not apart[at + 1 :].any()


def test_bonus_one_and_gate_one_are_linear_attention() -> None:
    a = given("rwkv6")
    a |= {"log_decay": 0 * a["log_decay"], "bonus": 1 + 0 * a["bonus"]}
    assert equal(run("rwkv6", a), run("linear_attention", {n: a[n] for n in "qkv"}))


@pytest.mark.parametrize("name", ["rwkv6", "rwkv4"])
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_a_bonus_per_head_broadcasts_over_the_batch(name: str, form) -> None:
    a = given(name, (2, 3))
    a["bonus"] = a["bonus"][:1] + 0 * a["bonus"]
    layer = getattr(form, name)
    assert np.array_equal(layer(**a).o, layer(**a | {"bonus": a["bonus"][0]}).o)
    assert np.array_equal(layer(**a).o, layer(**a | {"bonus": a["bonus"][:1]}).o)


@pytest.mark.parametrize("name", ["rwkv6", "rwkv4"])
def test_a_bonus_that_does_not_fit_is_refused(name: str) -> None:
    a = given(name)
    with pytest.raises(ValueError, match=r"^bonus: expected shape \(2, 4\), got \(2, 5\)$"):
        getattr(layers, name)(**a | {"bonus": np.ones((2, 5))})
    with pytest.raises(ValueError, match=r"^bonus: expected shape \(2, 4\), got \(3, 4\)$"):
        getattr(layers, name)(**a | {"bonus": np.ones((3, 4))})
    with pytest.raises(ValueError, match=r"^bonus: expected shape \(2, 4\), got \(\)$"):
        getattr(layers, name)(**a | {"bonus": np.array(1.0)})
    with pytest.raises(ValueError, match="^bonus: expected dtype float64 as q, got float32$"):
        getattr(layers, name)(**a | {"bonus": np.ones((2, 4), np.float32)})


# A normaliser with exponential gates


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("form", [layers.mlstm, chunked.mlstm], ids=["sequential", "chunked"])
def test_equal_input_gates_of_any_size_cancel_to_the_bit(form, dtype: str) -> None:
    rng = np.random.default_rng(0)
    q, k, v = (x.astype(dtype) for x in (1 + rng.random((2, T, D)), 1 + rng.random((2, T, D)), rng.random((2, T, D))))
    zero = np.zeros((2, T), dtype)
    one, *others = (form(q, k, v, log_input=zero + zero.dtype.type(s), log_forget=zero).o for s in (0, 700, 1000))
    assert all(np.array_equal(one, other) for other in others)
    assert np.isfinite(one).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("form", [layers.mlstm, chunked.mlstm], ids=["sequential", "chunked"])
def test_input_gates_that_vanish_or_overflow_leave_zero_and_no_nan(form, dtype: str) -> None:
    a = {n: x.astype(dtype) for n, x in given("mlstm").items()}
    for size in (-1000, -np.inf):
        assert not form(**a | {"log_input": np.full((2, T), size, dtype)}).o.any()
    assert not form(**a | {"k": 0 * a["k"], "log_input": np.full((2, T), 1000, dtype)}).o.any()
    assert not form(**a | {n: np.full((2, T), -np.inf, dtype) for n in ("log_input", "log_forget")}).o.any()


@pytest.mark.parametrize("size", [700.0, -700.0])
@pytest.mark.parametrize("forget", [0.0, -50.0])
def test_gates_of_seven_hundred_nats_are_exact_to_rounding(size: float, forget: float) -> None:
    a = given("mlstm")
    a["log_input"] += size * np.where(np.arange(T) % 3, 1.0, -1.0)
    a["log_forget"] += forget
    one, other = run("mlstm", a), rounding(pairing("mlstm").partner, a, FORMATS["float64"])
    parallel = rounding(chunked.mlstm, a, FORMATS["float64"])
    truth = np.stack([TWINS["mlstm"](**{n: x[h].astype(np.longdouble) for n, x in a.items()}) for h in range(2)])
    truth = truth.astype(np.float64)
    for side in (one, other, parallel):
        assert (row_norms(side.reference - truth) <= side.bound + FORMATS["float64"].u * row_norms(truth)).all()


@pytest.mark.parametrize("form", [layers.mlstm, chunked.mlstm], ids=["sequential", "chunked"])
def test_a_token_without_weight_is_a_token_that_is_not_there(form) -> None:
    a, at = given("mlstm"), 7
    a["log_forget"][:, at] = 0.0
    a["log_input"][:, at] = -np.inf
    without = {n: np.delete(x, at, axis=1) for n, x in a.items()}
    bound = run("mlstm", without)
    o = np.delete(form(**a).o, at, axis=1)
    assert (row_norms(o - bound.reference) <= 2 * bound.bound).all()


@pytest.mark.parametrize("form", [layers.mlstm, chunked.mlstm], ids=["sequential", "chunked"])
def test_the_unit_of_the_memory_is_free(form) -> None:
    a, rng = given("mlstm"), np.random.default_rng(1)
    C, n, m = rng.standard_normal((2, D, D)), rng.standard_normal((2, D)), rng.standard_normal(2)
    run = rounding(lambda **x: layers.mlstm(**x, initial_state=None), a, FORMATS["float64"])
    one = form(**a, initial_state=NormalisedMemory(C, n, m)).o
    for unit in (-30.0, 2.0, 30.0):
        same = NormalisedMemory(np.exp(-unit) * C, np.exp(-unit) * n, m + unit)
        # m + unit is rounded: a relative error of at most u(|m| + |unit|) of the memory it stands for.
        moved = FORMATS["float64"].u * (np.abs(m).max() + 2 * abs(unit)) * row_norms(one)
        assert (row_norms(form(**a, initial_state=same).o - one) <= 2 * run.bound + 2 * moved).all()


def test_a_constant_value_is_recalled_with_the_sign_of_its_normaliser() -> None:
    a = given("mlstm", T=200)
    a["v"] = np.ones_like(a["v"])
    o, logs = layers.mlstm(**a).o, exact.weights.log_ages(a["log_forget"][..., None])[..., 0]
    sums = np.sum(np.exp(logs + a["log_input"][:, None, :]) * (a["q"] @ a["k"].mT), axis=-1)
    assert (sums < -1).any()  # a negative denominator: no weighted mean could answer -1 to values that are all 1
    assert (np.sign(o[..., 0]) == np.sign(sums)).all()
    below, bound = np.abs(sums) > 1, run("mlstm", a).bound
    assert (np.abs(np.abs(o[..., 0]) - 1)[below] <= bound[below]).all()


def test_features_at_least_zero_make_it_normalised_linear_attention() -> None:
    a = given("mlstm")
    a["q"], a["k"] = 1 + np.abs(a["q"]), 1 + np.abs(a["k"])
    a |= {n: 0 * a[n] for n in ("log_input", "log_forget")}
    assert equal(run("mlstm", a), run("normalized_linear_attention", {n: a[n] for n in "qkv"}))


def test_an_epsilon_of_a_millionth_in_the_denominator_is_seen() -> None:
    a = given("mlstm")
    one = run("mlstm", a)
    logs = exact.weights.log_ages(a["log_forget"][..., None])[..., 0] + a["log_input"][:, None, :]
    m = np.max(logs, axis=-1)
    size = np.maximum(np.abs(np.sum(np.exp(logs) * (a["q"] @ a["k"].mT), axis=-1)), 1)
    shrunk = one.reference * (size / (size + 1e-6 * np.exp(m)))[..., None]
    assert (row_norms(shrunk - one.reference) > one.bound).all()


@pytest.mark.parametrize("part", ["C", "n", "m"])
@pytest.mark.parametrize("form", [layers.mlstm, chunked.mlstm], ids=["sequential", "chunked"])
def test_a_memory_that_does_not_fit_is_refused(form, part: str) -> None:
    a = given("mlstm")
    state = form(**a).state
    shape = getattr(state, part).shape
    wrong = state._replace(**{part: np.ones((*shape, 1))})
    sentence = f"^initial_state.{part}: expected shape .*{shape[-1]}.*, got "
    with pytest.raises(ValueError, match=sentence):
        form(**a, initial_state=wrong)


# One number a channel


@pytest.mark.parametrize("name", ["rwkv4", "rg_lru", "hgrn"])
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_values_need_one_number_a_channel(name: str, form) -> None:
    a = given(name)
    with pytest.raises(ValueError, match=r"^v: expected shape \(2, 24, 4\) as q, got \(2, 24, 3\)$"):
        getattr(form, name)(**a | {"v": a["v"][..., :3]})


@pytest.mark.parametrize("form", [layers.rwkv4, chunked.rwkv4], ids=["sequential", "chunked"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_mean_stays_between_the_smallest_and_the_largest_value(form, dtype: str) -> None:
    a = given("rwkv4", dtype=dtype)
    a |= {"q": np.ones_like(a["q"]), "k": FORMATS[dtype].nearest(200 * a["k"])}
    o = form(**{n: x.astype(dtype) for n, x in a.items()}).o.astype(np.float64)
    # Sums of at most T terms and one quotient: T + 2 roundings of numbers no larger than the largest value.
    slack = (T + 2) * 2 * FORMATS[dtype].u * np.abs(a["v"]).max()
    low, high = np.minimum.accumulate(a["v"], axis=1), np.maximum.accumulate(a["v"], axis=1)
    assert (o >= low - slack).all()
    assert (o <= high + slack).all()


def test_a_bonus_that_continues_the_decay_is_softmax_attention_over_time() -> None:
    a = given("rwkv4", d_k=1, d_v=1)
    rate = 0.3
    a |= {"log_decay": np.full((2, T), -rate), "bonus": np.full((2, 1), rate), "q": np.ones_like(a["q"])}
    logits = a["k"] + rate * np.arange(T)[:, None]
    soft = {"q": a["q"], "k": logits, "v": a["v"]}
    assert equal(run("rwkv4", a), run("softmax_attention", soft))


@pytest.mark.parametrize("name", ["rwkv4", "hgrn"])
def test_a_constant_value_is_kept(name: str) -> None:
    a = given(name)
    a |= {"q": np.ones_like(a["q"]), "v": np.full_like(a["v"], 3.0)}
    if name == "hgrn":
        a |= {"k": np.ones_like(a["k"]), "initial_state": np.full((2, D), 3.0)}
    one = run(name, a)
    assert (row_norms(one.reference - 3.0) <= one.bound).all()


def test_inputs_of_unit_variance_keep_it() -> None:
    g = given("rg_lru")["log_decay"][:1]
    impulses = np.eye(T)[:, :, None]
    one = np.ones_like(impulses)
    weights = layers.rg_lru(one, one, impulses, log_decay=g + np.zeros((T, 1))).state[:, 0]
    last = -np.expm1(2 * g.sum())
    # T positive terms, each a product of at most T factors with two roundings and one root.
    assert abs((weights**2).sum() - last) <= 2 * (2 * T + 3) * FORMATS["float64"].u * last


@pytest.mark.parametrize("name", ["rg_lru", "hgrn"])
def test_the_written_share_keeps_its_digits_near_gate_one(name: str) -> None:
    a = given(name, dtype="float32")
    a["log_decay"] = FORMATS["float32"].nearest(np.full((2, T), -1e-6))
    single = {n: x.astype(np.float32) for n, x in a.items()}
    bound = rounding(getattr(layers, name), a, FORMATS["float32"])
    assert (row_norms(getattr(layers, name)(**single).o - bound.reference) <= bound.bound).all()
    gate = np.exp(single["log_decay"])[..., None]
    share = 1 - gate if name == "hgrn" else np.sqrt(1 - gate * gate)
    h, rows = np.zeros((2, D), np.float32), []
    for t in range(T):  # the published formula as written, in float32
        h = gate[:, t] * h + share[:, t] * single["k"][:, t] * single["v"][:, t]
        rows.append(single["q"][:, t] * h)
    assert (row_norms(np.stack(rows, axis=1) - bound.reference) > bound.bound).mean() > 0.5


@pytest.mark.parametrize("name", ["rg_lru", "hgrn"])
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_a_reset_takes_the_input_and_gate_one_takes_nothing(name: str, form) -> None:
    a = given(name)
    a["log_decay"] = np.where(np.arange(T) % 6 == 0, -np.inf, 0.0) + np.zeros((2, 1))
    x = (a["k"] * a["v"])[:, np.arange(T) // 6 * 6]
    assert np.array_equal(getattr(form, name)(**a).o, a["q"] * x)


@pytest.mark.parametrize("part", WeightedMean._fields)
@pytest.mark.parametrize("form", [layers.rwkv4, chunked.rwkv4], ids=["sequential", "chunked"])
def test_sums_that_do_not_fit_are_refused(form, part: str) -> None:
    a = given("rwkv4")
    wrong = form(**a).state._replace(**{part: np.ones((2, 5))})
    with pytest.raises(ValueError, match=rf"^initial_state.{part}: expected shape \(2, 4\), got \(2, 5\)$"):
        form(**a, initial_state=wrong)


# All of them


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gate", [0.0, -50.0, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_extreme_gates_over_a_long_input_are_rounding(name: str, gate: float, dtype: str) -> None:
    a = given(name, dtype=dtype, T=200)
    for n in gates(a):
        a[n] = np.where(np.arange(200) % 5 == 2, gate, a[n])
    bound = rounding(getattr(layers, name), a, FORMATS[dtype], replicas=4)
    stored = {n: x.astype(dtype) for n, x in a.items()}
    for form in (getattr(layers, name), getattr(chunked, name)):
        assert (row_norms(form(**stored).o.astype(np.float64) - bound.reference) <= bound.bound).all()
    if dtype == "float64":
        truth = np.stack([TWINS[name](**{n: x[h].astype(np.longdouble) for n, x in a.items()}) for h in range(2)])
        truth = truth.astype(np.float64)
        assert (row_norms(bound.reference - truth) <= bound.bound + FORMATS[dtype].u * row_norms(truth)).all()


@pytest.mark.parametrize("name", NAMES)
def test_states_stay_in_the_callers_dtype_and_device(name: str, library: Library) -> None:
    a = library.arrays(given(name, T=3))
    for form in (layers, chunked):
        state = getattr(form, name)(**a).state
        for part in state if isinstance(state, tuple) else [state]:
            assert type(part) is type(a["q"])
            assert part.dtype == a["q"].dtype
            assert part.device == a["q"].device


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_gradients_match_finite_differences(name: str, form) -> None:
    a = given(name, (), T=3, d_k=2, d_v=2)
    leaves = tuple(torch.asarray(x).requires_grad_() for x in a.values())
    layer = getattr(form, name)
    assert torch.autograd.gradcheck(lambda *x: layer(**dict(zip(a, x, strict=True))).o, leaves)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", [layers, chunked], ids=["sequential", "chunked"])
def test_gradients_through_a_hard_reset_are_finite_and_stop_there(name: str, form) -> None:
    a, reset = given(name, (), T=8), 4
    for n in gates(a):
        a[n][reset] = -np.inf
    leaves = {n: torch.asarray(x).requires_grad_() for n, x in a.items()}
    first = reset + (name in ("rwkv6", "rwkv4"))  # there the token at the reset still reads what came before
    getattr(form, name)(**leaves).o[first:].sum().backward()
    gradients = {n: to_numpy(x.grad) for n, x in leaves.items()}
    assert all(np.isfinite(g).all() for g in gradients.values())
    assert not any(g[:reset].any() for n, g in gradients.items() if n != "bonus")
