"""The chunk-parallel form is the recurrence: proved on symbols, to rounding at hostile gates, in bounded memory."""

import inspect
import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import sympy
import torch

from tests.verdict import test_words
from ttr_numerics import layers
from ttr_numerics.arrays import to_numpy
from ttr_numerics.arrays.factor import unit_forward_substitution
from ttr_numerics.derivations import Equation, negative, positive, real, symbolic
from ttr_numerics.layers import chunked
from ttr_numerics.precision import FORMATS
from ttr_numerics.recurrence import chunk_parallel, chunks, micro_steps
from ttr_numerics.tolerance import rounding, row_norms

RESET = ["gated_delta_rule", "gated_linear_attention"]  # a gate of -inf leaves nothing of the past
UNDECAYED = ["comba", "generalized_delta_rule"]  # rows that read the undecayed state; the second in two steps a token
GATED = [*RESET, *UNDECAYED]
NAMES = ["linear_attention", "delta_rule", *GATED]


def inputs(dtype=np.float64):
    """The arrays of every layer here: rows that feed back are half as long as keys."""
    a = test_words.inputs(dtype=dtype)
    rows = np.random.default_rng(1).standard_normal((3, *a["k"].shape))
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return a | {name: x.astype(dtype) for name, x in zip("pab", (rows[0], rows[1], rows[2] / 2), strict=True)}


def arguments(name, a):
    """What the layer called `name` takes of `a`."""
    return {n: a[n] for n in inspect.signature(getattr(layers, name)).parameters if n in a}


def equal(x, y):
    """Whether every entry of x - y simplifies to 0."""
    return Equation("equal", "x", x, y).holds()


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_on_symbols_the_two_forms_are_one(name, channels):
    T, d_k, d_v = 3, 2, 1
    q, k, v, S0 = symbolic(T, d_k, d_v)
    gate = negative("g", T, d_k) if channels else negative("g", T)
    rows = {"p": real("p", T, d_k), "a": real("a", T, d_k), "b": real("b", T, d_k)}
    a = {"q": q, "k": k, "v": v, "beta": positive("c", T), "log_decay": gate, **rows}
    given = arguments(name, a) | {"initial_state": S0}
    parallel, sequential = getattr(chunked, name)(**given, chunk=2), getattr(layers, name)(**given)
    assert equal(parallel.o, sequential.o)
    assert equal(parallel.state, sequential.state)


def agree(name, given, chunk, dtype="float64"):
    """Whether outputs in `dtype` lie within the rounding of both forms, token by token and head by head."""
    form = getattr(layers, name)
    bound = rounding(form, given, FORMATS[dtype], forms=(lambda **x: getattr(chunked, name)(**x, chunk=chunk),))
    stored = {n: FORMATS[dtype].nearest(x).astype(dtype) for n, x in given.items()}
    o = getattr(chunked, name)(**stored, chunk=chunk).o
    return bool((row_norms(o.astype(np.float64) - bound.reference) <= bound.bound).all())


def gates(a, value, where, channels):
    """Gates of `a` with `value` at the tokens `where`, in every second channel alone if per channel."""
    log_decay = a["log_decay"].copy()
    if channels:
        log_decay = np.repeat(log_decay[..., None], a["q"].shape[-1], axis=-1)
        log_decay[..., where, ::2] = value
    else:
        log_decay[..., where] = value
    return a | {"log_decay": log_decay}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("value", [0.0, -20.0, -50.0, -np.inf])
