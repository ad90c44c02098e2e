"""Recursive least squares against statsmodels, padasip and the regression whose regulariser decays."""

import numpy as np
import padasip
import pytest
from statsmodels.regression.recursive_ls import RecursiveLS

from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError

U = 2.0**-53


def problem(rng: np.random.Generator, T: int, d: int, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys and noisy linear values."""
    q, k = rng.standard_normal((2, T, d))
    return q, k, k @ rng.standard_normal((d, 1)) + noise * rng.standard_normal((T, 1))


def decayed(k: np.ndarray, v: np.ndarray, ridge: float, lam: float) -> tuple[np.ndarray, float]:
    """The regression with weights λ^(t-i) and regulariser ridge·λ^t, and the condition of its moments."""
    t = len(k)
    w = lam ** np.arange(t - 1.0, -1.0, -1.0)
    H = (w[:, None] * k).T @ k + ridge * lam**t * np.eye(k.shape[1])
    return exact.ridge(k, v, ridge * lam**t, w).S, float(np.linalg.cond(H))


def bound(k: np.ndarray, S: np.ndarray, kappa: float, lam: float) -> float:
    """Error of one inverse carried over t tokens: each adds 3d roundoffs, magnified by κ in the moments P⁻¹.

    The moments forget: Σλ^j ≤ min(t, 1/(1-λ)) tokens' errors are left, and the solve magnifies them by κ again.
    """
    t, d = k.shape
    memory = t if lam == 1.0 else min(t, 1 / (1 - lam))
    return float(d * 3 * d * memory * U * kappa**2 * (1 + np.linalg.norm(S)))


@pytest.mark.parametrize("lam", [1.0, 0.97, 0.8])
def test_the_regulariser_decays_with_the_data(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = 25, 3, 0.5
    q, k, v = problem(rng, T, d)
    result = exact.recursive_least_squares(q, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam)))
    worst = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(1, T + 1))
    for t in range(1, T + 1):
        S, _ = decayed(k[:t], v[:t], ridge, lam)
        error = np.linalg.norm(result.o[t - 1] - q[t - 1] @ S) / np.linalg.norm(q[t - 1])
        assert error <= bound(k[:t], S, worst, lam)
    fixed = exact.ridge_prefixes(q, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).o
    seen = np.linalg.norm(fixed - result.o) > np.linalg.norm(q) * bound(k, S, worst, lam)
    assert seen == (lam < 1.0), "a fixed regulariser is another problem as soon as the data are forgotten"


def test_without_forgetting_it_is_statsmodels_recursive_ls_from_the_same_prior(rng: np.random.Generator) -> None:
    T, d, ridge = 20, 3, 0.5
    q, k, v = problem(rng, T, d)
    # `filter`, not `fit`: that runs twice and rescales the prior by the noise variance it found.
    prior = {"initial_state": np.zeros(d), "initial_state_cov": np.eye(d) / ridge}
    theirs = RecursiveLS(v[:, 0], k, initialization="known", **prior).filter().recursive_coefficients.filtered.T
    ours = exact.recursive_least_squares(q, k, v, ridge=ridge).o[:, 0]
    kappa = max(decayed(k[:t], v[:t], ridge, 1.0)[1] for t in range(1, T + 1))
    size = 2 * bound(k, theirs, kappa, 1.0)
    assert np.all(np.abs(ours - np.sum(q * theirs, axis=1)) <= np.linalg.norm(q, axis=1) * size)


def test_statsmodels_default_is_the_limit_of_no_ridge_once_keys_span(rng: np.random.Generator) -> None:
    # Its exact diffuse start gives least squares from token d on; the same from least squares of d tokens as state.
    T, d = 20, 3
    q, k, v = problem(rng, T, d)
    theirs = RecursiveLS(v[:, 0], k).fit().recursive_coefficients.filtered.T
    first = k[:d]
    start = exact.Recursion(np.linalg.solve(first, v[:d]), np.linalg.inv(first.T @ first))
    ours = exact.recursive_least_squares(q[d:], k[d:], v[d:], initial_state=start).o[:, 0]
    kappa = max(np.linalg.cond(k[:t]) ** 2 for t in range(d, T + 1))
    size = 2 * bound(k, theirs, kappa, 1.0)
    assert np.all(np.abs(ours - np.sum(q * theirs, axis=1)[d:]) <= np.linalg.norm(q[d:], axis=1) * size)


@pytest.mark.parametrize("lam", [0.99, 0.9])
def test_with_forgetting_it_is_padasip(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = 30, 3, 0.5
    _, k, v = problem(rng, T, d)
    rls = padasip.filters.FilterRLS(n=d, mu=lam, eps=ridge, w="zeros")
    rls.run(v[:, 0], k)
    state = exact.recursive_least_squares(k, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).state
    kappa = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(1, T + 1))
    # Their P is never symmetrised: its antisymmetric error grows as λ^-t, here by less than 24.
    assert np.linalg.norm(state.S[:, 0] - rls.w) <= (1 + lam**-T) * bound(k, state.S, kappa, lam)


def asymmetric(k: np.ndarray, v: np.ndarray, ridge: float, lam: float) -> np.ndarray:
    """The textbook update P ← (P - g (P k)')/λ with g = P k/(λ + k'P k), which never symmetrises P."""
    S, P = np.zeros((k.shape[1], v.shape[1])), np.eye(k.shape[1]) / ridge
    for x, y in zip(k, v, strict=True):
        gain = P @ x / (lam + x @ P @ x)
        S = S + np.outer(gain, y - x @ S)
        P = (P - np.outer(gain, P @ x)) / lam
    return S


@pytest.mark.parametrize("lam", [0.95, 0.98, 0.99])
def test_it_stays_at_rounding_level_where_the_asymmetric_update_explodes(lam: float, rng: np.random.Generator) -> None:
    T, d, ridge = round(30 / (1 - lam)), 16, 0.01
    _, k, v = problem(rng, T, d)
    truth, _ = decayed(k, v, ridge, lam)
    state = exact.recursive_least_squares(k, k, v, ridge=ridge, log_decay=np.full(T, np.log(lam))).state
    kappa = max(decayed(k[:t], v[:t], ridge, lam)[1] for t in range(d, T + 1, d))
    lost = np.linalg.norm(asymmetric(k, v, ridge, lam) - truth)
    assert np.linalg.norm(state.S - truth) <= bound(k, truth, kappa, lam) < lost
    assert np.array_equal(state.P, state.P.T)


def test_sample_weights_are_repeated_tokens(rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 12, 3)
    w = rng.integers(1, 4, 12)
    weighted = exact.recursive_least_squares(q, k, v, ridge=0.5, weights=w * 1.0).state.S
    many = (np.repeat(x, w, axis=0) for x in (q, k, v))
    repeated = exact.recursive_least_squares(*many, ridge=0.5).state.S
    kappa = np.linalg.cond((w[:, None] * k).T @ k + 0.5 * np.eye(3)) * np.sum(w * np.sum(k * k, axis=1)) / 0.5
    assert np.linalg.norm(weighted - repeated) <= 2 * bound(np.repeat(k, w, axis=0), weighted, kappa, 1.0)


def test_a_split_with_the_state_handed_over_has_the_same_bits_token_by_token(rng: np.random.Generator) -> None:
    (q, k, v), form = problem(rng, 10, 3), exact.recursive_least_squares_by_tokens
    gate = np.full(10, -0.2)
    whole = form(q, k, v, ridge=0.5, log_decay=gate)
    first = form(q[:4], k[:4], v[:4], ridge=0.5, log_decay=gate[:4])
    second = form(q[4:], k[4:], v[4:], log_decay=gate[4:], initial_state=first.state)
    assert np.array_equal(np.concatenate([first.o, second.o]), whole.o)


@pytest.mark.parametrize("gate", [None, np.full(10, -0.2)])
def test_a_split_with_the_state_handed_over_is_the_whole(gate: np.ndarray | None, rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 10, 3)
    head, tail = (None, None) if gate is None else (gate[:4], gate[4:])
    whole = exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)
    first = exact.recursive_least_squares(q[:4], k[:4], v[:4], ridge=0.5, log_decay=head)
    second = exact.recursive_least_squares(q[4:], k[4:], v[4:], log_decay=tail, initial_state=first.state)
    lam = 1.0 if gate is None else float(np.exp(-0.2))
    kappa = max(decayed(k[:t], v[:t], 0.5, lam)[1] for t in range(1, 11))
    size = 2 * bound(k, whole.state.S, kappa, lam) * np.linalg.norm(q, axis=1)
    assert (np.linalg.norm(np.concatenate([first.o, second.o]) - whole.o, axis=1) <= size).all()


def test_a_decay_of_fifty_is_the_regression_of_the_newest_tokens(rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 6, 2)
    gate = np.array([0.0, 0.0, 0.0, -50.0, 0.0, 0.0])
    result = exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)
    truth = exact.ridge(k[3:], v[3:], 0.5 * np.exp(-50.0)).S
    forgotten = np.exp(-50.0) * np.linalg.cond(k[3:]) ** 2 * np.linalg.norm(k) * np.linalg.norm(v)
    kappa = np.exp(50.0) * np.sum(k * k) / 0.5  # of the moments just after the gate
    error = np.linalg.norm(result.state.S - truth)
    assert error <= forgotten + U * kappa * np.linalg.cond(k[3:]) ** 2 * (1 + np.linalg.norm(truth))


def test_a_reset_leaves_no_regulariser_and_is_refused_by_slice(rng: np.random.Generator) -> None:
    q, k, v = (np.stack([x, x]) for x in problem(rng, 6, 3))
    gate = np.zeros((2, 6))
    gate[1, 3] = -np.inf
    with pytest.raises(
        LinAlgError, match=r"without zero pivots, got one in slices \(1,\).*after a reset"
    ):
        exact.recursive_least_squares(q, k, v, ridge=0.5, log_decay=gate)


@pytest.mark.parametrize("lam", [0.95])
def test_ridge_must_be_given_once_and_be_positive(lam: float, rng: np.random.Generator) -> None:
    q, k, v = problem(rng, 4, 2)
    state = exact.recursive_least_squares(q, k, v, ridge=1.0).state
    with pytest.raises(ValueError, match="expected either ridge or initial_state .* got neither"):
        exact.recursive_least_squares(q, k, v)
    with pytest.raises(ValueError, match="got both"):
        exact.recursive_least_squares(q, k, v, ridge=1.0, initial_state=state)
    with pytest.raises(ValueError, match="ridge: expected above 0"):
        exact.recursive_least_squares(q, k, v, ridge=0.0)
