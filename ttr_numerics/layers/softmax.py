"""Softmax attention: o_t = Σ_i p_ti v_i, p_ti ∝ exp(q_t·k_i).

The logits are q·k as given: a scale of 1/√d belongs to the caller. The memory is the list of keys and values.
"""

from ttr_numerics.arrays import Array, namespace, positions, row_maximum
from ttr_numerics.axes import Cache, Output, check_sequence, extended

__all__ = ["bidirectional_softmax_attention", "softmax_attention"]


def softmax_attention(q: Array, k: Array, v: Array, *, initial_state: Cache | None = None) -> Output:
    """o_t = Σ_{i≤t} exp(q_t·k_i) v_i / Σ_{i≤t} exp(q_t·k_i), causal, the current token included.

    The state is `Cache(k, v)`, all keys and values so far. Reference: Vaswani et al., arXiv 1706.03762, equation 1.
    """
    check_sequence(q, k, v)
    cache = extended(initial_state, k, v)
    seen = positions(q, cache.k.shape[-2])
    now = seen[cache.k.shape[-2] - q.shape[-2] :]
    return Output(_attend(q, cache, seen <= now[:, None]), cache)


def bidirectional_softmax_attention(q: Array, k: Array, v: Array) -> Output:
    """o_t = Σ_i exp(q_t·k_i) v_i / Σ_i exp(q_t·k_i) over the whole sequence; there is no state (None)."""
    check_sequence(q, k, v)
    everyone = positions(q, k.shape[-2]) >= 0
    return Output(_attend(q, Cache(k, v), everyone), None)


def _attend(q: Array, memory: Cache, visible: Array) -> Array:
    xp = namespace(q)
    logits = q @ xp.matrix_transpose(memory.k)
    if 0 in logits.shape:
        return memory.v[..., memory.v.shape[-2] - q.shape[-2] :, :]
    stabiliser = row_maximum(xp.where(visible, logits, -xp.inf * xp.ones_like(logits)))
    # Masked logits are set to the stabiliser before exp: neither overflow nor 0 times infinity can arise.
    weights = xp.exp(xp.where(visible, logits, stabiliser) - stabiliser)
    weights = xp.where(visible, weights, xp.zeros_like(weights))
    return (weights @ memory.v) / xp.sum(weights, axis=-1, keepdims=True)
