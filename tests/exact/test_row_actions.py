"""Sweeps over the associations against SciPy: a dense linear system of all states at once, filters, least squares."""

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from ttr_numerics import exact
from ttr_numerics.axes import Momentum
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T, D_K, D_V = 18, 4, 3
DOUBLE = FORMATS["float64"]


def data(seed=0):
    """One head; keys of norms from 0.5 to 2, two of them equal, one zero; gates 0, -50 and -inf among them."""
    rng = np.random.default_rng(seed)
    rows = {n: rng.standard_normal((T, D_K)) for n in ("q", "k", "erase", "a", "b")}
    rows = {n: x / np.linalg.norm(x, axis=-1, keepdims=True) for n, x in rows.items()}
    rows["k"] = rows["k"] * rng.uniform(0.5, 1.5, (T, 1))
    rows["k"][5], rows["k"][9] = rows["k"][4], 0
    gates = {n: -rng.exponential(0.1, T) for n in ("log_decay", "log_momentum")}
    for name, where in (("log_decay", (3, 7, 12)), ("log_momentum", (2, 8, 13))):
        gates[name][list(where)] = 0.0, -50.0, -np.inf
    return rows | gates | {"v": rng.standard_normal((T, D_V)), "beta": rng.uniform(0.1, 1.0, T)}


def outer(column, row):
    return np.outer(column, row)


def transitions(name, x, t):
    """F and G of x_t = F x_{t-1} + G for one token, the state of momentum being S above U."""
    one, keep = np.eye(D_K), np.exp(x["log_decay"][t]) * np.eye(D_K)
    k, v, beta = x["k"][t], x["v"][t], x["beta"][t]
    if name == "kaczmarz_prefixes":
        return (one - beta * outer(k, k)) @ keep, beta * outer(k, v)
    if name == "mismatched_kaczmarz_prefixes":
        return keep - outer(k, x["erase"][t]), outer(k, v)
    if name == "state_feedback_prefixes":
        return keep + outer(x["b"][t], x["a"][t]), outer(k, v)
    pull, push = -beta * outer(k, k), np.exp(x["log_momentum"][t]) * one
    write = beta * outer(k, v)
    return np.block([[keep + pull, push], [pull, push]]), np.vstack([write, write])


TAKES = {
    "kaczmarz_prefixes": ("beta", "log_decay"),
    "mismatched_kaczmarz_prefixes": ("erase", "log_decay"),
    "state_feedback_prefixes": ("a", "b", "log_decay"),
    "heavy_ball_prefixes": ("beta", "log_momentum", "log_decay"),
}


def dense(name, x, start):
    """All states by one LU factorisation of the block bidiagonal system, and its condition number."""
    n = start.shape[0]
    A, B = np.eye(n * T), np.zeros((n * T, D_V))
    for t in range(T):
        F, G = transitions(name, x, t)
        B[n * t : n * t + n] = G + (F @ start if t == 0 else 0)
        if t:
            A[n * t : n * t + n, n * t - n : n * t] = -F
    return scipy.linalg.solve(A, B).reshape(T, n, D_V), np.linalg.cond(A)


@pytest.mark.parametrize("name", TAKES)
def test_all_states_solve_one_linear_system(name):
    x = data()
    begin = np.random.default_rng(1).standard_normal((2 if name == "heavy_ball_prefixes" else 1, D_K, D_V))
    states, condition = dense(name, x, begin.reshape(-1, D_V))
    given = {n: x[n] for n in ("q", "k", "v", *TAKES[name])}
    state = Momentum(*begin) if name == "heavy_ball_prefixes" else begin[0]
    solver = getattr(exact, name)
    o, last = solver(**given, initial_state=state)
    bound = rounding(lambda **x: solver(**x), given, DOUBLE).bound
    # LU with pivoting: backward error n u of a system of this condition (Higham, theorem 9.5 with growth near 1).
    lapack = states.shape[0] * states.shape[1] * DOUBLE.u * condition * np.linalg.norm(states)
    truth = np.einsum("ti,tij->tj", x["q"], states[:, :D_K])
    assert (row_norms(o - truth) <= bound + lapack).all()
    last = np.concatenate(list(last)) if isinstance(last, tuple) else last
    assert np.linalg.norm(last - states[-1]) <= np.sqrt(D_K) * bound.max() + lapack
    wrong, _ = dense(name, x | {"v": x["v"] * (1 + 1e-9 * (np.arange(T) == 2))[:, None]}, begin.reshape(-1, D_V))
    assert (row_norms(o - np.einsum("ti,tij->tj", x["q"], wrong[:, :D_K])) > bound + lapack)[2:7].any()


def test_a_mismatched_sweep_is_an_oblique_projection_where_the_rows_are_dual():
    x = data()
    erase = x["erase"] / np.sum(x["erase"] * (x["k"] + x["erase"]), axis=-1, keepdims=True)
    k = x["k"] + x["erase"]  # e_t k_t' = 1
    given = {"q": erase, "k": k, "v": x["v"], "erase": erase}
    run = rounding(exact.mismatched_kaczmarz_prefixes, given, DOUBLE)
    assert (row_norms(run.reference - x["v"]) <= run.bound).all()


def test_an_even_erase_is_the_relaxed_sweep():
    x = data()
    given = {n: x[n] for n in ("q", "k", "v", "log_decay", "beta")}
    run = rounding(exact.kaczmarz_prefixes, given, DOUBLE)
    step = x["beta"][:, None]
    erase = step * np.exp(x["log_decay"])[:, None] * x["k"]
    o = exact.mismatched_kaczmarz_prefixes(x["q"], x["k"], step * x["v"], erase=erase, log_decay=x["log_decay"]).o
    assert (row_norms(o - run.reference) <= 2 * run.bound).all()


