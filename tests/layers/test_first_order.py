"""The delta rule's relatives: their orders of operation, what they become at the borders, what they refuse."""

import re

import numpy as np
import pytest
import torch

from tests.pairs.hostile import hostile
from ttr_numerics import exact, layers
from ttr_numerics.axes import Momentum, Preconditioned
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

DOUBLE = FORMATS["float64"]


def bounded(name, arrays):
    return rounding(getattr(layers, name), arrays, DOUBLE)


def equal(name, arrays, o, slack=1):
    """Whether `o` is the layer's output to rounding (of two sides of alike size with slack 2)."""
    run = bounded(name, arrays)
    return bool((row_norms(o - run.reference) <= slack * run.bound).all())


def generic(name, **axes):
    return hostile(pairing(name), "unit keys", **axes)


def run(arrays, step, memories=1):
    """o (2, T, d_v) of step(memories, t, head) -> memories, the first of which is read."""
    q, v = arrays["q"], arrays["v"]
    rows = []
    for head in range(2):
        state = tuple(np.zeros((q.shape[-1], v.shape[-1])) for _ in range(memories))
        for t in range(q.shape[1]):
            state = step(state, {n: x[head, t] for n, x in arrays.items()})
            rows.append(q[head, t] @ state[0])
    return np.reshape(rows, (2, q.shape[1], v.shape[-1]))


def rule(name):
    """The published step of a layer, with its order of operations laid open by mutants below."""
    return {
        "comba": lambda S, x: (np.exp(x["log_decay"]) * S[0] + x["beta"] * np.outer(x["k"], x["v"] - x["p"] @ S[0]),),
        "erase_write_delta_rule": lambda S, x: (
            np.exp(x["log_decay"]) * (S[0] - np.outer(x["k"], (x["erase"] * x["k"]) @ S[0]))
            + np.outer(x["k"], x["write"] * x["v"]),
        ),
    }[name]


MUTANTS = {
    ("comba", "the error on the decayed state"): lambda S, x: (
        np.exp(x["log_decay"]) * S[0] + x["beta"] * np.outer(x["k"], x["v"] - x["p"] @ (np.exp(x["log_decay"]) * S[0])),
    ),
    ("comba", "the decay after the write"): lambda S, x: (
        np.exp(x["log_decay"]) * (S[0] + x["beta"] * np.outer(x["k"], x["v"] - x["p"] @ S[0])),
    ),
    ("erase_write_delta_rule", "the error on the undecayed state"): lambda S, x: (
        np.exp(x["log_decay"]) * S[0] + np.outer(x["k"], x["write"] * x["v"] - (x["erase"] * x["k"]) @ S[0]),
    ),
    ("erase_write_delta_rule", "the erase gate on the written row"): lambda S, x: (
        np.exp(x["log_decay"]) * S[0]
        + np.outer(x["erase"] * x["k"], x["write"] * x["v"] - x["k"] @ (np.exp(x["log_decay"]) * S[0])),
    ),
    ("generalized_delta_rule", "a reading the decayed state"): lambda S, x: (
        np.exp(x["log_decay"]) * S[0]
        + np.outer(x["b"], x["a"] @ (np.exp(x["log_decay"]) * S[0]))
        + np.outer(x["k"], x["v"]),
    ),
    ("generalized_delta_rule", "a and b exchanged"): lambda S, x: (
        np.exp(x["log_decay"]) * S[0] + np.outer(x["a"], x["b"] @ S[0]) + np.outer(x["k"], x["v"]),
    ),
    ("longhorn", "the explicit step"): lambda S, x: (S[0] + x["beta"] * np.outer(x["k"], x["v"] - x["k"] @ S[0]),),
    ("longhorn_diagonal", "the step normalised by each channel alone"): lambda S, x: (
        S[0]
        + (x["beta"] / (1 + np.outer(x["k"] ** 2, x["beta"])))
        * (np.outer(x["k"], x["v"]) - (x["k"] ** 2)[:, None] * S[0]),
    ),
    ("momentum_delta_rule", "the gradient where the velocity leads (Nesterov)"): lambda S, x: _moved(
        S, x, S[0] + np.exp(x["log_momentum"]) * S[1]
    ),
}


def _moved(S, x, at):
    U = np.exp(x["log_momentum"]) * S[1] + x["beta"] * np.outer(x["k"], x["v"] - x["k"] @ at)
    return S[0] + U, U


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=lambda x: x.replace(" ", "-"))
def test_another_order_of_operations_is_another_layer(name, mutant):
    arrays = generic(name, T=16, d_k=5, d_v=4)
    o = run(arrays, MUTANTS[name, mutant], memories=2 if name == "momentum_delta_rule" else 1)
    bound = bounded(name, arrays)
    wrong = row_norms(o - bound.reference) > bound.bound
    assert wrong[:, 2:].all()


