"""Local polynomial regression against scikit-learn, statsmodels and NumPy, and as local linear attention."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import polynomial
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from statsmodels.nonparametric.kernel_regression import KernelReg

from tests.conftest import Library
from tests.references import normal_equations, wedin
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError, to_numpy
from ttr_numerics.exact import blocks, kernels
from ttr_numerics.exact.local_polynomial import _monomials

U, T = 2.0**-53, 14
Arrays = dict[str, np.ndarray]


class Flat:
    """κ = 1: every key counts alike."""

    def log(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        return np.zeros((*X.shape[:-1], Y.shape[-2]))


def data(rng: np.random.Generator, d: int = 2, n: int = T) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys, values and log weights of one head."""
    q, k = rng.standard_normal((2, n, d))
    return q, k, rng.standard_normal((n, 3)), rng.standard_normal(n)


def monomials(z: np.ndarray, degree: int) -> np.ndarray:
    """scikit-learn's monomials of order 1 to degree; none for degree 0."""
    return PolynomialFeatures(degree, include_bias=False).fit_transform(z) if degree else z[:, :0]


def logarithms(q: np.ndarray, k: np.ndarray, log_weights: np.ndarray | float = 0.0) -> np.ndarray:
    """log w κ of the Gaussian kernel of bandwidth 1 at one query."""
    return log_weights - np.sum((k - q) ** 2, axis=-1) / 2


def problem(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, logs: np.ndarray, degree: int, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """The fit at one query as an ordinary least-squares problem: rows [√ω, √ω φ], then [0, √λ I]; unknowns (c, C)."""
    root, z = np.exp(logs / 2)[:, None], monomials(k - q, degree)
    f = z.shape[1]
    A = np.block([[root, root * z], [np.zeros((f, 1)), np.sqrt(ridge) * np.eye(f)]])
    return A, np.vstack([root * v, np.zeros((f, v.shape[1]))])


def bound(A: np.ndarray, B: np.ndarray, logs: np.ndarray, d: int, u: float = U) -> float:
    """How far two backward stable solutions may lie apart (Wedin), when each has its own rounded weights.

    A weight has a relative error of (d + 4) u (1 + |log|), its root and its monomials less: a row error beside QR's.
    """
    X = np.linalg.lstsq(A, B, rcond=None)[0]
    return 2 * float(np.max(wedin(A, B, X, u * (d + 4) * (1 + np.max(np.abs(logs))))))


@pytest.mark.parametrize("degree", [0, 1, 2, 4])
@pytest.mark.parametrize("ridge", [1e-6, 0.3, 100.0])
@pytest.mark.parametrize("d", [1, 3])
def test_every_prefix_is_weighted_ridge_regression_of_scikit_learn_around_the_query(
    d: int, ridge: float, degree: int, rng: np.random.Generator
) -> None:
    q, k, v, w = data(rng, d)
    o = exact.local_polynomial_prefixes(q, k, v, degree=degree, ridge=ridge, log_weights=w).o
    faulty = exact.local_polynomial_prefixes(q, k, v, degree=degree, ridge=1.001 * ridge, log_weights=w + k[:, 0]).o
    seen = []
    for t in range(T):
        logs = logarithms(q[t], k[: t + 1], w[: t + 1])
        features = monomials(k[: t + 1] - q[t], degree) if degree else np.zeros((t + 1, 1))
        fit = Ridge(alpha=ridge, solver="svd").fit(features, v[: t + 1], sample_weight=np.exp(logs))
        allowed = bound(*problem(q[t], k[: t + 1], v[: t + 1], logs, degree, ridge), logs, d)
        assert np.all(np.abs(o[t] - fit.intercept_) <= allowed)
        seen.append(np.all(np.abs(faulty[t] - fit.intercept_) <= allowed))
    assert not all(seen), "other weights would be seen"


@pytest.mark.parametrize(("degree", "d"), [(0, 2), (1, 1), (1, 4), (2, 1), (2, 2), (3, 2), (6, 1)])
def test_without_ridge_it_is_least_squares_of_numpy(degree: int, d: int, rng: np.random.Generator) -> None:
    q, k, v, w = data(rng, d)
    o = exact.local_polynomial(q, k, v, degree=degree, log_weights=w)
    for t in range(T):
        logs = logarithms(q[t], k, w)
        A, B = problem(q[t], k, v, logs, degree, 0.0)
        theirs = np.linalg.lstsq(A[:T], B[:T], rcond=None)[0][0]
        assert np.all(np.abs(o[t] - theirs) <= bound(A[:T], B[:T], logs, d))


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("h", [0.8, 1.5])
def test_local_linear_fit_is_kernel_regression_of_statsmodels(d: int, h: float, rng: np.random.Generator) -> None:
    q, k, v, _ = data(rng, d)
    ours = exact.local_polynomial(q, k, v, degree=1, kernel=kernels.Gaussian(h))
    for column in range(v.shape[1]):
        theirs = KernelReg(v[:, column], k, var_type="c" * d, reg_type="ll", bw=[h] * d, rng=0).fit(q)[0]
        for t in range(T):
            logs = -np.sum((k - q[t]) ** 2, axis=-1) / (2 * h**2)
            A, B = problem(q[t], k, v[:, column, None], logs, 1, 0.0)
            X = np.linalg.lstsq(A[:T], B[:T], rcond=None)[0]
            # statsmodels solves the normal equations, by a pseudo-inverse of no better error than Cholesky's.
            theirs_off = normal_equations(A[:T], B[:T], X, U * (d + 4) * (1 + np.max(np.abs(logs))))
            assert abs(ours[t, column] - theirs[t]) <= bound(A[:T], B[:T], logs, d) + theirs_off


@pytest.mark.parametrize(("degree", "order"), [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)])
def test_polynomials_of_no_higher_degree_are_reproduced(degree: int, order: int, rng: np.random.Generator) -> None:
    q, k, _, w = data(rng)
    C = rng.standard_normal((monomials(k, 2).shape[1], 2))
    C[monomials(k, order).shape[1] :] = 0
    v, truth = (1 + monomials(x, 2) @ C for x in (k, q))
    o = exact.local_polynomial(q, k, v, degree=degree, log_weights=w)
    for t in range(T):
        logs = logarithms(q[t], k, w)
        A, B = problem(q[t], k, v, logs, degree, 0.0)
        assert np.all(np.abs(o[t] - truth[t]) <= bound(A[:T], B[:T], logs, 2))


