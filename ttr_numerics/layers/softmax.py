"""Softmax attention: o_t = Σ_i p_ti v_i, p_ti ∝ exp(q_t·k_i).

The logits are q·k as given: a scale of 1/√d belongs to the caller. The memory is the list of keys and values.
"""

from collections.abc import Callable, Iterable

from ttr_numerics.arrays import Array, concat, namespace, row_maximum
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import Block, causal, everyone

__all__ = ["attend", "bidirectional_softmax_attention", "exponentials", "softmax_attention"]


def softmax_attention(q: Array, k: Array, v: Array, *, initial_state: Cache | None = None) -> Output:
    """o_t = Σ_{i≤t} exp(q_t·k_i) v_i / Σ_{i≤t} exp(q_t·k_i), causal, the current token included.

    The state is `Cache(k, v)`, all keys and values so far. Reference: Vaswani et al., arXiv 1706.03762, equation 1.
    """
    check_sequence(q, k, v)
    cache = extended(initial_state, k, v)
    return Output(attend(q, cache, causal(q, cache.k.shape[-2])), cache)


def bidirectional_softmax_attention(q: Array, k: Array, v: Array) -> Output:
    """o_t = Σ_i exp(q_t·k_i) v_i / Σ_i exp(q_t·k_i) over the whole sequence; there is no state (None)."""
    check_sequence(q, k, v)
    return Output(attend(q, Cache(k, v), everyone(q, k.shape[-2])), None)


def attend(
    q: Array,
    memory: Cache,
    blocks: Iterable[Block],
    bias: Callable[[Block], Array] | None = None,
    sink: Array | None = None,
) -> Array:
    """o_t = Σ_i e^{z_ti} v_i / (e^{sink} + Σ_i e^{z_ti}), z_ti = q_t·k_i + bias_ti, over the keys each row sees.

    `bias(block)` (..., rows, keys); `sink` (..., 1, 1), None for -inf.
    """
    xp, outputs = namespace(q), []
    for block in blocks:
        k, v = (x[..., block.keys, :] for x in (memory.k, memory.v))
        logits = q[..., block.rows, :] @ xp.matrix_transpose(k)
        weights, stabiliser = exponentials(logits if bias is None else logits + bias(block), block.visible, sink)
        total = xp.sum(weights, axis=-1, keepdims=True)
        outputs.append((weights @ v) / (total if sink is None else total + xp.exp(sink - stabiliser)))
    return concat(outputs, -2) if outputs else memory.v[..., :0, :]


def exponentials(logits: Array, visible: Array, sink: Array | None = None) -> tuple[Array, Array]:
    """e^{z - m} where visible, else 0, and m (..., rows, 1), the largest exponent of a row, the sink's among them."""
    xp = namespace(logits)
    stabiliser = row_maximum(xp.where(visible, logits, -xp.inf * xp.ones_like(logits)))
    if sink is not None:
        stabiliser = row_maximum(concat([stabiliser, sink + xp.zeros_like(stabiliser)], -1))
    # Masked logits are set to the stabiliser before exp: neither overflow nor 0 times infinity can arise.
    weights = xp.exp(xp.where(visible, logits, stabiliser) - stabiliser)
    return xp.where(visible, weights, xp.zeros_like(weights)), stabiliser