@pytest.mark.parametrize("name", ["comba", "erase_write_delta_rule"])
def test_the_published_order_is_the_layer(name):
    arrays = generic(name, T=16, d_k=5, d_v=4)
    assert equal(name, arrays, run(arrays, rule(name)), slack=2)


def test_a_decay_before_every_correction_of_a_token_is_seen():
    arrays = generic("gated_delta_product", T=16, n=3)
    often = {n: arrays[n].reshape(2, 48, -1) for n in "kv"} | {"beta": arrays["beta"].reshape(2, 48)}
    gate = np.repeat(arrays["log_decay"], 3, axis=-1)
    o = layers.gated_delta_rule(np.repeat(arrays["q"], 3, axis=1), **often, log_decay=gate).o[:, 2::3]
    bound = bounded("gated_delta_product", arrays)
    assert (row_norms(o - bound.reference)[:, 1:] > bound.bound[:, 1:]).all()


def test_a_correction_of_step_zero_or_key_zero_changes_nothing():
    arrays = generic("gated_delta_product", n=1)
    more = {n: np.concatenate([arrays[n], np.ones_like(arrays[n])], axis=2) for n in ("k", "v", "beta")}
    idle = more | {"beta": more["beta"] * [1.0, 0.0]}
    empty = more | {"k": more["k"] * [[1.0], [0.0]]}
    alone = layers.gated_delta_product(**arrays).o
    for changed in (idle, empty):
        assert np.array_equal(layers.gated_delta_product(**arrays | changed).o, alone)


def test_even_gates_are_the_gated_delta_rule():
    a = generic("gated_delta_rule")
    even = {"erase": np.repeat(a["beta"][..., None], 8, axis=-1), "write": np.repeat(a["beta"][..., None], 8, axis=-1)}
    rows = {n: a[n] for n in ("q", "k", "v", "log_decay")}
    assert equal("gated_delta_rule", a, layers.erase_write_delta_rule(**rows, **even).o, slack=2)


@pytest.mark.parametrize("beta", [1e17, 1e150])
def test_an_implicit_step_of_any_size_is_the_projection_and_stays_stable(beta):
    a = generic("longhorn")
    a["k"] = a["k"] * np.linspace(0.5, 2, 48)[:, None]
    projected = layers.delta_rule(a["q"], a["k"], a["v"], beta=1 / np.sum(a["k"] ** 2, axis=-1)).o
    # 1/‖k‖² and β/(1 + β‖k‖²) differ by 1/(1 + β‖k‖²), less than a unit roundoff from β‖k‖² = 2^53 on.
    assert equal("longhorn", a | {"beta": np.full_like(a["beta"], beta)}, projected, slack=2)


@pytest.mark.parametrize("name", ["longhorn", "longhorn_diagonal"])
def test_no_step_moves_away_from_a_memory_that_fits_every_pair(name):
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 200, 6))
    beta = np.exp(rng.uniform(-5, 20, (200, 1 if name == "longhorn" else 3)))
    if name == "longhorn":
        S, beta = rng.standard_normal((6, 3)), beta[:, 0]
    else:  # one key channel at a time: the diagonal is then k'k itself
        S, k = rng.standard_normal((6, 3)), k * np.eye(6)[np.arange(200) % 6]
    state, distances = np.zeros((6, 3)), []
    for t in range(200):
        given = {"beta": beta[t : t + 1], "initial_state": state}
        state = getattr(layers, name)(q[t : t + 1], k[t : t + 1], k[t : t + 1] @ S, **given).state
        distances.append(np.linalg.norm(state - S))
    # A projection, relaxed: no distance grows but by rounding, d_k roundoffs of the state a step.
    assert (np.diff(distances) <= 6 * 2.0**-53 * 4 * np.linalg.norm(S)).all()
    assert distances[-1] < distances[0] / 2