@pytest.mark.parametrize("degree", range(7))
def test_in_one_channel_it_is_the_weighted_polynomial_of_numpy(degree: int, rng: np.random.Generator) -> None:
    q, k, v, w = data(rng, 1)
    o = exact.local_polynomial(q, k, v, degree=degree, log_weights=w)
    late = exact.local_polynomial(q, k, np.roll(v, 1, 0), degree=degree, log_weights=w)
    for t in range(T):
        logs = logarithms(q[t], k, w)
        theirs = polynomial.polyfit(k[:, 0] - q[t, 0], v, degree, w=np.exp(logs / 2))[0]
        A, B = problem(q[t], k, v, logs, degree, 0.0)
        # They scale columns to norm 1, as a column's error allows: a distance from the condition so scaled.
        allowed = bound(A[:T] / np.linalg.norm(A[:T], axis=0), B[:T], logs, 1) / np.linalg.norm(A[:T, 0])
        assert np.all(np.abs(o[t] - theirs) <= allowed)
        assert np.any(np.abs(late[t] - theirs) > allowed), "values one token late would be seen"


@pytest.mark.parametrize(("degree", "d"), [(1, 3), (2, 3), (3, 2), (3, 3), (5, 2)])
def test_every_product_of_channels_counts_once(degree: int, d: int, rng: np.random.Generator) -> None:
    z = rng.standard_normal((4, d))
    ours = np.concatenate(list(_monomials(z, degree)), axis=-1)
    theirs = monomials(z, degree)
    order = [np.lexsort(x) for x in (ours, theirs)]
    # A product of p factors is rounded p - 1 times, in an order of one's own.
    assert np.all(np.abs(ours[:, order[0]] - theirs[:, order[1]]) <= 2 * degree * U * np.abs(theirs[:, order[1]]))


@pytest.mark.parametrize("exponent", [-200, 200])
@pytest.mark.parametrize("degree", [1, 2, 6])
def test_keys_in_another_unit_change_nothing_at_any_degree(
    degree: int, exponent: int, rng: np.random.Generator
) -> None:
    q, k, v, _ = data(rng, 1)
    scale = 2.0**exponent
    o = exact.local_polynomial(q, k, v, degree=degree)
    scaled = exact.local_polynomial(scale * q, scale * k, v, degree=degree, kernel=kernels.Gaussian(scale))
    assert np.array_equal(o, scaled), "a power of two is no rounding"
    with np.errstate(over="ignore"):
        raw = (scale * (k - q[0])) ** (2 * degree)
    assert degree < 6 or not (np.isfinite(raw) & (raw > 0)).all(), "moments of raw monomials leave the range"


