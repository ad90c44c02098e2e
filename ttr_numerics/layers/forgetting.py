"""Forgetting attention: softmax whose logits lose what the gates between key and query take.

Sums of log gates are formed from each key to each query, never as a difference of two long sums: a gate of -50 a token
loses no digits, and -inf (a reset) is no NaN.
"""

from ttr_numerics.arrays import Array, concat, namespace, positions, zeros
from ttr_numerics.axes import Cache, Output, WeightedCache, check_sequence, extended, initial_parts, per_token
from ttr_numerics.layers.blocks import Block, causal
from ttr_numerics.layers.softmax import attend

__all__ = ["forgetting_attention"]


def forgetting_attention(
    q: Array, k: Array, v: Array, *, log_decay: Array, initial_state: WeightedCache | None = None
) -> Output:
    """o_t = Σ_{i≤t} exp(q_t·k_i + D_ti) v_i / Σ_{i≤t} exp(q_t·k_i + D_ti), D_ti = Σ_{i<s≤t} log_decay_s.

    log_decay (..., T), the natural logarithm of the forget gate. The state is `WeightedCache(k, v, D_T)`: keys, values
    and how far each has faded. Reference: Lin et al. (Forgetting Transformer), arXiv 2503.02130, equation 5.
    """
    check_sequence(q, k, v)
    gates = per_token("log_decay", log_decay, q)[..., 0] + zeros(q, tuple(q.shape[:-1]))
    faded = _initial(initial_state, q)
    cache = extended(None if initial_state is None else Cache(initial_state.k, initial_state.v), k, v)
    n = faded.shape[-1]

    def bias(block: Block) -> Array:
        """D of one block: the keys before it, and those in it."""
        gate = gates[..., block.rows]
        before = _faded(faded, gates[..., : block.rows.start])
        since = namespace(gate).cumulative_sum(gate, axis=-1)
        return concat([before[..., None, :] + since[..., :, None], _within(gate)], -1)

    o = attend(q, cache, causal(q, n + q.shape[-2]), bias)
    return Output(o, WeightedCache(cache.k, cache.v, _faded(faded, gates)))


def _initial(state: WeightedCache | None, q: Array) -> Array:
    """D_0 (..., n) of the keys of an initial state, after a check."""
    if state is None:
        return zeros(q, (*q.shape[:-2], 0))
    state = initial_parts(state, WeightedCache)
    expected = tuple(state.k.shape[:-1])
    if tuple(state.log_weights.shape) != expected:
        raise ValueError(f"initial_state.log_weights: expected shape {expected}, got {tuple(state.log_weights.shape)}")
    return state.log_weights


def _faded(before: Array, gates: Array) -> Array:
    """D (..., n + m) after the gates (..., m), of n keys that had faded by `before` (..., n) and of m new ones."""
    if not gates.shape[-1]:
        return before
    xp = namespace(gates)
    passed = xp.flip(xp.cumulative_sum(xp.flip(gates, axis=-1), axis=-1), axis=-1)  # Σ_{s≥i}
    return concat([before + passed[..., :1], passed[..., 1:], xp.zeros_like(passed[..., :1])], -1)


def _within(gates: Array) -> Array:
    """D_ti (..., m, m) of a block's queries and its own keys, 0 for i ≥ t."""
    xp, place = namespace(gates), positions(gates, gates.shape[-1])
    rows = xp.where(place[:, None] > place, gates[..., :, None], xp.zeros_like(gates[..., :, None]))
    return xp.cumulative_sum(rows, axis=-2)
