"""Certified answers contain the exact rational ones, on keys as bad as they come; faults of an ulp are outside."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

from tests.exact.certified.rationals import DIGITS, contains, meets, rational, solution
from ttr_numerics import exact
from ttr_numerics.exact import kernels
from ttr_numerics.tasks import conditioned_keys

T, D, D_V = 7, 4, 2


def hilbert(T: int, d: int) -> np.ndarray:
    """Rows 1/(i + j + 1), as floats."""
    return 1.0 / (np.arange(T)[:, None] + np.arange(d) + 1.0)


def keys(case: str, rng: np.random.Generator) -> np.ndarray:
    k = rng.standard_normal((T, D))
    match case:
        case "Hilbert":
            k = hilbert(T, D)
        case "condition 1e14":
            k = conditioned_keys(rng, T, D, 1e14)
        case "repeated and zero":
            k[1], k[2], k[4] = k[0], -3 * k[0], 0.0
        case "tiny and huge":
            k = k * 10.0 ** np.linspace(-150, 150, T)[:, None]
    return k


CASES = ["random", "Hilbert", "condition 1e14", "repeated and zero", "tiny and huge"]


def rows(case: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, k, v of one head."""
    return rng.standard_normal((T, D)), keys(case, rng), rng.standard_normal((T, D_V))


def rational_ridge(K: np.ndarray, V: np.ndarray, ridge: Any, weights: np.ndarray) -> np.ndarray:
    """The normal equations in rationals."""
    K, V, Λ = rational(K), rational(V), np.diag(rational(ridge + np.zeros(K.shape[1])))
    weighted = rational(weights)[:, None] * K
    return solution(weighted.T @ K + Λ, weighted.T @ V)


@pytest.mark.parametrize("ridge", [0.0, 1e-14, 0.1])
@pytest.mark.parametrize("case", CASES)
def test_ridge_contains_the_rational_solution(case: str, ridge: float, rng: np.random.Generator) -> None:
    _, K, V = rows(case, rng)
    weights = rng.uniform(0.1, 1, T)
    truth = rational_ridge(K, V, ridge, weights)
    found = exact.certified_ridge(K, V, ridge, weights)
    assert contains(found.balls, truth).all()
    assert np.all(abs(truth - rational(found.middle)) <= rational(found.radius))
    assert np.all(found.radius <= np.spacing(abs(found.middle)))
    K[0, 0] += np.spacing(K[0, 0])
    moved = rational_ridge(K, V, ridge, weights)
    told = moved != truth
    assert told.any()
    assert not contains(exact.certified_ridge(K, V, ridge, weights).balls, truth)[told].any()
    if ridge == 0:
        assert contains(exact.certified_weighted_least_squares(K, V, weights).balls, moved).all()


def test_a_ridge_a_channel_and_a_batch(rng: np.random.Generator) -> None:
    K, V, ridge = rng.standard_normal((2, 3, T, D)), rng.standard_normal((2, 3, T, D_V)), rng.uniform(0, 1, D)
    found = exact.certified_ridge(K, V, ridge)
    for i in np.ndindex(2, 3):
        assert contains(found.balls[i], rational_ridge(K[i], V[i], ridge, np.ones(T))).all()


@pytest.mark.parametrize("case", ["rank", "no tokens"])
def test_a_singular_problem_is_refused(case: str, rng: np.random.Generator) -> None:
    n = {"rank": D - 1, "no tokens": 0}[case]
    with pytest.raises(exact.EnclosureError, match="singular"):
        exact.certified_weighted_least_squares(rng.standard_normal((n, D)), rng.standard_normal((n, D_V)))


def gates() -> np.ndarray:
    """Logarithms whose exponentials are rational: 0, and -inf once."""
    log_decay = np.zeros(T)
    log_decay[3] = -np.inf
    return log_decay


@pytest.mark.parametrize("case", CASES)
def test_ridge_at_every_position_contains_the_rational_answer(case: str, rng: np.random.Generator) -> None:
    q, k, v = rows(case, rng)
    weights, log_decay = rng.uniform(0.1, 1, T), gates()
    fixed = exact.certified_ridge_prefixes(q, k, v, ridge=1e-8, log_decay=log_decay, weights=weights)
    decaying = exact.certified_recursive_least_squares(q, k, v, ridge=1e-8, weights=weights)
    for t in range(T):
        seen = slice(3 if t >= 3 else 0, t + 1)
        S = rational_ridge(k[seen], v[seen], 1e-8, weights[seen])
        assert contains(fixed.balls[t], rational(q[t]) @ S).all()
        S = rational_ridge(k[: t + 1], v[: t + 1], 1e-8, weights[: t + 1])
        assert contains(decaying.balls[t], rational(q[t]) @ S).all()


