"""Ridge regression over a Krylov space, at every position: what conjugate gradients compute, by another road.

    x_t = argmin ½ x A_t x' - q_t x'   over   x - x_0 ∈ span{r, rA_t, ..., rA_t^(n-1)},   r = q_t - x_0 A_t,

A_t = H_t + Λ: the point of that space nearest to A_t⁻¹q_t in the norm of A_t. With an orthonormal basis V of the space
it is the Galerkin solution x_0 + c V, (V A_t V') c = V r: one small Cholesky, no recurrence among residuals.
"""

from collections.abc import Sequence
from typing import Any

from ttr_numerics.arrays import Array, concat, diagonal_matrix, namespace, solve_posdef, zeros
from ttr_numerics.axes import Moments, Output
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.moments import moment_blocks
from ttr_numerics.exact.prefix_solutions import answered

__all__ = ["check_steps", "galerkin_prefixes"]


def galerkin_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    steps: int,
    start: Array | None = None,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = x_t G_t, x_t the A_t-optimal point of x_0 + K_steps(A_t, q_t - x_0 A_t), A_t = H_t + Λ.

    H_t, G_t as in `ridge_prefixes`; start (..., T, d_k) is x_0, default 0. Unique where A_t > 0; with `steps` at least
    the number of distinct eigenvalues of A_t it is `ridge_prefixes`. Raises `LinAlgError` where A_t is not positive
    definite on the space.
    Reference: Saad, Iterative Methods for Sparse Linear Systems, proposition 5.2.
    """
    check_steps(steps)
    x0 = _started(start, q)

    def solve(
        rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, ridge: Array, H: Array
    ) -> tuple[list[Array], Array]:
        solved, regulariser = [], diagonal_matrix(ridge)[..., None, :, :]
        for piece, H_t in moment_blocks(k, weight, log_decay, H):
            solved.append(_galerkin(H_t + regulariser, rows[0][..., piece, :], x0[..., piece, :], steps))
            H = H_t[..., -1, :, :]
        return [concat(solved, -2) if solved else rows[0]], H

    given = {"ridge": ridge, "log_decay": log_decay, "weights": weights, "initial_state": initial_state}
    return answered(solve, q, k, v, **given)


def check_steps(steps: int) -> None:
    """Raise unless `steps` is at least 0."""
    if steps < 0:
        raise ValueError(f"steps: expected at least 0, got {steps}")


def _started(start: Array | None, q: Array) -> Array:
    """x_0, zero if None."""
    if start is None:
        return zeros(q, q.shape)
    check_solvable(start=start)
    if tuple(start.shape) != tuple(q.shape):
        raise ValueError(f"start: expected shape {tuple(q.shape)} as q, got {tuple(start.shape)}")
    return start


def _galerkin(A: Array, q: Array, x: Array, steps: int) -> Array:
    """The optimal point for each A (..., n, d, d) and row q, x (..., n, d)."""
    if steps == 0:
        return x
    xp, r = namespace(A), q[..., None, :] - x[..., None, :] @ A
    V = _basis(A, r, min(steps, A.shape[-1]))
    # A row of V is a unit vector or, once the space is exhausted, 0: its equation then reads c = 0.
    missing = xp.where(xp.vecdot(V, V) > 0.5, xp.zeros_like(V[..., 0]), xp.ones_like(V[..., 0]))
    projected = V @ A @ xp.matrix_transpose(V) + diagonal_matrix(missing)
    c = solve_posdef(projected, V @ xp.matrix_transpose(r), "V (H + ridge) V'")
    return x + (xp.matrix_transpose(c) @ V)[..., 0, :]


def _basis(A: Array, r: Array, n: int) -> Array:
    """Orthonormal rows (..., n, d) that span r, rA, ..., rA^(n-1): Arnoldi, every row orthogonalised twice.

    A row of which the second time takes more than half is made of rounding errors alone: the space is exhausted.
    Reference: Daniel, Gragg, Kaufman and Stewart, Math. Comp. 30 (1976).
    """
    xp = namespace(A)
    V = _unit(r, xp.vecdot(r, r) > 0)
    for _ in range(n - 1):
        w = V[..., -1:, :] @ A
        once = w - (w @ xp.matrix_transpose(V)) @ V
        twice = once - (once @ xp.matrix_transpose(V)) @ V
        V = concat([V, _unit(twice, xp.vecdot(twice, twice) > xp.vecdot(once, once) / 2)], -2)
    return V


def _unit(x: Array, valid: Array) -> Array:
    """x/‖x‖ where `valid`, else 0."""
    xp = namespace(x)
    norm = xp.sqrt(xp.vecdot(x, x))[..., None]
    valid = valid[..., None]
    return xp.where(valid, x / xp.where(valid, norm, xp.ones_like(norm)), xp.zeros_like(x))
