"""Ridge regression by the best polynomial of a given degree, at every position: what Chebyshev steps compute.

    o_t = q_t p(H_t) G_t,   p = argmin over degree < n of max |1 - (s + λ_t) p(s)| on 0 ≤ s ≤ ‖H_t‖_F,
    1 - (s + λ_t) p(s) = T_n(1 - 2s/‖H_t‖_F) / T_n(1 + 2a),   λ_t = a ‖H_t‖_F,

evaluated on the eigenvalues of H_t: no iteration on vectors. Its residual is at most ‖q_t‖ / T_n(1 + 2a).
"""

from collections.abc import Sequence
from math import acosh, cosh
from typing import Any

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Moments, Output
from ttr_numerics.exact.krylov import check_steps
from ttr_numerics.exact.moments import moment_blocks
from ttr_numerics.exact.prefix_solutions import answered

__all__ = ["minimax_prefixes"]


def minimax_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    ridge_ratio: float,
    steps: int,
    log_decay: Array | None = None,
    weights: Array | None = None,
    initial_state: Moments | None = None,
) -> Output:
    """o_t = q_t p(H_t) G_t with the polynomial above of degree steps - 1: (H_t + λ_t I)⁻¹ as steps → ∞.

    H_t, G_t as in `ridge_prefixes`; where H_t = 0 the answer is 0. Unique for ridge_ratio > 0.
    Reference: Golub and Varga, Numer. Math. 3 (1961); Saad, Iterative Methods for Sparse Linear Systems, section 6.11.
    """
    check_steps(steps)
    if not ridge_ratio > 0:
        raise ValueError(f"ridge_ratio: expected above 0, got {ridge_ratio}")

    def solve(
        rows: Sequence[Array], k: Array, weight: Array, log_decay: Array, _: Array, H: Array
    ) -> tuple[list[Array], Array]:
        solved = []
        for piece, H_t in moment_blocks(k, weight, log_decay, H):
            solved.append(_evaluated(H_t, rows[0][..., piece, :], ridge_ratio, steps))
            H = H_t[..., -1, :, :]
        return [concat(solved, -2) if solved else rows[0]], H

    given: dict[str, Any] = {"ridge": 0.0, "log_decay": log_decay, "weights": weights, "initial_state": initial_state}
    return answered(solve, q, k, v, **given)


def _evaluated(H: Array, q: Array, ratio: float, n: int) -> Array:
    """q p(H), row by row, for H (..., C, d, d) and q (..., C, d)."""
    xp = namespace(H)
    s, Q = xp.linalg.eigh(H)
    norm = xp.sqrt(xp.vecdot(s, s))[..., None]
    norm = xp.where(norm > 0, norm, xp.ones_like(norm))
    remaining = _chebyshev(n, 1 - 2 * (s / norm)) / cosh(n * acosh(1 + 2 * ratio))
    inverse = (1 - remaining) / (s + ratio * norm)
    return ((inverse[..., None, :] * (q[..., None, :] @ Q)) @ xp.matrix_transpose(Q))[..., 0, :]


def _chebyshev(n: int, z: Array) -> Array:
    """T_n(z)."""
    before, last = namespace(z).ones_like(z), z
    for _ in range(n - 1):
        before, last = last, 2 * z * last - before
    return last if n else before