@pytest.mark.parametrize("kernel", [kernels.Linear(), kernels.Polynomial((1.0, 1.0, 0.5))], ids=["linear", "Taylor"])
@pytest.mark.parametrize("case", CASES[:4])
def test_kernel_ridge_contains_the_rational_answer(case: str, kernel: Any, rng: np.random.Generator) -> None:
    q, k, v = rows(case, rng)
    found = exact.certified_kernel_ridge_prefixes(q, k, v, kernel=kernel, ridge=1e-10)
    Q, K, V = rational(q), rational(k), rational(v)
    value = {kernels.Linear: lambda z: z, kernels.Polynomial: lambda z: 1 + z + z * z / 2}[type(kernel)]
    for t in range(T):
        gram = value(K[: t + 1] @ K[: t + 1].T) + Fraction(1e-10) * np.eye(t + 1, dtype=int)
        truth = value(Q[t] @ K[: t + 1].T) @ solution(gram, V[: t + 1])
        assert contains(found.balls[t], truth).all()


@pytest.mark.parametrize("case", CASES)
def test_online_recurrences_contain_the_rational_answer(case: str, rng: np.random.Generator) -> None:
    q, k, v = rows(case, rng)
    beta, log_decay = rng.uniform(0.1, 1, T), gates()
    log_momentum = np.where(np.arange(T) % 2, -np.inf, 0.0)
    found = (
        exact.certified_correlation_prefixes(q, k, v, log_decay=log_decay),
        exact.certified_kaczmarz_prefixes(q, k, v, beta=beta, log_decay=log_decay),
        exact.certified_heavy_ball_prefixes(q, k, v, beta=beta, log_decay=log_decay, log_momentum=log_momentum),
    )
    Q, K, V, b = (rational(x) for x in (q, k, v, beta))
    C, S, H, U = (np.full((D, D_V), Fraction(0), dtype=object) for _ in range(4))
    for t in range(T):
        column, kept = K[t][:, None], int(log_decay[t] == 0)
        C = kept * C + column * V[t]
        S = kept * S + b[t] * column * (V[t] - K[t] @ (kept * S))
        U = int(log_momentum[t] == 0) * U + b[t] * column * (V[t] - K[t] @ H)
        H = kept * H + U
        for answer, state in zip(found, (C, S, H), strict=True):
            truth = Q[t] @ state
            assert contains(answer.balls[t], truth).all()
            assert not contains(answer.balls[t], truth * (1 + Fraction(1, 2**52)))[truth != 0].any()


@pytest.mark.parametrize("gate", [0.0, -50.0, -np.inf])
def test_gated_answers_meet_those_of_120_digits(gate: float, rng: np.random.Generator) -> None:
    q, k, v = rows("random", rng)
    beta, log_decay = rng.uniform(0.1, 1, T), -rng.exponential(0.1, T)
    log_decay[2::3] = gate
    moments = exact.certified_ridge_prefixes(q, k, v, ridge=0.1, log_decay=log_decay, weights=beta)
    sweep = exact.certified_kaczmarz_prefixes(q, k, v, beta=beta, log_decay=log_decay)
    with mpmath.workdps(2 * DIGITS):
        q, k, v = (np.vectorize(mpmath.mpf, otypes=[object])(x) for x in (q, k, v))
        H, G, S = mpmath.matrix(D, D), mpmath.matrix(D, D_V), mpmath.matrix(D, D_V)
        for t in range(T):
            decay = mpmath.mpf(0) if np.isinf(log_decay[t]) else mpmath.exp(mpmath.mpf(log_decay[t]))
            row, value, query = (mpmath.matrix([list(x[t])]) for x in (k, v, q))
            weight = mpmath.mpf(beta[t])
            H, G = decay * H + weight * row.T * row, decay * G + weight * row.T * value
            S = decay * S + weight * row.T * (value - row * (decay * S))
            X = mpmath.inverse(H + mpmath.mpf(0.1) * mpmath.eye(D)) * G
            for found, state in ((moments, X), (sweep, S)):
                assert meets(found.balls[t], np.array(list(query * state), dtype=object)).all()


