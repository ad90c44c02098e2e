"""Ridge regression with a fixed regulariser and forgetting, at every position: innovations, then Chebyshev steps.

Where the data are forgotten and Λ is not, A_t = H_t + Λ has no factor that all positions of a chunk share. But

    M_t = H_t + c_t Λ,   c_t = c γ_t,   γ_t the decay since the first token of the chunk,

decays as a whole, so that M_t⁻¹ = (P - Z_{≤t}'Z_{≤t})/γ_t by the innovations of the chunk (`exact.innovation`), from
P = (H + cΛ)⁻¹. As M_t⁻¹A_t = I + (1 - c_t) M_t⁻¹Λ has its eigenvalues between 1 and 1/c_t, Chebyshev steps for it need
no inner products, and log(2/u)/log(1/ρ) of them suffice, ρ = (√κ - 1)/(√κ + 1), κ = max(c_t, 1/c_t): with c = γ_C^{-½}
κ ≤ exp(D/2) in a chunk that decays by D nats. A step applies M_t⁻¹ to all positions, 2d² + 4Cd flops each.
A chunk of one token (any decay, -inf too) takes no step. The error is about κ(A)u, that of one solve by moments.
Reference: Golub and Varga, Numer. Math. 3 (1961); Saad, Iterative Methods for Sparse Linear Systems, section 12.3.
"""

from collections.abc import Sequence
from functools import partial
from math import ceil, exp, log, sqrt
from typing import Any

from ttr_numerics.arrays import (
    Array,
    cholesky,
    concat,
    diagonal_matrix,
    eye,
    forward_substitution,
    inverse_posdef,
    namespace,
    to_numpy,
    unit_roundoff,
)
from ttr_numerics.axes import Moments, Output
from ttr_numerics.exact.adjoint import differentiable, ridge_adjoint
from ttr_numerics.exact.growth import pieces
from ttr_numerics.exact.prefix_solutions import answered, solutions_by

__all__ = ["ridge_prefixes_by_chebyshev", "solve_by_chebyshev"]

CHUNK = 32
NATS = 1.0  # of decay in a chunk: κ ≤ 1.65, at most 18 steps in float64


def solve_by_chebyshev(
    rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, ridge: Array, H: Array
) -> tuple[list[Array], Array]:
    """A_t⁻¹ rows_t (..., T, d_k) for each of `rows`, and H_T; weight, log_decay (..., T, 1), ridge (..., d_k)."""
    xp, solved = namespace(k), []
    for piece in pieces(k.shape[-2], CHUNK, log_decay, NATS):
        K = xp.sqrt(weight[..., piece, :]) * k[..., piece, :]
        aged = xp.exp(log_decay[..., piece.start : piece.start + 1, :]) * H
        system = _System(aged, K, log_decay[..., piece, :], ridge)
        solved.append([system.solve(x[..., piece, :]) for x in rows])
        H = system.after
    return [concat(list(parts), -2) for parts in zip(*solved, strict=True)] if solved else list(rows), H


@differentiable(partial(ridge_adjoint, partial(solutions_by, solve_by_chebyshev)), Moments)
def ridge_prefixes_by_chebyshev(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge: Any,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """`ridge_prefixes` with forgetting, by the innovations of each chunk and Chebyshev steps for what Λ keeps."""
    given = {"ridge": ridge, "log_decay": log_decay, "weights": weights, "initial_state": initial_state}
    return answered(solve_by_chebyshev, q, k, v, **given)


class _System:
    """A_t of one chunk: H as old as its first token, weighted rows K, log_decay (..., C, 1), ridge (..., d_k)."""

    def __init__(self, H: Array, K: Array, log_decay: Array, ridge: Array) -> None:
        xp, C = namespace(K), K.shape[-2]
        logs = concat([xp.zeros_like(log_decay[..., :1, :]), log_decay[..., 1:, :]], -2)
        total = xp.cumulative_sum(logs, axis=-2)
        self.ridge, self.since = ridge[..., None, :], xp.exp(total)
        middle = xp.exp(-total[..., -1:, :] / 2)
        self.multiple = middle * self.since  # c_t
        self.P = inverse_posdef(H + middle * diagonal_matrix(ridge), "H + ridge")
        grown = K * xp.exp(-total / 2)
        KP = grown @ self.P
        factor = cholesky(eye(K, C) + KP @ xp.matrix_transpose(grown), "I + K P K'")
        self.Z = forward_substitution(factor, KP)
        end = total[..., -1:, :]
        self.after = xp.exp(end) * H + xp.matrix_transpose(xp.exp(end - total) * K) @ K  # above -NATS: nothing cancels
        decay = float(-to_numpy(end).min()) if 0 not in end.shape else 0.0
        self.steps = _steps(decay, unit_roundoff(K))

    def solve(self, rows: Array) -> Array:
        """x_t = A_t⁻¹ rows_t, by Chebyshev steps for (I + (1 - c_t) M_t⁻¹ Λ) x_t = M_t⁻¹ rows_t."""
        b = self._preconditioned(rows)
        if self.steps == 0:
            return b
        one, inverse = namespace(b).ones_like(self.multiple), 1 / self.multiple
        centre, radius = (inverse + one) / 2, namespace(b).abs(inverse - one) / 2
        step, rate = b / centre, radius / centre
        x = step
        for _ in range(self.steps):
            residual = b - x - (1 - self.multiple) * self._preconditioned(self.ridge * x)
            scale = 1 / (2 * centre - radius * rate)
            step = radius * scale * rate * step + 2 * scale * residual
            x, rate = x + step, radius * scale
        return x

    def _preconditioned(self, rows: Array) -> Array:
        """M_t⁻¹ rows_t = (P - Z_{≤t}'Z_{≤t}) rows_t / γ_t."""
        xp = namespace(rows)
        return (rows @ self.P - xp.tril(rows @ xp.matrix_transpose(self.Z)) @ self.Z) / self.since


def _steps(decay: float, u: float) -> int:
    """Chebyshev steps after the first for an error of u, where a chunk decays by `decay` nats.

    >>> _steps(0.0, 2.0**-53), _steps(1.0, 2.0**-53)
    (0, 18)
    """
    if decay <= 0:
        return 0
    root = sqrt(exp(decay / 2))
    return ceil(log(2 / u) / log((root + 1) / (root - 1)))