def test_a_distant_key_of_no_weight_does_not_hide_the_near_ones(rng: np.random.Generator) -> None:
    q, k, v, _ = data(rng, 1)
    k[0] = 1e60  # its weight underflows to 0; monomials in units of its distance would, too
    o = exact.local_polynomial(q[1:], k, v, degree=5)
    for t in range(T - 1):
        near = exact.local_polynomial(q[t + 1 : t + 2], k[1:], v[1:], degree=5)[0]
        A, B = problem(q[t + 1], k[1:], v[1:], logarithms(q[t + 1], k[1:]), 5, 0.0)
        rows = slice(T - 1)
        assert np.all(np.abs(o[t] - near) <= bound(A[rows], B[rows], logarithms(q[t + 1], k[1:]), 1))


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_a_weight_of_zero_is_a_row_left_out(degree: int, rng: np.random.Generator) -> None:
    q, k, v, w = data(rng, 1)
    w[4] = -np.inf
    rest = np.delete(np.arange(T), 4)
    o = exact.local_polynomial(q, k, v, degree=degree, ridge=0.1, log_weights=w)
    without = exact.local_polynomial(q, k[rest], v[rest], degree=degree, ridge=0.1, log_weights=w[rest])
    for t in range(T):
        logs = logarithms(q[t], k[rest], w[rest])
        assert np.all(np.abs(o[t] - without[t]) <= bound(*problem(q[t], k[rest], v[rest], logs, degree, 0.1), logs, 1))


@pytest.mark.parametrize("degree", [3, 5])
def test_fewer_keys_than_unknowns_are_named_at_any_degree(degree: int, rng: np.random.Generator) -> None:
    q, k, v, _ = data(rng, 1)
    named = ", ".join(f"({t},)" for t in range(degree))
    with pytest.raises(LinAlgError, match=rf"in slices {re.escape(named)};"):
        exact.local_polynomial_prefixes(q, k, v, degree=degree)


@pytest.mark.parametrize("degree", [0, 1])
def test_polynomials_of_higher_degree_are_not(degree: int, rng: np.random.Generator) -> None:
    q, k, _, _ = data(rng)
    v, truth = ((x[:, :1] + 1) ** (degree + 1) for x in (k, q))
    o = exact.local_polynomial(q, k, v, degree=degree)
    logs = logarithms(q[0], k)
    A, B = problem(q[0], k, v, logs, degree, 0.0)
    assert np.abs(o[0] - truth[0]) > bound(A[:T], B[:T], logs, 2)


def smoother_bound(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> float:
    """Two weighted means with weights within (d + 4) u (1 + |log|), of T terms, one of them through a QR of T rows."""
    logs = np.max(np.abs(kernels.Gaussian().log(q, k)))
    return float(4 * U * ((q.shape[-1] + 4) * (1 + logs) + 2 * k.shape[-2]) * np.max(np.abs(v)))


@pytest.mark.parametrize(("degree", "ridge"), [(0, 0.0), (0, 3.0), (1, 2.0**200), (2, 2.0**200), (1, 1e308)])
def test_degree_zero_or_an_endless_ridge_is_the_kernel_smoother(
    degree: int, ridge: float, rng: np.random.Generator
) -> None:
    q, k, v, w = data(rng)
    given = {"q": q, "k": k, "v": v, "log_weights": w}
    polynomial = exact.local_polynomial_prefixes(**given, degree=degree, ridge=ridge)
    smoother = exact.kernel_smoother_prefixes(**given)
    assert np.all(np.abs(polynomial.o - smoother.o) <= smoother_bound(q, k, v))
    assert all(np.array_equal(x, y) for x, y in zip(polynomial.state, smoother.state, strict=True))


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("ridge", [1e-3, 2.0])
def test_a_row_whose_weights_all_underflow_tends_to_the_local_constant(
    degree: int, ridge: float, rng: np.random.Generator
) -> None:
    q, k, v, _ = data(rng)
    far = q + 2.0**6  # exp(-4096) is 0 in float64: beside it every ridge is endless
    assert not np.exp(kernels.Gaussian().log(far, k)).any()
    o = exact.local_polynomial(far, k, v, degree=degree, ridge=ridge)
    assert np.all(np.abs(o - exact.kernel_smoother(far, k, v)) <= smoother_bound(far, k, v))


@pytest.mark.parametrize("shift", [-600.0, -30.0, 30.0, 600.0])
def test_weights_and_ridge_in_another_unit_change_nothing(shift: float, rng: np.random.Generator) -> None:
    q, k, v, w = data(rng)
    o = exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=0.1, log_weights=w).o
    ridge = 0.1 * np.exp(shift)
    scaled = exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=ridge, log_weights=w + shift).o
    for t in range(T):
        logs = logarithms(q[t], k[: t + 1], w[: t + 1])
        A, B = problem(q[t], k[: t + 1], v[: t + 1], logs, 1, 0.1)
        assert np.all(np.abs(o[t] - scaled[t]) <= bound(A, B, 2 * abs(shift) + np.abs(logs), 2))
    alone = exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=0.1, log_weights=w - abs(shift)).o
    assert np.max(np.abs(alone - o)[1:]) > np.max(np.abs(scaled - o)), "the ridge is in units of the weights"