@pytest.mark.parametrize("gate", [0.0, -50.0, -np.inf])
@pytest.mark.parametrize("case", CASES[:4])
def test_kernel_smoothers_meet_the_means_of_120_digits(case: str, gate: float, rng: np.random.Generator) -> None:
    q, k, v = rows(case, rng)
    log_weights, log_decay = rng.standard_normal(T), -rng.exponential(0.1, T)
    log_decay[2::3] = gate
    given = {"log_weights": log_weights, "log_decay": log_decay}
    found = exact.certified_kernel_smoother_prefixes(q, k, v, kernel=kernels.Gaussian(0.3), **given)
    once = exact.certified_kernel_smoother(q, k, v, kernel=kernels.Exponential(0.3), log_weights=log_weights)
    with mpmath.workdps(2 * DIGITS):
        q, k, v = (np.vectorize(mpmath.mpf, otypes=[object])(x) for x in (q, k, v))
        h2, decay = (
            mpmath.mpf(0.3) ** 2,
            [mpmath.exp(mpmath.mpf(g)) if g > -np.inf else mpmath.mpf(0) for g in log_decay],
        )
        for t in range(T):
            weights = [mpmath.exp(mpmath.mpf(w)) for w in log_weights]
            aged = [mpmath.fprod(decay[i + 1 : t + 1]) for i in range(t + 1)]
            local = [
                w * a * mpmath.exp(-((q[t] - x) @ (q[t] - x)) / (2 * h2))
                for w, a, x in zip(weights, aged, k, strict=False)
            ]
            mean = sum(w * y for w, y in zip(local, v, strict=False)) / sum(local)
            assert meets(found.balls[t], mean).all()
            over = [w * mpmath.exp((q[t] @ x) / h2) for w, x in zip(weights, k, strict=True)]
            assert meets(once.balls[t], sum(w * y for w, y in zip(over, v, strict=True)) / sum(over)).all()


def test_weights_that_no_float_holds_still_have_a_mean(rng: np.random.Generator) -> None:
    q, k, v = rows("random", rng)
    found = exact.certified_kernel_smoother_prefixes(1e4 * q, k, v, log_weights=np.full(T, -5000.0))
    nearest = v[[int(np.argmin(np.linalg.norm(1e4 * q[t] - k[: t + 1], axis=-1))) for t in range(T)]]
    assert found.contains(nearest).all() or np.all(found.distance(nearest)[1] < np.linalg.norm(v))


@pytest.mark.parametrize("length", [0, 1])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_short_sequences_in_batches(length: int, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((*batch, length, d)) for d in (D, D, D_V))
    ones, none = np.ones((*batch, length)), np.zeros((*batch, length))
    answers = {
        "ridge": (exact.certified_ridge_prefixes(q, k, v, ridge=0.5), lambda kq, kk: kq / (kk + Fraction(1, 2))),
        "sweep": (exact.certified_kaczmarz_prefixes(q, k, v, beta=ones), lambda kq, kk: kq),
        "sum": (exact.certified_correlation_prefixes(q, k, v, log_decay=none), lambda kq, kk: kq),
        "mean": (exact.certified_kernel_smoother_prefixes(q, k, v), lambda kq, kk: Fraction(1)),
    }
    for found, factor in answers.values():
        assert found.balls.shape == v.shape
        for i in np.ndindex(batch) if length else ():
            Q, K, V = (rational(x[i])[0] for x in (q, k, v))
            assert contains(found.balls[i], factor(Q @ K, K @ K) * V[None]).all()


def test_arrays_of_every_library_and_float32_are_taken_as_they_stand(rng: np.random.Generator) -> None:
    q, k, v = (rng.standard_normal((T, d)).astype(np.float32) for d in (D, D, D_V))
    plain = exact.certified_ridge_prefixes(*(x.astype(np.float64) for x in (q, k, v)), ridge=0.5)
    for make in (np.asarray, torch.asarray):
        found = exact.certified_ridge_prefixes(make(q), make(k), make(v), ridge=0.5)
        assert np.array_equal(found.middle, plain.middle)


def test_what_is_not_finite_is_refused(rng: np.random.Generator) -> None:
    q, k, v = rows("random", rng)
    for name in "qkv":
        given = {"q": q, "k": k, "v": v} | {
            name: np.where(np.arange(T)[:, None] == 2, np.nan, {"q": q, "k": k, "v": v}[name])
        }
        with pytest.raises(ValueError, match=rf"^{name}: expected finite entries, .* first at \(2, 0\)$"):
            exact.certified_correlation_prefixes(**given)
    with pytest.raises(ValueError, match="^log_decay: expected at most 0"):
        exact.certified_ridge_prefixes(q, k, v, ridge=1.0, log_decay=np.full(T, 0.5))
