"""Smoothers in time against statsmodels, SciPy and pandas, and the sums of weights that they are known by."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.signal import lfilter
from statsmodels.tsa.api import SimpleExpSmoothing

from tests.conftest import Library
from ttr_numerics import exact
from ttr_numerics.arrays import like, to_numpy
from ttr_numerics.axes import WeightedMean
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

U, T, D = 2.0**-53, 40, 3


def smoothed(x, weights, log_decay, initial_state=None):
    return exact.exponential_smoother_prefixes(x, weights=weights, log_decay=log_decay, initial_state=initial_state)


def convex(x):
    """How far two evaluations of a weighted mean of T values may lie apart: n roundings each of n terms, n = T + 4."""
    return 2 * (T + 4) * U * np.abs(x).max()


def generic(rng: np.random.Generator):
    x, k = rng.standard_normal((2, 2, T, D))
    return x, k, -rng.exponential(0.2, (2, T, D)), rng.standard_normal((2, D))


@pytest.mark.parametrize("f", [0.3, 0.9, 0.999])
def test_complementary_weights_are_simple_exponential_smoothing(f: float, rng: np.random.Generator) -> None:
    x, start = rng.standard_normal(T), 0.7
    theirs = SimpleExpSmoothing(x, initialization_method="known", initial_level=start)
    level = theirs.fit(smoothing_level=1 - f, optimized=False).level
    gate = np.full(T, np.log(f))
    ours = smoothed(x[:, None], -np.expm1(gate), gate, np.array([start])).o[:, 0]
    # ln f is rounded: relative error u in ln f is |ln f| u in every factor, and 1 - f is taken of the rounded one.
    assert (np.abs(ours - level) <= convex(x) * (1 + 1 / (1 - f))).all()


@pytest.mark.parametrize("a", [0.2, 0.95])
def test_any_constant_weight_is_a_recursive_filter(a: float, rng: np.random.Generator) -> None:
    x, gate, w = rng.standard_normal((T, D)), np.log(a), 0.6
    theirs, _ = lfilter([w], [1.0, -a], x, axis=0, zi=a * np.ones((1, D)))
    ours = smoothed(x, np.full(T, w), np.full(T, gate), np.ones(D))
    size = lfilter([w], [1.0, -a], np.abs(x), axis=0, zi=a * np.ones((1, D)))[0]
    assert (np.abs(ours.o - theirs) <= 2 * (T + 4) * U * size).all()
    assert np.array_equal(ours.state, ours.o[-1])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_a_mean_whose_newest_weight_continues_the_window_is_an_adjusted_moving_average(alpha, rng) -> None:
    x, gate = rng.standard_normal((T, D)), np.log(1 - alpha)
    theirs = pd.DataFrame(x).ewm(alpha=alpha, adjust=True).mean().to_numpy()
    gates, newest = np.full(T, gate), np.full(D, -gate)
    ours = exact.exponential_mean_prefixes(x, log_weights=np.zeros(T), log_decay=gates, log_newest=newest)
    # A log weight of size s has error s u, which is a relative error of its weight: at most T |ln(1 - α)| for age T.
    assert (np.abs(ours.o - theirs) <= convex(x) * (1 + abs(gate) * T)).all()


def test_every_mean_is_weighted_least_squares_on_a_constant(rng: np.random.Generator) -> None:
    x, k, g, newest = (y[0] for y in generic(rng))
    ours = exact.exponential_mean_prefixes(x, log_weights=k, log_decay=g, log_newest=newest).o
    for t in (0, 1, 7, T - 1):
        for c in range(D):
            logs = k[: t + 1, c] + np.array([g[i + 1 : t, c].sum() if i < t else newest[c] for i in range(t + 1)])
            theirs = sm.WLS(x[: t + 1, c], np.ones(t + 1), weights=np.exp(logs)).fit().params[0]
            # Weights differ by the rounding of their logs, at most T of size T|g| + |k|; a mean moves by that much.
            assert abs(ours[t, c] - theirs) <= convex(x) * (1 + np.abs(logs).max() * T)


def test_a_mean_in_time_is_nadaraya_watson_with_time_for_a_key(rng: np.random.Generator) -> None:
    x, k, _, _ = (y[0] for y in generic(rng))
    rate, time = 0.3, np.arange(T)[:, None].astype(float)
    mean = exact.exponential_mean_prefixes(
        x[:, :1], log_weights=k[:, :1], log_decay=np.full(T, -rate), log_newest=np.full(1, rate)
    )
    smoother = exact.kernel_smoother_prefixes(
        0 * time + rate, time, x[:, :1], kernel=exact.kernels.Exponential(), log_weights=k[:, 0]
    )
    logs = np.abs(k[:, 0]).max() + rate * T
    assert (np.abs(mean.o - smoother.o) <= convex(x) * (1 + 2 * T * logs)).all()


def responses(weights, log_decay, n=None):
    """The weights of all tokens at the last position: the answers to unit impulses."""
    n = len(log_decay)
    return np.array([smoothed(np.eye(n)[:, [i]], weights, log_decay).state[0] for i in range(n)])


@pytest.mark.parametrize("nats", [1e-12, 1e-3, 1.0, 50.0])
def test_weights_of_unit_sum_and_of_unit_square_sum_keep_their_digits(nats: float) -> None:
    g, n = np.full(16, -nats), 16
    average, variance = responses(-np.expm1(g), g), responses(np.sqrt(-np.expm1(2 * g)), g)
    # Each weight has n + 4 roundings, all terms are positive, and n nats of decay have error n nats u.
    relative = (2 * n + 8 + 2 * n * nats) * U
    assert abs(average.sum() + np.expm1(-n * nats)) <= relative * -np.expm1(-n * nats)
    assert abs((variance**2).sum() + np.expm1(-2 * n * nats)) <= 2 * relative * -np.expm1(-2 * n * nats)


def test_one_minus_a_squared_loses_the_digits_that_expm1_keeps() -> None:
    nats = 1e-12
    a = np.exp(-nats)
    lost = abs((1 - a * a) + np.expm1(-2 * nats)) / -np.expm1(-2 * nats)
    assert lost > 1e6 * U


@pytest.mark.parametrize("gate", [-50.0, -np.inf])
def test_a_hard_gate_leaves_the_newest_value_or_all_since_the_reset(gate: float, rng: np.random.Generator) -> None:
    x, k, _, _ = generic(rng)
    hard = np.full((2, T), gate)
    assert (np.abs(smoothed(x, -np.expm1(hard), hard).o - x) <= np.exp(-50.0) * 2 * np.abs(x).max() + 2 * U).all()
    g = np.zeros((2, T))
    g[:, 20] = gate
    later = exact.exponential_mean_prefixes(x[:, 20:], log_weights=k[:, 20:], log_decay=np.zeros((2, T - 20))).o
    whole = exact.exponential_mean_prefixes(x, log_weights=k, log_decay=g).o
    # What came before token 20 keeps e^-50 of its weight from token 21 on, T of them against one of at least e^-5.
    kept = T * np.exp(max(gate, -1e9) + 2 * np.abs(k).max()) * 2 * np.abs(x).max()
    assert (np.abs(whole[:, 21:] - later[:, 1:]) <= convex(x) + kept).all()
    assert (np.abs(whole[:, 20] - later[:, 0]) > convex(x)).all()  # token 20 itself still reads what came before


@pytest.mark.parametrize("split", [0, 1, 17, T])
def test_a_split_anywhere_carries_the_smoothed_value(split: int, rng: np.random.Generator) -> None:
    x, k, g, _ = generic(rng)
    w, early, late = np.exp(k), slice(0, split), slice(split, T)
    head = smoothed(x[:, early], w[:, early], g[:, early])
    tail = smoothed(x[:, late], w[:, late], g[:, late], head.state)
    joined, once = np.concatenate([head.o, tail.o], axis=1), smoothed(x, w, g).o
    size, nats = smoothed(np.abs(x), w, g).o, np.abs(g).sum(axis=1, keepdims=True)
    assert (np.abs(joined - once) <= 2 * (T + 4) * (1 + nats) * U * size).all()


@pytest.mark.parametrize("split", [0, 1, 17, T])
def test_a_split_anywhere_carries_the_sums_of_a_mean(split: int, rng: np.random.Generator) -> None:
    x, k, g, newest = generic(rng)

    def mean(q, v, k, g, newest, start=None):
        return exact.exponential_mean_prefixes(v, log_weights=k, log_decay=g, log_newest=newest, initial_state=start)

    run = rounding(mean, {"q": x, "v": x, "k": k, "g": g, "newest": newest}, FORMATS["float64"])
    early, late = ([y[:, s] for y in (x, x, k, g)] for s in (slice(0, split), slice(split, T)))
    head = mean(*early, newest)
    tail = mean(*late, newest, head.state)
    assert (row_norms(np.concatenate([head.o, tail.o], axis=1) - run.reference) <= 2 * run.bound).all()


@pytest.mark.parametrize("size", [700.0, -700.0])
def test_weights_of_any_size_give_the_same_mean_to_the_bit(size: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, T, D))
    flat = exact.exponential_mean_prefixes(x, log_weights=np.zeros((2, T)), log_decay=np.zeros((2, T))).o
    huge = exact.exponential_mean_prefixes(x, log_weights=np.full((2, T), size), log_decay=np.zeros((2, T))).o
    assert np.array_equal(flat, huge)
    assert (np.abs(flat - np.cumsum(x, axis=1) / np.arange(1, T + 1)[:, None]) <= convex(x)).all()


def test_a_weight_changed_in_the_ninth_digit_is_seen(rng: np.random.Generator) -> None:
    x, k, g, _ = generic(rng)

    def mean(q, v, k, g):
        return exact.exponential_mean_prefixes(v, log_weights=k, log_decay=g)

    run = rounding(mean, {"q": x, "v": x, "k": k, "g": g}, FORMATS["float64"])
    k[:, 5] += 1e-9
    assert (row_norms(mean(x, x, k, g).o - run.reference) > run.bound)[:, 5:].any(axis=1).all()


def test_results_stay_in_library_dtype_and_device(full_precision: Library, rng: np.random.Generator) -> None:
    x, k, g, newest = generic(rng)
    a = full_precision.arrays({"x": x, "k": k, "g": g, "newest": newest})
    mean = exact.exponential_mean_prefixes(a["x"], log_weights=a["k"], log_decay=a["g"], log_newest=a["newest"])
    smooth = smoothed(a["x"], a["k"] * a["k"], a["g"])
    for part in (mean.o, *mean.state, smooth.o, smooth.state):
        assert type(part) is type(a["x"])
        assert like(part) == like(a["x"])
        assert np.isfinite(to_numpy(part)).all()


@pytest.mark.parametrize("tokens", [0, 1])
def test_short_sequences_and_any_batch_are_carried(tokens: int, rng: np.random.Generator) -> None:
    for batch in ((), (2, 3)):
        x = rng.standard_normal((*batch, tokens, D))
        scalar = np.zeros((*batch, tokens))
        mean = exact.exponential_mean_prefixes(x, log_weights=scalar, log_decay=scalar)
        assert np.array_equal(mean.o, x)
        assert mean.state.numerator.shape == (*batch, D)
        assert smoothed(x, scalar + 1, scalar).o.shape == x.shape


def test_bad_arrays_are_refused_in_one_sentence(rng: np.random.Generator) -> None:
    x, k, g, newest = generic(rng)
    nothing = np.full_like(x, np.nan)
    with pytest.raises(ValueError, match="^x: expected finite entries"):
        smoothed(nothing, k * k, g)
    with pytest.raises(ValueError, match="^weights: expected at least 0"):
        smoothed(x, k, g)
    with pytest.raises(ValueError, match="^log_decay: expected at most 0"):
        smoothed(x, k * k, -g)
    with pytest.raises(ValueError, match="^log_weights: expected finite entries"):
        exact.exponential_mean_prefixes(x, log_weights=nothing, log_decay=g)
    with pytest.raises(ValueError, match=r"^log_newest: expected shape \(2, 3\), got \(4,\)"):
        exact.exponential_mean_prefixes(x, log_weights=k, log_decay=g, log_newest=np.ones(4))
    state = WeightedMean(newest[0], newest[0], newest[0])
    with pytest.raises(ValueError, match=r"^initial_state.numerator: expected shape \(2, 3\), got \(3,\)"):
        exact.exponential_mean_prefixes(x, log_weights=k, log_decay=g, initial_state=state)
    with pytest.raises(ValueError, match=r"^initial_state: expected shape \(2, 3\), got \(3,\)"):
        smoothed(x, k * k, g, newest[0])
