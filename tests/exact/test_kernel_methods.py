"""Kernel ridge regression and kernel smoothers against scikit-learn, statsmodels and torch."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.kernel_ridge import KernelRidge
from statsmodels.nonparametric.kernel_regression import KernelReg

from tests.references import CASES, allowed, wrong
from ttr_numerics import exact
from ttr_numerics.arrays import LinAlgError
from ttr_numerics.exact import kernel_ridge, kernels

U, T = 2.0**-53, 8
KERNELS = {
    "gaussian": (kernels.Gaussian(0.8), {"kernel": "rbf", "gamma": 1 / (2 * 0.8**2)}),
    "linear": (kernels.Linear(), {"kernel": "linear"}),
    "square": (kernels.Polynomial((1.0, 2.0, 1.0)), {"kernel": "polynomial", "degree": 2, "gamma": 1, "coef0": 1}),
    "exponential": (kernels.Exponential(1.3), {"kernel": lambda x, y: np.exp(x @ y / 1.3**2)}),
}


def data(rng: np.random.Generator, d: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys, values of one head."""
    q, k = rng.standard_normal((2, T, d))
    return q, k, rng.standard_normal((T, 2))


@pytest.mark.parametrize("name", KERNELS)
def test_every_prefix_is_kernel_ridge_regression_of_scikit_learn(name: str, rng: np.random.Generator) -> None:
    (q, k, v), (kernel, theirs), ridge = data(rng), KERNELS[name], 0.2
    o = exact.kernel_ridge_prefixes(q, k, v, kernel=kernel, ridge=ridge).o
    for t in range(1, T + 1):
        fit = KernelRidge(alpha=ridge, **theirs).fit(k[:t], v[:t])
        gram, query = kernel(k[:t], k[:t]), kernel(k[:t], q[t - 1 : t])
        kappa = np.linalg.cond(gram + ridge * np.eye(t))
        # Higham κη with Cholesky's η = t(3t + 1)u, twice; entries of the kernel are within (d + 6) u |log κ|.
        size = t * (3 * t + 1) + 10 * (1 + np.max(np.abs(np.log(np.abs(gram) + U))))
        bound = 2 * size * U * kappa * np.linalg.norm(query) * np.linalg.norm(fit.dual_coef_)
        assert np.linalg.norm(o[t - 1] - fit.predict(q[t - 1 : t])[0]) <= bound


def test_kernel_ridge_with_a_state_handed_over_is_the_whole(rng: np.random.Generator) -> None:
    (q, k, v), kernel = data(rng), kernels.Gaussian()
    whole = exact.kernel_ridge_prefixes(q, k, v, kernel=kernel, ridge=0.5)
    first = exact.kernel_ridge_prefixes(q[:3], k[:3], v[:3], kernel=kernel, ridge=0.5)
    second = exact.kernel_ridge_prefixes(q[3:], k[3:], v[3:], kernel=kernel, ridge=0.5, initial_state=first.state)
    size = T * (3 * T + 1) * U * np.linalg.cond(kernel(k, k) + 0.5 * np.eye(T)) * np.linalg.norm(v) / 0.5
    assert np.linalg.norm(np.concatenate([first.o, second.o]) - whole.o) <= 2 * size * np.sqrt(T)


def test_kernel_ridge_refuses_repeated_keys_without_ridge(rng: np.random.Generator) -> None:
    q, k, v = (np.stack([x, x]) for x in data(rng))
    k[1, 5] = k[1, 0]
    with pytest.raises(LinAlgError, match=r"kernel matrix \+ ridge: expected positive definite.* in slices \(1,\)"):
        exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Gaussian(0.3), ridge=0.0)


