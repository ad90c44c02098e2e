"""Least squares on sliding windows: each as SciPy and statsmodels solve it, and nothing left of a pair that went."""

import numpy as np
import pytest
import scipy.linalg
from statsmodels.regression.rolling import RollingOLS

from tests.references import wedin
from ttr_numerics import exact
from ttr_numerics.arrays import to_numpy
from ttr_numerics.tasks import conditioned_keys

T, D, M = 60, 4, 3
U = 2.0**-53


def data(seed=0, batch=(2,)):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((*batch, T, d)) for d in (D, D, M))


def solved(k, v, window, **given):
    """S at every position (..., T, d_k, d_v): the answers to unit queries."""
    answers = [exact.windowed_least_squares_prefixes(q + 0 * k, k, v, window=window, **given).o for q in np.eye(D)]
    return np.stack(answers, axis=-2)


def allowed(k, v, S):
    """How far two backward stable solutions may lie apart: two of Wedin's bounds, per value channel."""
    return 2 * wedin(k, v, S, U)


@pytest.mark.parametrize("window", [4, 5, 17, 60, 100])
@pytest.mark.parametrize("cond", [1.0, 1e6, 1e12])
def test_every_window_is_scipys_least_squares(window, cond) -> None:
    _, k, v = (x[0] for x in data())
    k = conditioned_keys(np.random.default_rng(1), T, D, cond) if cond > 1 else k
    S = solved(k, v, window)
    for t in range(D + 2, T):
        seen = slice(max(0, t - window + 1), t + 1)
        truth = scipy.linalg.lstsq(k[seen], v[seen])[0]
        if np.linalg.cond(k[seen]) < 1 / (1e3 * U):  # of full numerical rank on both sides
            assert (np.linalg.norm(S[t] - truth, axis=0) <= allowed(k[seen], v[seen], truth)).all()


def test_every_window_is_statsmodels_rolling_regression() -> None:
    _, k, v = (x[0] for x in data(2))
    S = solved(k, v, 12)
    for j in range(M):
        params = RollingOLS(v[:, j], k, window=12).fit().params
        for t in range(11, T):
            seen = slice(t - 11, t + 1)
            # They solve the normal equations: an error of κ² where QR has κ.
            bound = np.linalg.cond(k[seen]) * allowed(k[seen], v[seen, j : j + 1], S[t, :, j : j + 1])
            assert np.linalg.norm(S[t, :, j] - params[t]) <= bound[0]


def test_weights_are_those_of_weighted_least_squares_and_zero_leaves_a_pair_out() -> None:
    _, k, v = (x[0] for x in data(3))
    w = np.random.default_rng(3).uniform(0.0, 1.0, T)
    w[::5] = 0.0
    S = solved(k, v, 10, weights=w)
    for t in range(15, T):
        seen = slice(t - 9, t + 1)
        A, B = np.sqrt(w[seen])[:, None] * k[seen], np.sqrt(w[seen])[:, None] * v[seen]
        truth = scipy.linalg.lstsq(A, B)[0]
        assert (np.linalg.norm(S[t] - truth, axis=0) <= allowed(A, B, truth)).all()


def test_a_window_that_sees_everything_is_least_norm_of_the_prefix() -> None:
    q, k, v = data(4)
    o = exact.windowed_least_squares_prefixes(q, k, v, window=T).o
    for t in (0, 2, 30, T - 1):
        S = exact.least_norm(k[:, : t + 1], v[:, : t + 1]).S
        truth = (q[:, t : t + 1] @ S)[:, 0]
        for h in range(2):
            seen = (k[h, : t + 1], v[h, : t + 1])
            kappa = np.linalg.cond(seen[0])
            size = np.linalg.norm(q[h, t]) * kappa * (np.linalg.norm(S[h]) + np.linalg.norm(seen[1]) * kappa)
            assert np.linalg.norm(o[h, t] - truth[h]) <= 2 * T * D * U * size


