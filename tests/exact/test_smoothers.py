"""Smoothers with windows, age and compact kernels, kernel sums, Tsallis weights and mean shifts, by outsiders."""

import numpy as np
import pytest
import scipy.optimize
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from sklearn.neighbors import KernelDensity
from statsmodels.sandbox.nonparametric import kernels as theirs

from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.exact import blocks, kernels

U, T = 2.0**-53, 17
ORDERS = {1: theirs.Epanechnikov, 2: theirs.Biweight, 3: theirs.Triweight}


def data(rng, batch=(), d=2):
    """Queries, keys, values and gates, some closed and some at -50 nats."""
    q, k = rng.standard_normal((2, *batch, T, d))
    gates = -rng.exponential(0.3, (*batch, T))
    gates[..., 5], gates[..., 9] = -np.inf, -50.0
    return q, k, rng.standard_normal((*batch, T, 3)), gates


def mean_allowed(logs, v, d=2):
    """A weight has the relative error of its logarithm's absolute one, (d + T + 4) u max|log|; its T terms add T u."""
    finite = np.where(np.isfinite(logs), np.abs(logs), 0)
    return 4 * U * ((d + T + 4) * (1 + np.max(finite)) + T) * np.max(np.abs(v))


def dense(q, k, gates, window):
    """log ω (..., T, T): Gaussian kernel, gates summed one pair at a time, a band of `window`."""
    logs = -np.sum((q[..., :, None, :] - k[..., None, :, :]) ** 2, axis=-1) / 2
    for t in range(T):
        for i in range(T):
            logs[..., t, i] += np.sum(gates[..., i + 1 : t + 1], axis=-1) if t - window < i <= t else -np.inf
    return logs


@pytest.mark.parametrize("entries", [1, 100, 1 << 20])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("window", [1, 2, 6, T, 100])
def test_a_window_and_gates_are_weights_of_a_softmax_of_scipy(window, batch, entries, rng, monkeypatch):
    monkeypatch.setattr(blocks, "ENTRIES", entries)
    q, k, v, gates = data(rng, batch)
    o = exact.kernel_smoother_prefixes(q, k, v, log_decay=gates, window=window).o
    logs = dense(q, k, gates, window)
    assert (np.abs(o - softmax(logs, axis=-1) @ v) <= mean_allowed(logs, v)).all()
    if 1 < window < T:
        longer = softmax(dense(q, k, gates, window + 1), axis=-1) @ v
        assert (np.abs(o - longer) > mean_allowed(logs, v)).any(), "a window one too long would be seen"


@pytest.mark.parametrize("window", [None, 1, 2, 6, 100])
@pytest.mark.parametrize("split", [0, 1, 7, T])
def test_the_state_hands_over_what_a_later_query_can_see(split, window, rng):
    q, k, v, gates = data(rng, (2,))
    whole = exact.kernel_smoother_prefixes(q, k, v, log_decay=gates, window=window)
    head, tail = (
        {"q": q[:, part], "k": k[:, part], "v": v[:, part], "log_decay": gates[:, part], "window": window}
        for part in (slice(split), slice(split, None))
    )
    first = exact.kernel_smoother_prefixes(**head)
    second = exact.kernel_smoother_prefixes(**tail, initial_state=first.state)
    assert first.state.k.shape[-2] == (split if window is None else min(split, window - 1))
    allowed = mean_allowed(dense(q, k, gates, T), v)
    assert (np.abs(np.concatenate([first.o, second.o], 1) - whole.o) <= allowed).all()
    assert np.array_equal(second.state.k, whole.state.k)
    one, other = (np.where(np.isneginf(s.state.log_weights), -1e9, s.state.log_weights) for s in (second, whole))
    assert (np.abs(one - other) <= T * U * np.abs(other)).all()


def test_a_weight_of_zero_leaves_its_pair_out(rng):
    q, k, v, _ = data(rng)
    kept = np.arange(T) % 3 > 0
    weights = np.where(kept, 0.0, -np.inf)
    o = exact.kernel_smoother(q, k, v, log_weights=weights)
    assert (np.abs(o - exact.kernel_smoother(q, k[kept], v[kept])) <= mean_allowed(np.ones(1) * 20, v)).all()
    with pytest.raises(LinAlgError, match=r"^weights: expected one above 0 in every row, got none in slices \(0,\);"):
        exact.kernel_smoother_prefixes(q, k, v, log_weights=weights)