def prefix_by_scipy(
    given: tuple[np.ndarray, ...], kernel: kernels.Gaussian, ridge: float, t: int
) -> tuple[np.ndarray, float]:
    """The answer at position t by a Cholesky factorisation of its own, and how far ours may lie from it."""
    q, k, v = given
    gram, query = kernel(k[: t + 1], k[: t + 1]) + ridge * np.eye(t + 1), kernel(k[: t + 1], q[t : t + 1])
    dual = scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, lower=True), v[: t + 1])
    # Higham κη with Cholesky's η = n(3n + 1)u, for theirs and for ours.
    size = (t + 1) * (3 * t + 4) * U * np.linalg.cond(gram)
    return (query.T @ dual)[0], float(2 * size * np.linalg.norm(query) * np.linalg.norm(dual))


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks so short that a few tokens make several; the number of tokens."""
    monkeypatch.setattr(kernel_ridge, "BLOCK", 8)
    return 27


@pytest.mark.parametrize("batch", [(), (2,), (2, 1)], ids=str)
@pytest.mark.parametrize("before", [0, 1, 7, 8, 13, 27])
def test_kernel_ridge_in_blocks_is_a_factorisation_of_scipy_at_each_position(
    before: int, batch: tuple[int, ...], short_blocks: int, rng: np.random.Generator
) -> None:
    q, k = rng.standard_normal((2, *batch, short_blocks, 3))
    given, kernel, ridge = (q, k, rng.standard_normal((*batch, short_blocks, 2))), kernels.Gaussian(), 0.05
    head = exact.kernel_ridge_prefixes(*(x[..., :before, :] for x in given), kernel=kernel, ridge=ridge)
    tail = exact.kernel_ridge_prefixes(
        *(x[..., before:, :] for x in given), kernel=kernel, ridge=ridge, initial_state=head.state
    )
    assert np.array_equal(tail.state.k, given[1])
    o = np.concatenate([head.o, tail.o], -2)
    late = exact.kernel_ridge_prefixes(q, k, np.roll(given[2], 1, -2), kernel=kernel, ridge=ridge).o
    for i in np.ndindex(*batch):
        for t in range(short_blocks):
            theirs, allowed = prefix_by_scipy(tuple(x[i] for x in given), kernel, ridge, t)
            assert np.linalg.norm(o[i][t] - theirs) <= allowed
            assert np.linalg.norm(late[i][t] - theirs) > allowed, "values one token late would be seen"


@pytest.mark.parametrize("ridge", [1e-4, 1e-6, 1e-12])
def test_kernel_ridge_of_ill_conditioned_data_is_within_its_bound(
    ridge: float, short_blocks: int, rng: np.random.Generator
) -> None:
    q, k = rng.standard_normal((2, short_blocks, 2))
    kernel = kernels.Gaussian(2.0)
    given = q, k, kernel(k, q[:3]) @ rng.standard_normal((3, 2))
    o = exact.kernel_ridge_prefixes(*given, kernel=kernel, ridge=ridge).o
    told = []
    for t in range(short_blocks):
        theirs, allowed = prefix_by_scipy(given, kernel, ridge, t)
        assert np.linalg.norm(o[t] - theirs) <= allowed
        told.append(allowed < np.linalg.norm(theirs) / 10)
    assert np.mean(told) > 0.5 or ridge == 1e-12, "the bound says something"


def test_kernel_ridge_over_blocks_of_their_own_length(rng: np.random.Generator) -> None:
    n, kernel = kernel_ridge.BLOCK + 37, kernels.Gaussian()
    q, k = rng.standard_normal((2, n, 3))
    given = q, k, rng.standard_normal((n, 2))
    o = exact.kernel_ridge_prefixes(*given, kernel=kernel, ridge=0.05).o
    for t in (0, kernel_ridge.BLOCK - 1, kernel_ridge.BLOCK, n - 1):
        theirs, allowed = prefix_by_scipy(given, kernel, 0.05, t)
        assert np.linalg.norm(o[t] - theirs) <= allowed


@pytest.mark.parametrize("twin", [5, 13, 26])
def test_kernel_ridge_refuses_a_key_repeated_blocks_later(
    twin: int, short_blocks: int, rng: np.random.Generator
) -> None:
    q, k = rng.standard_normal((2, 3, short_blocks, 3))
    v = rng.standard_normal((3, short_blocks, 2))
    k[1, twin] = k[1, 2]
    for h in (1e-2, 0.5):
        with pytest.raises(LinAlgError, match=r"^kernel matrix \+ ridge: expected positive definite.* slices \(1,\)"):
            exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Gaussian(h), ridge=0.0)
    o = exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Gaussian(0.5), ridge=0.1).o
    theirs, allowed = prefix_by_scipy((q[1], k[1], v[1]), kernels.Gaussian(0.5), 0.1, twin)
    assert np.linalg.norm(o[1, twin] - theirs) <= allowed


@pytest.mark.parametrize("n", [0, 1])
def test_kernel_ridge_of_no_token_is_empty_and_of_one_is_a_quotient(n: int, rng: np.random.Generator) -> None:
    q, k, v = (x[:n] for x in data(rng))
    o = exact.kernel_ridge_prefixes(q, k, v, kernel=kernels.Linear(), ridge=0.5).o
    assert o.shape == (n, 2)
    for t in range(n):
        theirs = (q[t] @ k[t]) / (k[t] @ k[t] + 0.5) * v[t]
        size = np.abs(q[t]) @ np.abs(k[t]) / (k[t] @ k[t] + 0.5) * np.abs(v[t])
        assert np.all(
            np.abs(o[t] - theirs) <= 10 * U * size
        )  # two dot products of two terms, a root squared, a quotient


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("h", [0.4, 1.5])
def test_smoother_is_kernel_regression_of_statsmodels(d: int, h: float, rng: np.random.Generator) -> None:
    q, k, v = data(rng, d)
    ours = exact.kernel_smoother(q, k, v, kernel=kernels.Gaussian(h))
    for column in range(v.shape[1]):
        fit = KernelReg(v[:, column], k, var_type="c" * d, reg_type="lc", bw=[h] * d, rng=0)
        # A weight has the relative error of its logarithm's absolute one, (d + 4) u max|log κ|; its T terms add T u.
        logs = np.max(np.abs(kernels.Gaussian(h).log(q, k)), axis=-1)
        bound = 4 * U * ((d + 4) * (1 + logs) + T) * np.max(np.abs(v[:, column]))
        assert np.all(np.abs(ours[:, column] - fit.fit(q)[0]) <= bound)


def test_smoother_is_the_weighted_mean_that_minimises_its_objective(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    log_weights = rng.standard_normal(T)
    o = exact.kernel_smoother_prefixes(q, k, v, log_weights=log_weights).o
    for t in range(T):
        w = np.exp(log_weights[: t + 1] - np.sum((q[t] - k[: t + 1]) ** 2, axis=1) / 2)
        gradient = w @ (v[: t + 1] - o[t])
        logs = 1 + np.max(np.abs(np.log(w)))
        assert np.all(np.abs(gradient) <= 20 * U * (t + 1) * logs * np.sum(w) * np.max(np.abs(v)))


@pytest.mark.parametrize("causal", [True, False])
def test_smoother_weighted_by_key_norms_is_torch_attention(causal: bool, rng: np.random.Generator) -> None:
    name = "softmax_attention" if causal else "bidirectional_softmax_attention"
    given = CASES[name].inputs(rng, (2, 3), T=7, d_k=4, d_v=4)
    q, k, v = (given[n] for n in "qkv")
    log_weights = np.sum(k * k, axis=-1) / 2
    tensors = (torch.asarray(x) for x in (q, k, v))
    theirs = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal, scale=1.0).numpy()
    if causal:
        ours = exact.kernel_smoother_prefixes(q, k, v, log_weights=log_weights).o
    else:
        ours = exact.kernel_smoother(q, k, v, log_weights=log_weights)
    truth, bound = allowed(CASES[name], given, "float64")
    assert not wrong(theirs, truth, bound).any()
    assert not wrong(ours, truth, bound).any()
    unweighted = exact.kernel_smoother_prefixes(q, k, v).o if causal else exact.kernel_smoother(q, k, v)
    later = (slice(None), slice(None), slice(1, None))
    assert wrong(unweighted, truth, bound)[later].all(), "the key norms would be seen"


def test_smoother_of_unit_keys_needs_no_weights(rng: np.random.Generator) -> None:
    given = CASES["softmax_attention"].inputs(rng, (), T)
    given["k"] /= np.linalg.norm(given["k"], axis=-1, keepdims=True)
    o = exact.kernel_smoother_prefixes(**given).o
    assert not wrong(o, *allowed(CASES["softmax_attention"], given, "float64")).any()


def test_smoother_far_from_every_key_returns_the_nearest_value(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    far = q + 2.0**20
    o = exact.kernel_smoother(far, k, v)
    nearest = np.argmin(np.sum((far[:, None] - k) ** 2, axis=-1), axis=-1)
    assert np.array_equal(o, v[nearest])


def test_smoother_state_handed_over_is_the_whole(rng: np.random.Generator) -> None:
    q, k, v = data(rng)
    w = rng.standard_normal(T)
    whole = exact.kernel_smoother_prefixes(q, k, v, log_weights=w).o
    first = exact.kernel_smoother_prefixes(q[:3], k[:3], v[:3], log_weights=w[:3])
    second = exact.kernel_smoother_prefixes(q[3:], k[3:], v[3:], log_weights=w[3:], initial_state=first.state)
    logs = np.max(np.abs(kernels.Gaussian().log(q, k))) + np.max(np.abs(w))
    bound = 4 * U * (6 * (1 + logs) + T) * np.max(np.abs(v))
    assert np.all(np.abs(np.concatenate([first.o, second.o]) - whole) <= bound)