def test_a_ridge_beyond_the_digits_of_the_weights_counts_as_none(rng: np.random.Generator) -> None:
    q, k, v, w = data(rng)
    with pytest.raises(LinAlgError, match=r"in slices \(0,\), \(1,\);"):
        exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=0.1, log_weights=w + 600.0)


def test_a_flat_kernel_is_the_global_affine_ridge_of_scikit_learn(rng: np.random.Generator) -> None:
    q, k, v, _ = data(rng)
    o = exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=0.7, kernel=Flat()).o
    for t in range(T):
        fit = Ridge(alpha=0.7, solver="svd").fit(k[: t + 1], v[: t + 1])
        A, B = problem(q[t], k[: t + 1], v[: t + 1], np.zeros(t + 1), 1, 0.7)
        slopes = bound(A, B, np.zeros(1), 2)
        # Theirs has its intercept at the origin and adds q times the slopes, each as uncertain as ours.
        assert np.all(np.abs(o[t] - fit.predict(q[t : t + 1])[0]) <= (1 + np.sum(np.abs(q[t]))) * slopes)


def test_local_linear_attention_has_three_equal_forms(rng: np.random.Generator) -> None:
    (q, k, v, w), ridge = data(rng), 0.4
    o = exact.local_polynomial_prefixes(q, k, v, degree=1, ridge=ridge, log_weights=w).o
    shares = exact.local_polynomial_prefixes(q, k, np.eye(T), degree=1, ridge=ridge, log_weights=w).o
    for t in range(T):
        logs, z = logarithms(q[t], k[: t + 1], w[: t + 1]), k[: t + 1] - q[t]
        omega, p = np.sum(np.exp(logs)), np.exp(logs) / np.sum(np.exp(logs))
        means = p @ v[: t + 1], p @ k[: t + 1]
        K, V = k[: t + 1] - means[1], v[: t + 1] - means[0]
        C = (K.T * p) @ K + ridge / omega * np.eye(2)
        W = np.linalg.solve(C, (K.T * p) @ V)
        A, B = problem(q[t], k[: t + 1], v[: t + 1], logs, 1, ridge)
        allowed = bound(A, B, logs, 2)
        # Covariances are normal equations: cond(C) = cond² of the centred rows.
        centred = np.vstack([np.sqrt(p)[:, None] * K, np.sqrt(ridge / omega) * np.eye(2)])
        right = np.vstack([np.sqrt(p)[:, None] * V, np.zeros((2, 3))])
        unit = U * 6 * (1 + np.max(np.abs(logs)))
        allowed += (1 + np.linalg.norm(z)) * normal_equations(centred, right, W, unit) + 20 * unit * np.max(np.abs(V))
        assert np.all(np.abs(means[0] - (means[1] - q[t]) @ W - o[t]) <= allowed)
        assert np.all(np.abs(p @ (v[: t + 1] - k[: t + 1] @ W) + q[t] @ W - o[t]) <= allowed)
        moments, sigma = np.exp(logs) @ z, (z.T * np.exp(logs)) @ z + ridge * np.eye(2)
        rho = np.linalg.solve(sigma, moments)
        s = np.exp(logs) * (1 - z @ rho) / (omega - moments @ rho)
        # s and ours are intercepts for unit values; Σ + λI has the condition of the rows squared, and so has its gap.
        A, B = problem(q[t], k[: t + 1], np.eye(t + 1), logs, 1, ridge)
        X = np.linalg.lstsq(A, B, rcond=None)[0]
        assert np.all(np.abs(s - shares[t, : t + 1]) <= bound(A, B, logs, 2) + normal_equations(A, B, X, unit))
        assert not shares[t, t + 1 :].any()


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_effective_weights_sum_to_one_and_only_a_mean_has_none_below_zero(
    degree: int, rng: np.random.Generator
) -> None:
    q, k, _, _ = data(rng)
    shares = exact.local_polynomial(q, k, np.eye(T), degree=degree)
    # Each is rounded when it is divided by their computed sum, which has T roundings of their absolute values.
    assert np.all(np.abs(np.sum(shares, axis=1) - 1) <= 2 * (T + 2) * U * np.sum(np.abs(shares), axis=1))
    assert (np.min(shares) < 0) == (degree > 0)