@pytest.mark.parametrize("gate", [0.5, np.nan, np.inf])
def test_gates_above_one_and_nan_are_refused(gate, rng):
    q, k, v, gates = data(rng)
    gates[3] = gate
    with pytest.raises(ValueError, match=r"^log_decay: expected at most 0 \(-inf resets\), got "):
        exact.kernel_smoother_prefixes(q, k, v, log_decay=gates)


@pytest.mark.parametrize("h", [1.5, 6.0])
@pytest.mark.parametrize("order", ORDERS)
def test_a_compact_smoother_is_that_of_statsmodels(order, h, rng):
    k, v = rng.uniform(-3, 3, (40, 1)), rng.standard_normal((40, 1))
    q, kernel = k[::4], ORDERS[order](h=h)
    o = exact.kernel_smoother(q, k, v, kernel=kernels.SymmetricBeta(order, h))
    smooth = np.array([kernel.smooth(k[:, 0], v[:, 0], x) for x in q[:, 0]])
    # κ by its logarithm: order · |log(1 - u²)| roundoffs relative, where 1 - u² itself is at least some 1e-4 here.
    allowed = 4 * U * (40 + 8 * order * 1e4) * np.max(np.abs(v))
    assert (np.abs(o[:, 0] - smooth) <= allowed).all()
    wider = exact.kernel_smoother(q, k, v, kernel=kernels.SymmetricBeta(order, 1.001 * h))
    assert (np.abs(wider[:, 0] - smooth) > allowed).any()


@pytest.mark.parametrize("d", [1, 3])
def test_an_epanechnikov_smoother_is_a_quotient_of_scikit_learns_densities(d, rng):
    q, k, v = rng.standard_normal((8, d)), rng.standard_normal((30, d)), rng.uniform(1, 2, (30, 1))
    h = 5.0
    density = KernelDensity(bandwidth=h, kernel="epanechnikov", rtol=0, atol=0)
    weighted, plain = (density.fit(k, sample_weight=w).score_samples(q) for w in (v[:, 0], np.ones(30)))
    o = exact.kernel_smoother(q, k, v, kernel=kernels.SymmetricBeta(1, h))[:, 0]
    # Their densities are exp of a logarithm of size L, formed by log-sums over 30 terms.
    allowed = 4 * U * (30 + 20 + np.abs(weighted) + np.abs(plain)) * 2
    assert (np.abs(o - np.exp(weighted - plain) * np.mean(v)) <= allowed).all()


def test_compact_kernels_are_zero_outside_and_their_values_inside(rng):
    X, Y = rng.standard_normal((5, 3)), rng.standard_normal((7, 3))
    square = np.sum((X[:, None] - Y) ** 2, -1)
    for order in (1, 2, 3, 2.5):
        value = np.maximum(0, 1 - square / 4) ** order
        # Through a logarithm: relative error order · |log| + the cancellation in 1 - u², absolute (d + 3) u.
        assert (np.abs(kernels.SymmetricBeta(order, 2.0)(X, Y) - value) <= 20 * order * U).all()
        assert not kernels.SymmetricBeta(order, 2.0)(X, Y)[square >= 4].any()
        product = X @ Y.T - 0.5
        allowed = 20 * order * U * (1 + np.sqrt(np.sum(X**2, -1))[:, None] * np.sqrt(np.sum(Y**2, -1))) ** order
        assert (np.abs(kernels.Rectified(0.5, order)(X, Y) - np.maximum(0, product) ** order) <= allowed).all()


@pytest.mark.parametrize("kernel", [kernels.Gaussian(0.7), kernels.SymmetricBeta(2, 3.0)], ids=str)
def test_a_kernel_sum_is_its_definition_and_takes_a_state(kernel, rng):
    q, k, v, _ = data(rng)
    w = rng.standard_normal(T)
    o = exact.kernel_sum_prefixes(q, k, v, kernel=kernel, log_weights=w)
    weights = np.tril(np.exp(w) * kernel(q, k))
    allowed = 40 * U * (np.tril(np.exp(np.abs(w)) + 0 * weights) @ np.abs(v))
    assert (np.abs(o.o - weights @ v) <= allowed).all()
    head = exact.kernel_sum_prefixes(q[:6], k[:6], v[:6], kernel=kernel, log_weights=w[:6])
    tail = exact.kernel_sum_prefixes(q[6:], k[6:], v[6:], kernel=kernel, log_weights=w[6:], initial_state=head.state)
    assert (np.abs(np.concatenate([head.o, tail.o]) - o.o) <= allowed).all()


