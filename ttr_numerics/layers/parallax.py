"""Parallax: softmax attention corrected along a probe, local linear attention without its solve.

o_t = v̄ - Cov_p(v, k) r_t,   p_i ∝ exp(q_t·k_i),   v̄ = Σ p_i v_i,   Cov_p(v, k) r = Σ p_i v_i (k_i - k̄)·r
"""

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Cache, Output, check_sequence, extended, per_channel
from ttr_numerics.layers.blocks import causal
from ttr_numerics.layers.softmax import exponentials

__all__ = ["parallax"]


def parallax(q: Array, k: Array, v: Array, *, probe: Array, initial_state: Cache | None = None) -> Output:
    """o_t = v̄ (1 + k̄·r_t) - Σ_{i≤t} p_i (k_i·r_t) v_i with the probe r (..., T, d_k), which is not scaled.

    r = 0 is softmax attention; r = (Cov_p(k, k) + λ/ω I)⁻¹ (k̄ - q), ω the sum of the raw weights, is
    `local_linear_attention`. The state is `Cache(k, v)`. Reference: arXiv 2605.29157, algorithm 1.
    """
    check_sequence(q, k, v)
    probe = per_channel("probe", probe, q)
    cache = extended(initial_state, k, v)
    xp, outputs = namespace(q), []
    for block in causal(q, cache.k.shape[-2]):
        v, keys = cache.v[..., block.keys, :], xp.matrix_transpose(cache.k[..., block.keys, :])
        weights, _ = exponentials(q[..., block.rows, :] @ keys, block.visible, None)
        tilted = weights * (probe[..., block.rows, :] @ keys)
        total = xp.sum(weights, axis=-1, keepdims=True)
        tilt = xp.sum(tilted, axis=-1, keepdims=True) / total
        outputs.append((weights @ v) / total * (1 + tilt) - (tilted @ v) / total)
    return Output(concat(outputs, -2) if outputs else v, cache)