def test_a_ridge_is_that_of_ridge_regression() -> None:
    _, k, v = (x[0] for x in data(5))
    S = solved(k, v, 3, ridge=0.1)
    for t in range(2, T):
        truth = exact.ridge(k[t - 2 : t + 1], v[t - 2 : t + 1], 0.1).S
        A, B = np.vstack([k[t - 2 : t + 1], np.sqrt(0.1) * np.eye(D)]), np.vstack([v[t - 2 : t + 1], np.zeros((D, M))])
        assert (np.linalg.norm(S[t] - truth, axis=0) <= allowed(A, B, truth)).all()


def test_a_huge_pair_leaves_no_bit_behind_when_it_leaves_the_window() -> None:
    q, k, v = data(6)
    huge_k, huge_v = k.copy(), v.copy()
    huge_k[:, 10], huge_v[:, 10] = 1e150 * k[:, 10], -1e150 * v[:, 10]
    clean = exact.windowed_least_squares_prefixes(q, k, v, window=8).o
    after = exact.windowed_least_squares_prefixes(q, huge_k, huge_v, window=8).o
    assert np.array_equal(after[:, 18:], clean[:, 18:])
    assert not np.array_equal(after[:, 17], clean[:, 17])


@pytest.mark.parametrize("split", [0, 1, 7, 30, T])
def test_a_split_anywhere_carries_the_window(split) -> None:
    q, k, v = data(7)
    w = np.random.default_rng(7).uniform(0.5, 1.0, (2, T))
    given = {"window": 8, "ridge": 0.01}
    head = exact.windowed_least_squares_prefixes(*(x[:, :split] for x in (q, k, v)), weights=w[:, :split], **given)
    tail = exact.windowed_least_squares_prefixes(
        *(x[:, split:] for x in (q, k, v)), weights=w[:, split:], **given, initial_state=head.state
    )
    whole = exact.windowed_least_squares_prefixes(q, k, v, weights=w, **given)
    assert np.array_equal(np.concatenate([head.o, tail.o], axis=1), whole.o)
    assert all(np.array_equal(x, y) for x, y in zip(tail.state, whole.state, strict=True))


def test_it_runs_alike_on_every_library(full_precision) -> None:
    q, k, v = data(8)
    moved = full_precision.arrays({"q": q, "k": k, "v": v})
    o = exact.windowed_least_squares_prefixes(**moved, window=9).o
    assert type(o) is type(moved["q"])
    assert o.dtype == moved["q"].dtype
    u = U if full_precision.dtype == "float64" else 2.0**-24
    for t in range(9, T):
        for h in range(2):
            K, V = k[h, t - 8 : t + 1], v[h, t - 8 : t + 1]
            truth = scipy.linalg.lstsq(K, V)[0]
            bound = np.linalg.norm(q[h, t]) * np.linalg.norm(2 * wedin(K, V, truth, u))
            bound += 2 * D * u * np.linalg.norm(np.abs(q[h, t]) @ np.abs(truth))
            # Data rounded to float32 are perturbed by u once more, which Wedin's bound takes as backward error.
            assert np.linalg.norm(to_numpy(o)[h, t] - q[h, t] @ truth) <= 2 * bound


def test_bad_windows_are_refused() -> None:
    q, k, v = data(9)
    with pytest.raises(ValueError, match="^window: expected at least 1, got 0$"):
        exact.windowed_least_squares_prefixes(q, k, v, window=0)
    with pytest.raises(ValueError, match="^weights: expected at least 0"):
        exact.windowed_least_squares_prefixes(q, k, v, window=4, weights=-np.ones((2, T)))


def test_an_empty_sequence_gives_an_empty_answer() -> None:
    q, k, v = (x[:, :0] for x in data(10))
    result = exact.windowed_least_squares_prefixes(q, k, v, window=4)
    assert result.o.shape == (2, 0, M)
    assert result.state.k.shape == (2, 0, D)