def test_a_whole_normalised_step_recalls_the_newest_pair_whatever_the_length_of_the_key():
    rng = np.random.default_rng(0)
    k = rng.standard_normal((2, 30, 6)) * np.exp(rng.uniform(-9, 9, (2, 30, 1)))
    v = rng.standard_normal((2, 30, 4))
    run = rounding(layers.kaczmarz_delta_rule, {"q": k, "k": k, "v": v, "step": np.ones((2, 30))}, DOUBLE)
    assert (row_norms(run.reference - v) <= run.bound).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_zero_key_and_one_whose_square_underflows_write_nothing(dtype):
    tiny = float(np.finfo(dtype).smallest_subnormal)
    k = np.array([[1.0, 0.0], [0.0, 0.0], [tiny, tiny], [0.0, 1.0]], dtype)
    v, step = np.ones((4, 1), dtype), np.ones(4, dtype)
    q = np.ones((4, 2), dtype)
    o = layers.kaczmarz_delta_rule(q, k, v, step=step).o
    assert o[:, 0].tolist() == [1.0, 1.0, 1.0, 2.0]
    gradient = torch.asarray(k.astype(np.float64)).requires_grad_()
    wide = [torch.asarray(x.astype(np.float64)) for x in (q, v, step)]
    layers.kaczmarz_delta_rule(wide[0], gradient, wide[1], step=wide[2]).o.sum().backward()
    assert bool(torch.isfinite(gradient.grad).all())


def test_momentum_zero_is_the_delta_rule_to_the_last_bit():
    a = generic("momentum_delta_rule")
    still = a | {"log_momentum": np.full_like(a["log_momentum"], -np.inf)}
    rows = {n: a[n] for n in ("q", "k", "v", "beta")}
    assert np.array_equal(layers.momentum_delta_rule(**still).o, layers.delta_rule(**rows).o)


def test_momentum_goes_on_where_nothing_is_learned():
    U = np.ones((1, 3, 2))
    zero = {n: np.zeros((1, 5, d)) for n, d in (("q", 3), ("k", 3), ("v", 2))}
    gates = {"beta": np.zeros((1, 5)), "log_momentum": np.full((1, 5), np.log(0.5))}
    state = layers.momentum_delta_rule(**zero, **gates, initial_state=Momentum(0 * U, U)).state
    assert np.array_equal(state.U, U * 2.0**-5)
    assert np.array_equal(state.S, U * (1 - 2.0**-5))


def test_a_preconditioner_of_base_one_is_none():
    a = generic("preconditioned_delta_rule")
    rows = {n: a[n] for n in ("q", "k", "v", "beta", "log_decay")}
    assert np.array_equal(layers.preconditioned_delta_rule(**a, base=1.0).o, layers.gated_delta_rule(**rows).o)


def test_the_multiplier_of_a_preconditioner_stays_between_its_bounds_and_falls_with_curvature():
    A = np.exp(np.linspace(-700, 700, 1001))
    m = layers.preconditioned.multiplier(A, 1.5, -0.2, 0.0)
    assert (np.diff(m) < 0).all()
    assert m[0] < 1.5
    assert m[-1] > 1 / 1.5
    at_centre = layers.preconditioned.multiplier(np.exp(np.array([-0.2])), 1.5, -0.2, 0.0)[0]
    assert abs(at_centre - 1) <= 4 * DOUBLE.u  # an exp, a log and an exp of numbers near 0, each within a roundoff


def test_a_curvature_handed_over_continues_the_preconditioner():
    a = generic("preconditioned_delta_rule")
    head, tail = ({n: x[:, part] for n, x in a.items()} for part in (slice(0, 20), slice(20, 48)))
    state = layers.preconditioned_delta_rule(**head).state
    whole = layers.preconditioned_delta_rule(**a)
    rest = layers.preconditioned_delta_rule(**tail, initial_state=state)
    assert np.array_equal(rest.o, whole.o[:, 20:])
    assert np.array_equal(rest.state.A, whole.state.A)
    forgotten = layers.preconditioned_delta_rule(**tail, initial_state=Preconditioned(state.S, 0 * state.A))
    assert not np.array_equal(forgotten.o, whole.o[:, 20:])


def test_the_exactly_preconditioned_delta_rule_is_recursive_least_squares():
    # Written row P_{t-1} k_t/(1 + k_t'P_{t-1} k_t), erased row k_t: here P by inversion, there by Cholesky.
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 40, 6))
    ridge = 0.5
    H = ridge * np.eye(6) + np.concatenate([np.zeros((1, 6, 6)), np.cumsum(k[:-1, :, None] * k[:-1, None], axis=0)])
    P = np.linalg.inv(H)
    gain = np.einsum("tij,tj->ti", P, k) / (1 + np.einsum("ti,tij,tj->t", k, P, k))[:, None]
    one = np.ones(40)
    layer = rounding(layers.comba, {"q": q, "k": gain, "v": v, "p": k, "beta": one, "log_decay": 0 * one}, DOUBLE)
    solved = rounding(exact.recursive_least_squares, {"q": q, "k": k, "v": v, "ridge": ridge}, DOUBLE)
    # The inverse carries d roundoffs times the condition number (Higham, section 14.1) into the gains.
    inverse = 6 * DOUBLE.u * np.linalg.cond(H)[:, None] * np.linalg.norm(q, axis=-1)[:, None] * np.linalg.norm(v)
    assert (row_norms(layer.reference - solved.reference) <= layer.bound + solved.bound + inverse[:, 0]).all()
    unprimed = layers.comba(q, k, v, p=k, beta=one, log_decay=0 * one).o
    assert (row_norms(unprimed - solved.reference)[1:] > layer.bound[1:] + inverse[1:, 0]).all()


