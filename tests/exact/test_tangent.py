"""The perceptron's Jacobian is autograd's; its tangent kernel ridge is kernel ridge, and least squares in weights."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from torch.nn import functional

from tests.references import normal_equations
from ttr_numerics import exact
from ttr_numerics.arrays import to_numpy
from ttr_numerics.exact.tangent import Weights, jacobian, perceptron
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

T, D, H, M = 7, 3, 5, 2
U = 2.0**-53


def data(d_v=M, batch=()):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((*batch, T, d)) for d in (D, D, d_v))
    return {
        "q": q,
        "k": k,
        "v": v,
        "W_1": rng.standard_normal((*batch, D, H)),
        "W_2": rng.standard_normal((*batch, H, d_v)),
    }


def weights(a):
    return Weights(a["W_1"], a["W_2"])


def test_the_jacobian_is_that_of_autograd() -> None:
    a = data()
    W = tuple(torch.asarray(x) for x in weights(a))
    ours = jacobian(a["k"], weights(a))
    for t in range(T):
        x = torch.asarray(a["k"][t])
        theirs = torch.autograd.functional.jacobian(
            lambda first, second, x=x: functional.gelu(x @ first, approximate="tanh") @ second, W
        )
        flat = np.concatenate([J.numpy().reshape(M, -1) for J in theirs], axis=-1)
        # Entries are products of a slope (a dozen roundings, of terms up to 3 |h|² and 1), a weight and a key.
        h = np.abs(a["k"][t]) @ np.abs(a["W_1"])
        size = (1 + 3 * h**3).max() * (1 + np.abs(a["W_2"]).max()) * (1 + np.abs(a["k"][t]).max())
        assert np.abs(ours[t] - flat).max() <= (12 + D) * 2 * U * size
        assert np.abs(ours[t] - 1.0001 * flat).max() > (12 + D) * 2 * U * size


@pytest.mark.parametrize("ridge", [1.0, 1e-2])
def test_every_prefix_is_ridge_regression_on_the_jacobian(ridge) -> None:
    a = data()
    o = exact.tangent_kernel_ridge_prefixes(**a, ridge=ridge).o
    for t in range(T):
        J = jacobian(a["k"][: t + 1], weights(a)).reshape((t + 1) * M, -1)
        residual = (a["v"] - perceptron(a["k"], weights(a)))[: t + 1].reshape(-1, 1)
        change = exact.ridge(J, residual, ridge).S
        read = jacobian(a["q"][t : t + 1], weights(a))[0]
        truth = perceptron(a["q"], weights(a))[t] + (read @ change)[:, 0]
        A = np.vstack([J, np.sqrt(ridge) * np.eye(J.shape[1])])
        B = np.vstack([residual, np.zeros((J.shape[1], 1))])
        bound = np.linalg.norm(read, 2) * normal_equations(A, B, change, U)
        assert np.linalg.norm(o[t] - truth) <= bound


def test_for_one_output_it_is_sklearns_kernel_ridge() -> None:
    a = data(1)
    J, R = (jacobian(a[n], weights(a))[:, 0] for n in ("k", "q"))
    residual = a["v"] - perceptron(a["k"], weights(a))
    model = KernelRidge(alpha=0.1, kernel="precomputed").fit(J @ J.T, residual)
    truth = perceptron(a["q"], weights(a))[-1] + (R @ J.T)[-1:] @ model.dual_coef_[:, :1]
    o = exact.tangent_kernel_ridge_prefixes(**a, ridge=0.1).o[-1]
    gram = J @ J.T + 0.1 * np.eye(T)
    size = np.linalg.norm((R @ J.T)[-1]) * np.linalg.norm(np.linalg.inv(gram), 2) * np.linalg.norm(residual)
    assert np.abs(o - truth).max() <= 2 * T * (3 * T + J.shape[1]) * U * np.linalg.cond(gram) * size


def test_kernel_ridge_with_the_tangent_kernel_as_an_object_agrees() -> None:
    a = data(1)
    W = weights(a)

    def kernel(X, Y):
        return jacobian(X, W)[..., 0, :] @ jacobian(Y, W)[..., 0, :].T

    residual = a["v"] - perceptron(a["k"], W)
    o = perceptron(a["q"], W) + exact.kernel_ridge_prefixes(a["q"], a["k"], residual, kernel=kernel, ridge=0.1).o
    bound = rounding(lambda **x: exact.tangent_kernel_ridge_prefixes(**x, ridge=0.1), a, FORMATS["float64"])
    assert (row_norms(o - bound.reference) <= 2 * bound.bound).all()


def test_a_wide_perceptron_that_is_trained_long_approaches_its_tangent_ridge() -> None:
    rng = np.random.default_rng(1)
    k, v = rng.standard_normal((4, D)), rng.standard_normal((4, 1))
    gaps = []
    for width in (64, 4096):
        scale = 1 / np.sqrt(width)
        W_1, W_2 = rng.standard_normal((D, width)), rng.standard_normal((width, 1)) * scale
        W_1 = np.concatenate([W_1[:, : width // 2]] * 2, axis=-1)  # pairs of opposite sign: f = 0 at the start
        W_2 = np.concatenate([W_2[: width // 2], -W_2[: width // 2]])
        J = jacobian(k, Weights(W_1, W_2))[:, 0]
        step = 1 / np.linalg.norm(J, 2) ** 2
        repeated = {n: np.tile(x, (500, 1)) for n, x in (("q", k), ("k", k), ("v", v))}
        tiny = {"W_1": W_1, "W_2": W_2}
        trained = exact.perceptron_descent_prefixes(**repeated, **tiny, eta=np.full(2000, step), batch=4).state
        query = rng.standard_normal((1, D))
        fitted = np.concatenate([k[:3], query]), k, v
        limit = exact.tangent_kernel_ridge_prefixes(*fitted, **tiny, ridge=1e-9).o[-1]
        gaps.append(np.abs(perceptron(query, trained) - limit).max())
    assert gaps[1] < gaps[0] / 2  # laziness grows with width


def fit_objective(K, V, W, start, ridge):
    moved = sum(np.sum((x - y) ** 2) for x, y in zip(W, start, strict=True))
    return (np.sum((V - perceptron(K, Weights(*W))) ** 2) + ridge * moved) / 2


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_the_fit_of_all_weights_is_stationary_and_no_higher_than_torchs(ridge) -> None:
    a = data()
    start = weights(a)
    W = exact.perceptron_least_squares(a["k"], a["v"], W_1=a["W_1"], W_2=a["W_2"], ridge=ridge)
    leaves = [torch.tensor(x, requires_grad=True) for x in start]
    optimiser = torch.optim.LBFGS(
        leaves, max_iter=200, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )
    K, V = torch.asarray(a["k"]), torch.asarray(a["v"])

    def loss(weights):
        misfit = V - functional.gelu(K @ weights[0], approximate="tanh") @ weights[1]
        moved = sum(((w - torch.asarray(s)) ** 2).sum() for w, s in zip(weights, start, strict=True))
        return (misfit**2).sum() / 2 + ridge * moved / 2

    def closure():
        optimiser.zero_grad()
        value = loss(leaves)
        value.backward()
        return value

    optimiser.step(closure)
    ours, theirs = (fit_objective(a["k"], a["v"], x, start, ridge) for x in (W, [x.detach().numpy() for x in leaves]))
    assert ours < fit_objective(a["k"], a["v"], start, start, ridge)
    if ridge == 1.0:  # the penalty outweighs what is not convex: one minimum
        assert ours <= theirs * (1 + 12 * T * M * 2.0**-53)
    here = [torch.tensor(x, requires_grad=True) for x in W]
    gradient = torch.cat([g.ravel() for g in torch.autograd.grad(loss(here), here)]).norm()
    J = jacobian(a["k"], W).reshape(T * M, -1)
    curvature = (
        np.linalg.norm(J, 2) ** 2 + ridge + np.linalg.norm(a["v"] - perceptron(a["k"], W)) * np.abs(a["k"]).max()
    )
    # A step along the gradient would lower F by ‖g‖²/(2 curvature): more than F's rounding would have been taken.
    assert float(gradient) ** 2 / (2 * curvature) <= 12 * T * M * 2.0**-53 * ours


def test_a_strong_penalty_leaves_one_step_of_the_tangent() -> None:
    a = data()
    start, ridge = weights(a), 1e6
    W = exact.perceptron_least_squares(a["k"], a["v"], W_1=a["W_1"], W_2=a["W_2"], ridge=ridge)
    J = jacobian(a["k"], start).reshape(T * M, -1)
    residual = (a["v"] - perceptron(a["k"], start)).reshape(-1)
    step = J.T @ residual
    moved = ridge * np.concatenate([(x - y).ravel() for x, y in zip(W, start, strict=True)])
    # The next term of the expansion in 1/λ: the curvature of the misfit times the step.
    curvature = (
        np.linalg.norm(J, 2) ** 2 + np.linalg.norm(residual) * np.abs(a["k"]).max() ** 2 * np.abs(a["W_2"]).max()
    )
    assert np.linalg.norm(moved - step) <= 2 * curvature / ridge * np.linalg.norm(step)


def test_the_fit_runs_alike_on_every_library(double) -> None:
    a = data(batch=(2,))
    given = double.arrays(a)
    W = exact.perceptron_least_squares(given["k"], given["v"], W_1=given["W_1"], W_2=given["W_2"], ridge=1.0)
    assert type(W.W_1) is type(given["k"])
    for h in range(2):
        one = {n: x[h] for n, x in a.items()}
        alone = exact.perceptron_least_squares(one["k"], one["v"], W_1=one["W_1"], W_2=one["W_2"], ridge=1.0)
        together = [to_numpy(x)[h] for x in W]
        values = [fit_objective(one["k"], one["v"], x, weights(one), 1.0) for x in (together, alone)]
        assert abs(values[0] - values[1]) <= 12 * T * M * 2.0**-53 * max(values)


def test_batches_are_solved_one_by_one() -> None:
    a = data(batch=(2,))
    together = exact.tangent_kernel_ridge_prefixes(**a, ridge=0.1).o
    for h in range(2):
        bound = rounding(
            lambda **x: exact.tangent_kernel_ridge_prefixes(**x, ridge=0.1),
            {n: x[h] for n, x in a.items()},
            FORMATS["float64"],
        )
        assert (row_norms(together[h] - bound.reference) <= 2 * bound.bound).all()
