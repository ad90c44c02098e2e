"""Sliding-window attention: softmax over the last tokens only. The memory is a queue of keys and values."""

from ttr_numerics.arrays import Array
from ttr_numerics.axes import Cache, Output, check_sequence, extended
from ttr_numerics.layers.blocks import causal
from ttr_numerics.layers.softmax import attend

__all__ = ["sliding_window_attention"]


def sliding_window_attention(
    q: Array, k: Array, v: Array, *, window: int, initial_state: Cache | None = None
) -> Output:
    """o_t = Σ_{t-w<i≤t} exp(q_t·k_i) v_i / Σ_{t-w<i≤t} exp(q_t·k_i), w = `window` tokens, the current one included.

    w = 1 returns v, w ≥ T is `softmax_attention`. The state is `Cache(k, v)` of the last w - 1 tokens, or of all where
    there are fewer. Time O(T w). Reference: Beltagy et al. (Longformer), arXiv 2004.05150, section 3.1, one-sided.
    """
    check_sequence(q, k, v)
    if window < 1:
        raise ValueError(f"window: expected at least 1, got {window}")
    cache = extended(initial_state, k, v)
    n = cache.k.shape[-2]
    kept = slice(max(0, n - window + 1), n)
    state = Cache(cache.k[..., kept, :], cache.v[..., kept, :])
    return Output(attend(q, cache, causal(q, n, window)), state)
