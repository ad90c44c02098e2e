"""A perceptron f(x) = gelu(x W_1) W_2 through its Jacobian by the weights: descent, and the tangent kernel."""

from typing import NamedTuple

from ttr_numerics.arrays import Array, cholesky, concat, eye, forward_substitution, local_minimum, namespace, zeros
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.exact.inputs import check_rows, check_solvable

__all__ = [
    "Weights",
    "jacobian",
    "perceptron",
    "perceptron_descent_prefixes",
    "perceptron_least_squares",
    "tangent_kernel_ridge_prefixes",
]


class Weights(NamedTuple):
    """W_1 (..., d_k, d_h) and W_2 (..., d_h, d_v)."""

    W_1: Array
    W_2: Array


def perceptron(x: Array, W: Weights) -> Array:
    """f(x) = gelu(x W_1) W_2 of rows x (..., n, d_k)."""
    return _gelu(x @ W.W_1)[0] @ W.W_2


def jacobian(x: Array, W: Weights) -> Array:
    """∂f_c/∂(W_1, W_2), row by row of x (..., n, d_k): (..., n, d_v, d_k d_h + d_h d_v), each W in row-major order."""
    xp, (value, slope) = namespace(x), _gelu(x @ W.W_1)
    first = (slope[..., None, :] * xp.matrix_transpose(W.W_2)[..., None, :, :])[..., :, None, :] * x[..., None, :, None]
    second = value[..., None, :, None] * eye(x, W.W_2.shape[-1])[:, None, :]
    lead = (*x.shape[:-1], W.W_2.shape[-1])
    return concat([xp.reshape(first, (*lead, -1)), xp.reshape(second, (*lead, -1))], -1)


def perceptron_descent_prefixes(
    q: Array, k: Array, v: Array, *, eta: Array, W_1: Array, W_2: Array, batch: int = 1
) -> Output:
    """θ_t = θ_{t-1} + η_t (v_t - f(k_t; θ_b)) J(k_t; θ_b), θ all weights in one row, o_t = f(q_t; θ_t).

    b is the last token before t's mini-batch; J is the explicit Jacobian. The state is `Weights`. No objective is
    solved: this is the same descent, its gradient by forward differentiation.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, eta=eta, W_1=W_1, W_2=W_2)
    step, W, outputs = per_token("eta", eta, q), Weights(W_1, W_2), []
    start = W
    for t in range(q.shape[-2]):
        row = slice(t, t + 1)
        start = start if t % batch else W
        error = step[..., row, :] * (v[..., row, :] - perceptron(k[..., row, :], start))
        W = _moved(W, (error[..., None, :] @ jacobian(k[..., row, :], start))[..., 0, 0, :])
        outputs.append(perceptron(q[..., row, :], W))
    return Output(concat(outputs, -2) if outputs else v, W)


def tangent_kernel_ridge_prefixes(q: Array, k: Array, v: Array, *, W_1: Array, W_2: Array, ridge: float) -> Output:
    """o_t = f(q_t) + J(q_t) δ_t, δ_t = argmin_δ ½Σ_{i≤t}‖v_i - f(k_i) - J(k_i) δ‖² + ½λ‖δ‖², J at W_1, W_2.

    Kernel ridge regression of the residuals with the tangent kernel J(x) J(y)', a matrix of order d_v for each pair:
    one Cholesky factor of order T d_v serves every prefix. Where J barely moves gradient descent tends to it. Judged by
    `backward.solve_ratio` of JJ' + λ. There is no state (None).
    Reference: Jacot et al., arXiv 1806.07572; Saunders et al., ICML 1998.
    """
    check_sequence(q, k, v)
    check_solvable(q=q, k=k, v=v, W_1=W_1, W_2=W_2)
    xp, W, (T, d_v) = namespace(q), Weights(W_1, W_2), v.shape[-2:]
    rows, reads = (xp.reshape(J, (*J.shape[:-3], T * d_v, J.shape[-1])) for J in (jacobian(k, W), jacobian(q, W)))
    gram = rows @ xp.matrix_transpose(rows) + ridge * eye(k, T * d_v)
    factor = cholesky(gram, "tangent kernel + ridge")
    residual = xp.reshape(v - perceptron(k, W), (*v.shape[:-2], T * d_v, 1))
    seen = xp.tril(eye(q, T) * 0 + 1)
    seen = xp.reshape(xp.stack([xp.stack([seen] * d_v, axis=-1)] * d_v, axis=-3), (T * d_v, T * d_v))
    across = forward_substitution(factor, rows @ xp.matrix_transpose(reads))
    moved = (seen * xp.matrix_transpose(across)) @ forward_substitution(factor, residual)
    return Output(perceptron(q, W) + xp.reshape(moved, v.shape), None)


def perceptron_least_squares(
    K: Array, V: Array, *, W_1: Array, W_2: Array, ridge: float = 0.0, steps: int = 10000
) -> Weights:
    """A local minimum of ½Σ‖v_i - f(k_i; W)‖² + ½λ‖W - W_0‖², W_0 = (W_1, W_2), by `steps` L-BFGS steps from W_0.

    Not convex: what is found is below the start and not unique. λ = `ridge`. Judged by its gradient, which is
    J'(f(K) - V) + λ(W - W_0) and of order √(u F) where fewer steps were needed than given; without a ridge valleys are
    flat, and more are. Reference: Liu and Nocedal, Math. Program. 45 (1989) 503.
    """
    check_solvable(K=K, V=V, W_1=W_1, W_2=W_2)
    check_rows(K, V)
    xp, W_0 = namespace(K), Weights(W_1, W_2)

    def objective(change: Array, index: tuple[int, ...]) -> tuple[Array, Array]:
        begun = Weights(W_1[(*index, ...)], W_2[(*index, ...)])
        W = _moved(begun, change[None, :])
        value, slope = _gelu(K[(*index, ...)] @ W.W_1)
        error = value @ W.W_2 - V[(*index, ...)]
        first = xp.matrix_transpose(K[(*index, ...)]) @ (slope * (error @ xp.matrix_transpose(W.W_2)))
        gradient = concat([xp.reshape(x, (-1,)) for x in (first, xp.matrix_transpose(value) @ error)], -1)
        return (xp.sum(error * error) + ridge * xp.sum(change * change)) / 2, gradient + ridge * change

    size = W_1.shape[-2] * W_1.shape[-1] + W_2.shape[-2] * W_2.shape[-1]
    return _moved(W_0, local_minimum(objective, zeros(K, (*K.shape[:-2], size)), steps)[..., None, :])


def _gelu(x: Array) -> tuple[Array, Array]:
    """x σ(y) and its slope σ + x y' σ(1 - σ), y = 2√(2/π)(x + 0.044715 x³), σ the logistic function."""
    xp, c = namespace(x), 1.5957691216057308  # 2√(2/π)
    y, rate = c * x * (1 + 0.044715 * x * x), c * (1 + 0.134145 * x * x)
    small = xp.exp(-xp.abs(y))
    up, down = (xp.where(y >= 0, a, b) / (1 + small) for a, b in ((1 + 0 * small, small), (small, 1 + 0 * small)))
    return x * up, up * (1 + x * rate * down)


def _moved(W: Weights, change: Array) -> Weights:
    """The weights after a change of all of them, given as one row."""
    xp, split = namespace(change), W.W_1.shape[-2] * W.W_1.shape[-1]
    first, second = change[..., :split], change[..., split:]
    return Weights(W.W_1 + xp.reshape(first, W.W_1.shape), W.W_2 + xp.reshape(second, W.W_2.shape))