def test_the_error_follows_the_condition_not_its_square(rng: np.random.Generator) -> None:
    q, k, _, _ = data(rng, 2, 30)
    k[:, 1] = k[:, 0] + 1e-7 * k[:, 1]
    q[:, 1] = q[:, 0] + 1e-7 * q[:, 1]
    C = rng.standard_normal((2, 1))
    o, gram = exact.local_polynomial(q, k, 1 + k @ C, degree=1), []
    for t in range(30):
        logs = logarithms(q[t], k)
        A, B = (x[:30] for x in problem(q[t], k, 1 + k @ C, logs, 1, 0.0))
        allowed = bound(A, B, logs, 2)
        assert np.abs(o[t] - (1 + q[t] @ C)) <= allowed
        gram.append(np.linalg.norm(np.linalg.solve(A.T @ A, A.T @ B) - np.vstack([1 + q[t] @ C, C])) <= allowed)
    assert not all(gram), "normal equations would be seen"


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("keys", ["repeated", "zero", "parallel"])
def test_degenerate_keys_need_a_ridge_and_with_it_are_regression(
    keys: str, degree: int, rng: np.random.Generator
) -> None:
    q, k, v, w = data(rng, 2)
    k = {"repeated": np.tile(k[:1], (T, 1)), "zero": 0 * k, "parallel": k[:, :1] * np.ones(2)}[keys]
    with pytest.raises(LinAlgError, match=r"independent columns, got a pivot at rounding level in slices \(0,\), \(1,"):
        exact.local_polynomial(q, k, v, degree=degree, log_weights=w)
    o = exact.local_polynomial(q, k, v, degree=degree, ridge=0.1, log_weights=w)
    for t in range(T):
        logs = logarithms(q[t], k, w)
        A, B = problem(q[t], k, v, logs, degree, 0.1)
        assert np.all(np.abs(o[t] - np.linalg.lstsq(A, B, rcond=None)[0][0]) <= bound(A, B, logs, 2))