def test_rwkv7_is_a_call():
    rng = np.random.default_rng(0)
    r, k, v, w, rate, removal = rng.standard_normal((6, 2, 24, 8))
    removal /= np.linalg.norm(removal, axis=-1, keepdims=True)
    gate = -np.exp(-0.5) / (1 + np.exp(-w))
    assert gate.min() > np.log(0.545)
    rate = 1 / (1 + np.exp(-rate))
    arrays = {"q": r, "k": k, "v": v, "a": -removal, "b": removal * rate, "log_decay": gate}
    S, rows = np.zeros((2, 8, 8)), []
    for t in range(24):  # the paper's value-by-key state: S (diag(w) - κ'(a∘κ)) + v k'
        T = (
            np.einsum("hi,ij->hij", np.exp(gate[:, t]), np.eye(8))
            - removal[:, t, :, None] * (rate * removal)[:, t, None]
        )
        S = S @ T + v[:, t, :, None] * k[:, t, None]
        rows.append((S @ r[:, t, :, None])[..., 0])
    assert equal("generalized_delta_rule", arrays, np.stack(rows, axis=1), slack=2)


SENTENCES = {
    ("comba", "p"): (np.ones((2, 5, 4)), "p: expected shape (2, 5, 3), got (2, 5, 4)"),
    ("generalized_delta_rule", "a"): (np.ones((2, 5)), "a: expected shape (2, 5, 3), got (2, 5)"),
    ("generalized_delta_rule", "b"): (np.ones((2, 5, 3), "f4"), "b: expected dtype float64 as q, got float32"),
    ("erase_write_delta_rule", "write"): (np.ones((2, 5, 3)), "write: expected shape (2, 5, 2), got (2, 5, 3)"),
    ("longhorn_diagonal", "beta"): (np.ones((2, 5, 3)), "beta: expected shape (2, 5, 2), got (2, 5, 3)"),
    ("kaczmarz_delta_rule", "step"): (np.ones((2, 5, 3)), "step: expected shape (2, 5), got (2, 5, 3)"),
    ("momentum_delta_rule", "log_momentum"): (np.ones((2, 4)), "log_momentum: expected shape (2, 5), got (2, 4)"),
    ("momentum_delta_rule", "initial_state"): (
        Momentum(np.ones((2, 3, 2)), np.ones((2, 3, 3))),
        "initial_state.U: expected shape (2, 3, 2), got (2, 3, 3)",
    ),
    ("preconditioned_delta_rule", "initial_state"): (
        Preconditioned(np.ones((2, 3, 2)), np.ones((2, 2))),
        "initial_state.A: expected shape (2, 3), got (2, 2)",
    ),
    ("gated_delta_product", "k"): (np.ones((2, 5)), "k: expected shape (..., T, n, d) with n at least 1, got (2, 5)"),
    ("gated_delta_product", "v"): (np.ones((2, 5, 3, 2)), "v: expected 2 rows a token as k, got 3"),
    ("gated_delta_product", "beta"): (np.ones((2, 5)), "beta: expected shape (2, 5, 2), got (2, 5)"),
}


@pytest.mark.parametrize(("name", "argument"), SENTENCES)
def test_what_does_not_fit_is_refused_in_one_sentence(name, argument):
    wrong, sentence = SENTENCES[name, argument]
    arrays = generic(name, T=5, d_k=3, d_v=2) | {argument: wrong}
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        getattr(layers, name)(**arrays)
    if hasattr(layers.chunked, name):
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            getattr(layers.chunked, name)(**arrays)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_any_number_of_corrections_a_token_in_chunks_is_the_sequence_of_them(n, channels):
    arrays = pairing("gated_delta_product").example(np.random.default_rng(n), T=23, n=n, channels=channels)
    arrays["log_decay"][:, 4], arrays["log_decay"][:, 11] = -np.inf, -50.0
    one = bounded("gated_delta_product", arrays)
    for chunk in (1, 3, 8, 32):
        chunked = rounding(
            lambda chunk=chunk, **x: layers.chunked.gated_delta_product(**x, chunk=chunk), arrays, DOUBLE
        )
        assert (row_norms(chunked.reference - one.reference) <= one.bound + chunked.bound).all()