def test_feedback_of_nothing_is_the_correlation():
    x = data()
    given = {n: x[n] for n in ("q", "k", "v", "log_decay")}
    run = rounding(exact.correlation_prefixes, given, DOUBLE)
    o = exact.state_feedback_prefixes(**given, a=x["a"], b=0 * x["b"]).o
    assert (row_norms(o - run.reference) <= 2 * run.bound).all()


def test_a_proximal_step_is_least_squares_on_the_state_above_the_pair():
    x = data()
    start = np.random.default_rng(1).standard_normal((D_K, D_V))
    S, answers, conditions = start, [], []
    for t in range(T):
        root = np.sqrt(x["beta"][t])
        A, B = np.vstack([np.eye(D_K), root * x["k"][t]]), np.vstack([S, root * x["v"][t]])
        S = scipy.linalg.lstsq(A, B)[0]
        conditions.append(np.linalg.cond(A) ** 2)
        answers.append(x["q"][t] @ S)
    given = {n: x[n] for n in ("q", "k", "v", "beta")}
    o, state = exact.proximal_prefixes(**given, initial_state=start)
    # Each step contracts; its least squares has residuals of the size of B: d² roundoffs of κ² (Wedin), added up.
    size = np.linalg.norm(start) + np.linalg.norm(x["v"])
    bound = D_K**2 * DOUBLE.u * np.cumsum(conditions) * size
    assert (row_norms(o - np.array(answers)) <= bound).all()
    assert np.linalg.norm(state - S) <= bound[-1]
    assert (
        np.linalg.norm(exact.proximal_prefixes(**given | {"beta": 1.001 * x["beta"]}, initial_state=start).o - o)
        > bound[-1]
    )


@pytest.mark.parametrize("n", [0, 1, 2, 5, 8, 33])
def test_scalar_recurrences_are_scipys_filter_and_its_banded_solve(n):
    rng = np.random.default_rng(n)
    b, first = rng.standard_normal((n, 3)), rng.standard_normal(3)
    for a in (0.9, -1.0, 0.0):
        x = exact.affine_prefixes(np.full((n, 3), a), b, first)
        y = scipy.signal.lfilter([1.0], [1.0, -a], b, axis=0, zi=a * first[None])[0] if n else b
        # Sums of at most n + 1 products of |a| ≤ 1, in two orders.
        assert (np.abs(x - y) <= 4 * (n + 1) * DOUBLE.u * (np.abs(first) + np.abs(b).sum(axis=0))).all()
    a = rng.uniform(-1, 1, (n, 3))
    x = exact.affine_prefixes(a, b, first)
    for c in range(3 if n else 0):
        bands = np.stack([np.ones(n), -np.append(a[1:, c], 0.0)])
        right = b[:, c] + np.append(a[0, c] * first[c], np.zeros(n - 1))
        y = scipy.linalg.solve_banded((1, 0), bands, right)
        assert (np.abs(x[:, c] - y) <= 4 * (n + 1) * DOUBLE.u * (abs(first[c]) + np.abs(b[:, c]).sum())).all()


def test_diagonal_sweeps_are_one_dimensional_sweeps():
    x = data()
    beta = np.random.default_rng(2).uniform(0.1, 2, (T, D_V))
    given = {"q": x["q"], "k": x["k"], "v": x["v"], "beta": beta}
    run = rounding(exact.diagonal_kaczmarz_prefixes, given, DOUBLE)
    step = beta / (1 + beta * np.sum(x["k"] ** 2, axis=-1, keepdims=True))
    for j in range(D_V):
        o = sum(
            exact.kaczmarz_prefixes(x["q"][:, [c]], x["k"][:, [c]], x["v"][:, [j]], beta=step[:, j]).o[:, 0]
            for c in range(D_K)
        )
        assert (np.abs(o - run.reference[:, j]) <= 2 * run.bound).all()


def test_the_curvature_is_the_diagonal_of_the_weighted_gram_matrix():
    x = data()
    gates = {"log_decay": x["log_decay"], "beta": x["beta"]}
    weights = np.random.default_rng(2).uniform(0.1, 1, T)
    state = exact.preconditioned_kaczmarz_prefixes(
        x["q"], x["k"], x["v"], **gates, curvature_beta=weights, curvature_log_decay=x["log_momentum"]
    ).state
    aged = weights * exact.prefix_weights(x["log_momentum"])[-1]
    gram = x["k"].T @ (aged[:, None] * x["k"])
    # T + 3 roundings of sums of numbers that are not negative.
    assert (np.abs(state.A - np.diag(gram)) <= 2 * (T + 3) * DOUBLE.u * np.diag(gram)).all()


@pytest.mark.parametrize("gate", [0.1, np.nan])
@pytest.mark.parametrize("name", ["log_decay", "log_momentum"])
def test_a_gate_that_grows_is_refused_by_its_name(name, gate):
    x = data()
    given = {n: x[n] for n in ("q", "k", "v", *TAKES["heavy_ball_prefixes"])}
    given[name] = np.where(np.arange(T) == 4, gate, given[name])
    with pytest.raises(ValueError, match=rf"^{name}: expected at most 0 \(-inf resets\), got {gate} first at \(4,\)$"):
        exact.heavy_ball_prefixes(**given)
