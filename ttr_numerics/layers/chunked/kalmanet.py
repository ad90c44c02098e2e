"""Gated KalmaNet's Chebyshev steps, a chunk of positions at a time.

‖H_t‖_F² = γ_t²‖H_{t-1}‖_F² + β_t (2 k_t H_t k_t' - β_t ‖k_t‖⁴): the norms need no H_t either.
"""

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Moments, Output, check_sequence
from ttr_numerics.layers.chunked.length import CHUNK
from ttr_numerics.layers.chunked.solved import Chunk, by_chunks
from ttr_numerics.layers.conjugate_gradient import check_steps
from ttr_numerics.layers.kalmanet import chebyshev, check_ratio, mixture, nonzero, square_norm, trace
from ttr_numerics.layers.mesa import gate_and_weight, initial_moments

__all__ = ["gated_kalmanet"]


def gated_kalmanet(
    q: Array,
    k: Array,
    v: Array,
    *,
    log_decay: Array | None = None,
    beta: Array | None = None,
    alpha: Array | None = None,
    ridge_ratio: float = 0.02,
    steps: int = 30,
    initial_state: Moments | None = None,
    chunk: int = CHUNK,
) -> Output:
    """o_t = (q_t + α_t (x_t - q_t)) G_t, x_t by Chebyshev steps on (H_t + λ_t I) x = q_t, λ_t = ridge_ratio ‖H_t‖_F."""
    check_sequence(q, k, v)
    check_steps(steps, 0)
    check_ratio(ridge_ratio)

    def solve(moments: Chunk, q: Array, alpha: Array) -> Array:
        unit, norm = _sizes(moments)
        x = chebyshev(lambda p: moments.times(p) / unit, q, norm, ridge_ratio, steps) / unit
        return q + alpha * (x - q)

    gates = (*gate_and_weight(q, log_decay, beta), mixture(alpha, q))
    return by_chunks(solve, initial_moments(initial_state, q, v), chunk, q, k, v, *gates)


def _sizes(moments: Chunk) -> tuple[Array, Array]:
    """tr H_t and ‖H_t‖_F / tr H_t (..., C, 1), 1 where H_t = 0: in units of traces squares do not underflow."""
    k, beta, since, between = moments.k, moments.beta, moments.since, moments.between
    xp, squares = namespace(k), namespace(k).sum(k * k, axis=-1, keepdims=True)
    before = trace(moments.H)
    unit = nonzero(since * before + between @ (beta * squares))
    gained = beta * (2 * xp.sum(moments.times(k) * k, axis=-1, keepdims=True) - beta * squares**2)
    left, kept = between / unit, since * before / unit
    square = kept**2 * square_norm(moments.H / nonzero(before))
    square = square + xp.sum(left * xp.matrix_transpose(gained) * left, axis=-1, keepdims=True)
    return unit, xp.sqrt(nonzero(square))