def tsallis_by_scipy(z, alpha):
    """p = ((α - 1) z - τ)_+^{1/(α - 1)}, τ a root found by scipy."""
    x, n = (alpha - 1) * (z - z.max()), 1 / (alpha - 1)

    def excess(tau):
        return np.sum(np.maximum(x - tau, 0) ** n) - 1

    root = scipy.optimize.brentq(excess, -1, 0, xtol=1e-300, rtol=4 * np.finfo(float).eps)
    return np.maximum(x - root, 0) ** n


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("alpha", [2.0, 1.9, 1.5, 1.25, 1.05])
def test_tsallis_weights_are_those_of_a_root_of_scipy(alpha, scale, rng):
    q, k, v, _ = data(rng)
    o = exact.tsallis_smoother_prefixes(scale * q, k, v, alpha=alpha).o
    for t in range(T):
        z = scale * k[: t + 1] @ q[t]
        # τ to a few roundoffs of the logits moves p by n times as much, relative to its root's slope, at most 1.
        allowed = 20 * U * (T + (1 + np.max(np.abs(z))) * (1 + 1 / (alpha - 1))) * np.max(np.abs(v)) * T
        assert (np.abs(o[t] - tsallis_by_scipy(z, alpha) @ v[: t + 1]) <= allowed).all()


@pytest.mark.parametrize("alpha", [2.0, 1.5, 1.25])
def test_tsallis_weights_maximise_their_objective(alpha, rng):
    q, k, _, _ = data(rng)
    q = 6 * q
    p = exact.tsallis_smoother_prefixes(q, k, np.eye(T), alpha=alpha).o[-1]
    others = rng.dirichlet(0.3 * np.ones(T), 500)

    def objective(p):
        return p @ (k @ q[-1]) + (1 - np.sum(p**alpha, axis=-1)) / (alpha * (alpha - 1))

    assert objective(p) > np.max(objective(others))
    assert np.abs(p.sum() - 1) <= T * U
    assert (p >= 0).all()
    assert (p == 0).any(), "sparse"
    moved = (1 - 1e-3) * p + 1e-3 * others
    assert (objective(moved) <= objective(p) + 10 * T * U).all(), "no direction into the simplex rises"


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_equal_logits_share_alike_whatever_their_number(n):
    q, k, v = np.ones((n, 2)), np.ones((n, 2)), np.arange(n)[:, None] * 1.0
    o = exact.tsallis_smoother_prefixes(q, k, v, alpha=1.2).o
    assert (np.abs(o[:, 0] - np.arange(n) / 2) <= 20 * n * U * (1 + np.arange(n))).all()


def test_mean_shifts_climb_the_density_of_scipy_to_a_stationary_point(rng):
    k, h = rng.standard_normal((T, 2)), 0.6
    q = np.broadcast_to(rng.standard_normal(2), (T, 2)).copy()

    def log_density(x):
        return logsumexp([multivariate_normal.logpdf(x, y, h**2 * np.eye(2)) for y in k])

    kernel, path = kernels.Gaussian(h), [q[-1]]
    for steps in range(1, 12):
        path.append(exact.mean_shift_prefixes(q, k, k, steps=steps, kernel=kernel).o[-1])
    heights = np.array([log_density(x) for x in path])
    assert (np.diff(heights) >= -100 * U * np.abs(heights[1:])).all()
    assert heights[-1] > heights[0]
    here = exact.mean_shift_prefixes(q, k, k, steps=3000, kernel=kernel).o[-1]
    mode = scipy.optimize.minimize(lambda x: -log_density(x), here, method="Nelder-Mead", options={"xatol": 1e-9})
    # A maximum found from function values alone is known to √u of their scale.
    assert np.linalg.norm(here - mode.x) <= 100 * np.sqrt(U)


def test_mean_shift_refuses_no_step(rng):
    q, k, v, _ = data(rng)
    with pytest.raises(ValueError, match="^steps: expected at least 1, got 0$"):
        exact.mean_shift_prefixes(q, k, v, steps=0)