@pytest.mark.parametrize("entries", [1, 1 << 20])
def test_positions_without_enough_keys_are_named(
    entries: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    q, k, v, _ = (np.stack([x, x]) for x in data(rng))
    first = r"in slices \(0, 0\), .*" if entries > 1 else r"in slices \(0, 0\), \(1, 0\);"
    with pytest.raises(LinAlgError, match=first):
        exact.local_polynomial_prefixes(q, k, v, degree=1)
    state = exact.local_polynomial_prefixes(q[:, :2], k[:, :2], v[:, :2], degree=1, ridge=1.0).state
    k[1, 2] = k[1, 1]
    with pytest.raises(LinAlgError, match=r"in slices \(1, 0\);"):
        exact.local_polynomial_prefixes(q[:, 2:3], k[:, 2:3], v[:, 2:3], degree=1, initial_state=state)


@pytest.mark.parametrize("split", [0, 1, 6, T])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_split_anywhere_and_in_blocks_of_any_length_it_is_each_head_alone(
    batch: tuple[int, ...], split: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k = rng.standard_normal((2, *batch, T, 2))
    v = rng.standard_normal((*batch, T, 3))
    fit = partial(exact.local_polynomial_prefixes, degree=1, ridge=0.5)
    head = fit(*(x[..., :split, :] for x in (q, k, v)))
    monkeypatch.setattr(blocks, "ENTRIES", 500)
    tail = fit(*(x[..., split:, :] for x in (q, k, v)), initial_state=head.state)
    o = np.concatenate([head.o, tail.o], -2)
    for i in np.ndindex(*batch):
        alone = fit(q[i], k[i], v[i]).o
        for t in range(T):
            logs = logarithms(q[i][t], k[i][: t + 1])
            A, B = problem(q[i][t], k[i][: t + 1], v[i][: t + 1], logs, 1, 0.5)
            assert np.all(np.abs(o[i][t] - alone[t]) <= bound(A, B, logs, 2))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_every_library_and_dtype_gives_the_same_fit(
    degree: int, full_precision: Library, rng: np.random.Generator
) -> None:
    given = {n: x.astype(np.float32).astype(float) for n, x in zip(("q", "k", "v"), data(rng), strict=False)}
    arrays = full_precision.arrays(given)
    out = exact.local_polynomial_prefixes(**arrays, degree=degree, ridge=0.3)
    assert type(out.o) is type(arrays["q"])
    assert out.o.dtype == out.state.log_weights.dtype == arrays["q"].dtype
    truth = exact.local_polynomial_prefixes(**given, degree=degree, ridge=0.3).o
    u = 2.0**-24 if full_precision.dtype == "float32" else U
    for t in range(T):
        logs = logarithms(given["q"][t], given["k"][: t + 1])
        A, B = problem(given["q"][t], given["k"][: t + 1], given["v"][: t + 1], logs, degree, 0.3)
        assert np.all(np.abs(to_numpy(out.o)[t] - truth[t]) <= bound(A, B, logs, 2, u))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_no_token_gives_nothing_and_one_its_own_value(n: int, degree: int, rng: np.random.Generator) -> None:
    q, k, v, w = data(rng, n=n)
    out = exact.local_polynomial_prefixes(q, k, v, degree=degree, ridge=1e-3, log_weights=w)
    assert np.array_equal(out.o, v)
    assert exact.local_polynomial(q[:0], k, v, degree=degree, ridge=1e-3).shape == (0, 3)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "negative degree": ({"degree": -1}, r"^degree: expected a whole number, at least 0, got -1$"),
    "broken degree": ({"degree": 1.5}, r"^degree: expected a whole number, at least 0, got 1\.5$"),
    "negative ridge": ({"ridge": -1.0}, r"^ridge: expected a finite number, at least 0, got -1\.0$"),
    "nan ridge": ({"ridge": np.nan}, r"^ridge: expected a finite number, at least 0, got nan$"),
    "endless ridge": ({"ridge": np.inf}, r"^ridge: expected a finite number, at least 0, got inf$"),
    "weights": ({"log_weights": np.full(T, np.nan)}, r"^log_weights: expected finite entries, got NaN or infinity"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("fit", [exact.local_polynomial_prefixes, exact.local_polynomial])
def test_what_makes_no_problem_is_refused_in_one_sentence(
    fit: Callable[..., Any], case: str, rng: np.random.Generator
) -> None:
    q, k, v, _ = data(rng)
    wrong, sentence = BAD[case]
    with pytest.raises(ValueError, match=sentence):
        fit(q, k, v, **{"degree": 1, "ridge": 1.0, **wrong})


def test_shapes_dtypes_and_nan_are_refused(rng: np.random.Generator) -> None:
    (q, k, v, w), fit = data(rng), partial(exact.local_polynomial_prefixes, degree=1, ridge=1.0)
    with pytest.raises(ValueError, match=r"^log_weights: expected shape \(14,\), got \(13,\)$"):
        fit(q, k, v, log_weights=w[1:])
    with pytest.raises(ValueError, match=r"^q: expected float32 or float64, got float16"):
        fit(*(x.astype(np.float16) for x in (q, k, v)))
    with pytest.raises(ValueError, match=r"^V: expected shape \(14, d_v\) as K, got \(13, 3\)$"):
        exact.local_polynomial(q, k, v[1:], degree=1)
    state = fit(q, k, v).state._replace(log_weights=w[1:])
    with pytest.raises(ValueError, match=r"^initial_state.log_weights: expected shape \(14,\), got \(13,\)$"):
        fit(q, k, v, initial_state=state)
    k[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"^k: expected finite entries, got NaN or infinity first at \(3, 1\)$"):
        fit(q, k, v)


def test_keys_too_large_to_square_are_refused_not_answered(rng: np.random.Generator) -> None:
    q, k, v, _ = data(rng)
    k[5] = 1e200
    with pytest.raises(LinAlgError, match=r"in slices \(0,\), \(1,\)"):
        exact.local_polynomial(q, k, v, degree=2, ridge=1.0, kernel=Flat())
