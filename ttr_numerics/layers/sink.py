"""Softmax attention with a sink: one more logit in the denominator, and no value for it."""

from typing import Any

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import causal
from ttr_numerics.layers.softmax import attend

__all__ = ["sink_attention"]


def sink_attention(q: Array, k: Array, v: Array, *, sink: Any, initial_state: Cache | None = None) -> Output:
    """o_t = Σ_{i≤t} exp(q_t·k_i) v_i / (exp(sink) + Σ_{i≤t} exp(q_t·k_i)).

    `sink` is a logit: a number, or one a head (...), which broadcasts over the batch axes of q. This is the learned
    sink of gpt-oss; sink = 0 is the "softmax off by one", -inf is `softmax_attention`. It is no sink *token*
    (StreamingLLM keeps the first keys and their values). The state is `Cache(k, v)`.
    Reference: OpenAI, gpt-oss-120b and gpt-oss-20b model card, arXiv 2508.10925, section 2.2.
    """
    check_sequence(q, k, v)
    cache = extended(initial_state, k, v)
    return Output(attend(q, cache, causal(q, cache.k.shape[-2]), sink=_per_head(sink, q)), cache)


def _per_head(sink: Any, q: Array) -> Array:
    """The logit (..., 1, 1), after a check."""
    xp, batch = namespace(q), tuple(q.shape[:-2])
    if not hasattr(sink, "dtype"):
        return sink * xp.ones_like(q[..., :1, :1]) if q.shape[-2] else q[..., :1, :1]
    if sink.dtype != q.dtype:
        raise ValueError(f"sink: expected dtype {q.dtype} as q, got {sink.dtype}")
    own = tuple(sink.shape)
    if len(own) > len(batch) or any(n not in (1, m) for n, m in zip(own[::-1], batch[::-1], strict=False)):
        raise ValueError(f"sink: expected a number or shape {batch}, got {own}")
    return sink[..., None, None]