@pytest.mark.parametrize("name", GATED)
def test_gates_at_the_borders_of_chunks_and_inside(name, value, channels, dtype):
    a = inputs(dtype=np.float64)
    for where in ([0], [8], [7], [7, 8], [11, 12, 13], [47]):  # chunks of 8: first, last, both, inside
        given = arguments(name, gates(a, value, where, channels))
        assert agree(name, given, 8, dtype), where
    assert agree(name, given, 5, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", GATED)
def test_a_product_of_gates_that_underflows_is_a_reset(name, channels, dtype):
    a = inputs(dtype=np.float64)
    given = arguments(name, gates(a, -80.0, slice(3, 40), channels))  # e^-80 is a float32, its square is 0
    assert agree(name, given, 32, dtype)


@pytest.mark.parametrize("reset", [8, 11])
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", RESET)
def test_after_a_reset_nothing_of_the_past_is_left_to_the_last_bit(name, channels, reset, library):
    given = arguments(name, gates(inputs(dtype=np.float64), -np.inf, [reset], channels=False))
    if channels:
        given["log_decay"] = np.repeat(given["log_decay"][..., None], 8, axis=-1)
    other = {n: np.concatenate([x[:, :reset] / 3, x[:, reset:]], axis=1) for n, x in given.items()}
    one, two = (getattr(chunked, name)(**library.arrays(x), chunk=8) for x in (given, other))
    assert not np.array_equal(to_numpy(one.o), to_numpy(two.o))
    assert np.array_equal(to_numpy(one.o)[:, reset:], to_numpy(two.o)[:, reset:])
    assert np.array_equal(to_numpy(one.state), to_numpy(two.state))


@pytest.mark.parametrize("name", GATED)
def test_a_gate_one_token_late_is_seen(name):
    given = arguments(name, gates(inputs(dtype=np.float64), -20.0, [8], channels=False))
    bound = rounding(getattr(layers, name), given, FORMATS["float64"])
    late = given | {"log_decay": np.roll(given["log_decay"], 1, axis=-1)}
    error = row_norms(getattr(chunked, name)(**late, chunk=8).o - bound.reference)
    assert (error[:, 8:] > bound.bound[:, 8:]).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_keeps_its_own_rounding_at_a_ragged_length(name, library):
    a = {n: x[:, :21] for n, x in inputs(dtype=np.float64).items() if x.ndim}
    a["v"] = np.concatenate([a["v"], a["v"][..., :3]], axis=-1)  # d_v = 11, d_k = 8
    given, form = arguments(name, a), getattr(chunked, name)
    bound = rounding(getattr(layers, name), given, FORMATS[library.dtype], forms=(lambda **x: form(**x, chunk=8),))
    arrays = library.arrays(given)
    out = form(**arrays, chunk=8)
    assert out.o.dtype == out.state.dtype == arrays["q"].dtype
    assert (row_norms(to_numpy(out.o).astype(np.float64) - bound.reference) <= bound.bound).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_token_hands_the_state_on_and_one_token_is_the_step(name, library):
    a = library.arrays(arguments(name, inputs(dtype=np.float64)))
    form = getattr(chunked, name)
    state = form(**a).state
    empty = form(**{n: x[:, :0, ...] for n, x in a.items()}, initial_state=state)
    assert tuple(empty.o.shape) == (2, 0, 8)
    assert np.array_equal(to_numpy(empty.state), to_numpy(state))
    one = {n: x[:, :1, ...] for n, x in a.items()}
    assert tuple(form(**one, initial_state=state).o.shape) == (2, 1, 8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [(), (2,), (1, 2)])
def test_groups_of_chunks_are_invisible(name, batch, monkeypatch):
    a = {n: x.reshape((*batch, *x.shape[1:])) if batch else x[0] for n, x in inputs(dtype=np.float64).items() if x.ndim}
    given, form = arguments(name, a), getattr(chunked, name)
    together = form(**given, chunk=5).o
    monkeypatch.setattr(chunks, "GROUP", 1)
    bound = rounding(lambda **x: form(**x, chunk=5), given, FORMATS["float64"]).bound
    assert (row_norms(form(**given, chunk=5).o - together) <= 2 * bound).all()


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_finite_differences(name, channels):
    a = {n: x[0, :5] for n, x in inputs(dtype=np.float64).items() if x.ndim}
    a |= {n: a[n][:, :2] for n in "qkvpab"}
    given = arguments(name, gates(a, -1.0, [3], channels))
    leaves = tuple(torch.asarray(x).requires_grad_() for x in given.values())

    def outputs(*arrays):
        return tuple(getattr(chunked, name)(**dict(zip(given, arrays, strict=True)), chunk=2))

    assert torch.autograd.gradcheck(outputs, leaves)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("name", RESET)
def test_gradients_through_a_hard_reset_are_finite_and_stop_there(name, channels):
    given = arguments(name, gates(inputs(dtype=np.float64), -np.inf, [11], channels=False))
    if channels:
        given["log_decay"] = np.repeat(given["log_decay"][..., None], 8, axis=-1)
    leaves = {n: torch.asarray(x).requires_grad_() for n, x in given.items()}
    getattr(chunked, name)(**leaves, chunk=8).o[:, 11:].sum().backward()
    gradients = [x.grad for x in leaves.values()]
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert not any(bool(g[:, :11].any()) for g in gradients), "the past has no influence"
    assert not bool(leaves["log_decay"].grad[:, 11].any()), "exp has slope 0 there"


def streamed(T, piece, form, d=4):
    """The state after T tokens handed over `piece` at a time, and the most memory held on the way."""
    rng, state = np.random.default_rng(0), None
    tracemalloc.start()
    for _ in range(T // piece):
        q, k, v = rng.standard_normal((3, piece, d))
        k /= np.linalg.norm(k, axis=-1, keepdims=True)
        state = form(q, k, v, beta=rng.random(piece), log_decay=-rng.random(piece), initial_state=state).state
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return state, peak


def test_a_million_tokens_need_the_memory_of_one_piece():
    _, one = streamed(10_000, 10_000, chunked.gated_delta_rule)
    state, many = streamed(1_000_000, 10_000, chunked.gated_delta_rule)
    # One piece more, at most: the old q, k and v live until the new ones are drawn. Growth would give a hundred.
    assert many <= 2 * one
    assert np.isfinite(state).all()
    _, whole = streamed(200_000, 200_000, chunked.gated_delta_rule)
    assert whole > 2 * one, "the measure sees memory that grows"


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_of_ragged_pieces_is_the_single_call(name):
    given = arguments(name, inputs(dtype=np.float64))
    form, outputs, state = getattr(chunked, name), [], None
    for piece in (slice(0, 1), slice(1, 18), slice(18, 18), slice(18, 34), slice(34, 48)):
        o, state = form(**{n: x[:, piece] for n, x in given.items()}, initial_state=state, chunk=8)
        outputs.append(o)
    bound = rounding(lambda **x: form(**x, chunk=8), given, FORMATS["float64"]).bound
    apart = row_norms(np.concatenate(outputs, axis=-2) - form(**given, chunk=8).o)
    assert (apart <= 2 * bound).all()


def test_a_decayed_read_where_an_undecayed_is_meant_is_seen():
    given = arguments("comba", inputs())
    bound = rounding(layers.comba, given, FORMATS["float64"])
    decayed = given | {"p": given["p"] * np.exp(given["log_decay"])[..., None]}
    error = row_norms(chunked.comba(**decayed, chunk=8).o - bound.reference)
    assert (error[:, 1:] > bound.bound[:, 1:]).all()  # the first token finds an empty state


@pytest.mark.parametrize("m", [1, 2, 3])
def test_rows_of_several_steps_are_those_steps_one_after_the_other(m):
    q, k, v, erase = real("q", 2, 1), *(real(name, 2, m, 1) for name in "kve")
    gate, S = negative("g", 2, 1), real("s", 1, 1)

    def substitute(q, k, v, erase, gate):
        return micro_steps(q, *(x[..., :, None] for x in (k, v, erase)), gate)

    out = chunk_parallel(substitute, S, 2, q, k[..., 0], v[..., 0], erase[..., 0], gate)
    rows = []
    for t in range(2):
        S = sympy.exp(gate[t, 0]) * S + k[t, 0] * (v[t, 0] - erase[t, 0] * S)
        for j in range(1, m):
            S = S + k[t, j] * (v[t, j] - erase[t, j] * S)
        rows.append(q[t] * S[0])
    assert equal(out.o, np.array(rows))
    assert equal(out.state, S)


def velocities():
    """Arguments of momentum with resets of either memory at and near the borders of chunks of 8."""
    rng = np.random.default_rng(2)
    given = arguments("momentum_delta_rule", inputs()) | {"log_momentum": -rng.uniform(0.2, 1.5, (2, 48))}
    for gate, where in (("log_decay", (8, 20, 31)), ("log_momentum", (7, 20, 40))):
        given[gate][:, list(where)] = -np.inf
        given[gate][:, [3, 15, 16]] = -50.0
        given[gate][:, [5, 24]] = 0.0
    return given


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("chunk", [1, 3, 8, 32])
def test_momentum_keeps_its_digits_at_every_gate_and_chunk(chunk, dtype):
    assert agree("momentum_delta_rule", velocities(), chunk, dtype)


def test_momentum_handed_over_at_ragged_pieces_is_the_single_call():
    given, outputs, state = velocities(), [], None
    for piece in (slice(0, 1), slice(1, 18), slice(18, 18), slice(18, 34), slice(34, 48)):
        part = {n: x[:, piece] for n, x in given.items()}
        o, state = chunked.momentum_delta_rule(**part, initial_state=state, chunk=8)
        outputs.append(o)
    whole = layers.momentum_delta_rule(**given)
    bound = rounding(layers.momentum_delta_rule, given, FORMATS["float64"], forms=(chunked.momentum_delta_rule,)).bound
    assert (row_norms(np.concatenate(outputs, axis=-2) - whole.o) <= 2 * bound).all()
    # A unit query reads one row of S: its bound is that row's.
    unit = {**given, "q": np.broadcast_to(np.eye(8)[0], given["q"].shape)}
    scale = rounding(layers.momentum_delta_rule, unit, FORMATS["float64"], forms=(chunked.momentum_delta_rule,))
    assert (np.abs(state.S[:, 0] - whole.state.S[:, 0]).max(axis=-1) <= 2 * scale.bound[:, -1]).all()


def test_momentum_has_gradients_and_they_are_finite_through_resets():
    given = {n: x[0, 3:9] for n, x in velocities().items()}
    given |= {n: given[n][:, :2] for n in "qkv"} | {
        "log_decay": given["log_decay"].clip(-3),
        "log_momentum": given["log_momentum"].clip(-3),
    }
    leaves = tuple(torch.asarray(x).requires_grad_() for x in given.values())

    def outputs(*arrays):
        o, state = chunked.momentum_delta_rule(**dict(zip(given, arrays, strict=True)), chunk=4)
        return o, *state

    assert torch.autograd.gradcheck(outputs, leaves)
    reset = {n: torch.asarray(x).requires_grad_() for n, x in velocities().items()}
    chunked.momentum_delta_rule(**reset, chunk=8).o.sum().backward()
    assert all(bool(torch.isfinite(x.grad).all()) for x in reset.values())


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16, 31, 64])
def test_unit_forward_substitution_is_lapacks_and_reads_only_below_the_diagonal(n, double):
    rng = np.random.default_rng(n)
    below, b = rng.standard_normal((3, n, n)) / 4, rng.standard_normal((3, n, 5))
    lower = np.eye(n) + np.tril(below, -1)
    noise = np.where(np.tri(n, k=-1, dtype=bool), below, np.nan)
    x, y = (to_numpy(z) for z in unit_forward_substitution(double.asarray(noise), *map(double.asarray, (b, 2 * b))))
    oracle = scipy.linalg.solve_triangular(lower, b, lower=True, unit_diagonal=True)
    # |error| ≤ γ_n M(L)⁻¹|L||x| componentwise for each of the two, M(L) the comparison matrix; the inverses of order
    # 8 and the products after them stay below 3 γ_n (Higham, theorems 8.5 and 14.4).
    comparison = np.eye(n) - np.tril(np.abs(below), -1)
    bound = 4 * n * 2.0**-53 * np.linalg.solve(comparison, np.abs(lower) @ np.abs(oracle))
    assert (np.abs(x - oracle) <= bound).all()
    assert np.array_equal(y, 2 * x), "a power of two commutes with every rounding"
