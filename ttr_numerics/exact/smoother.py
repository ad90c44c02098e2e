"""Kernel smoothers (Nadaraya-Watson): local constant regression with sample weights that may age."""

from typing import Protocol

from ttr_numerics.arrays import Array, LinAlgError, concat, name_slices, namespace, positions, row_maximum, zeros
from ttr_numerics.axes import Cache, Output, WeightedCache, check_sequence, extended, initial_parts, per_token
from ttr_numerics.exact.blocks import Block, query_blocks
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.kernels import Gaussian

__all__ = ["LogKernel", "WeightedCache", "kernel_smoother", "kernel_smoother_prefixes", "row_logs", "weighted_cache"]


class LogKernel(Protocol):
    """A kernel known by its logarithm, so that weights of any size can be normalised."""

    def log(self, X: Array, Y: Array) -> Array:
        """log κ (..., n, m)."""


_GAUSSIAN = Gaussian()


def kernel_smoother_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    log_decay: Array | None = None,
    window: int | None = None,
    initial_state: WeightedCache | None = None,
) -> Output:
    """o_t = Σ_{i≤t} ω_ti v_i / Σ_{i≤t} ω_ti = argmin_c ½Σ_{i≤t} ω_ti‖v_i - c‖², ω_ti = w_i γ_ti κ(q_t, k_i).

    log_weights (..., T) = log w_i, default 0, -inf a weight of 0. γ_ti = Π_{i<s≤t} exp(log_decay_s), log_decay
    (..., T), default 0, -inf a reset; γ_ti = 0 for all but the last `window` tokens. The largest weight of a row is
    scaled to 1, so no row over- or underflows as a whole. Unique wherever one weight is positive; raises LinAlgError
    naming positions where none is. The state holds what a later query can see, with the log weights w_i γ_Ti. Memory
    beyond inputs and outputs: a few queries against all keys, or against a window.
    Reference: Wand and Jones, Kernel Smoothing, chapter 5; arXiv 2501.12352, section 3.4.
    """
    cache = weighted_cache(q, k, v, log_weights, initial_state)
    if window is not None and window < 1:
        raise ValueError(f"window: expected at least 1, got {window}")
    gates, ahead = _gates(log_decay, q, cache), cache.k.shape[-2] - q.shape[-2] + 1
    return Output(_smooth(q, cache, kernel, ahead, gates, window), _remembered(cache, gates, window))


def kernel_smoother(
    q: Array, K: Array, V: Array, *, kernel: LogKernel = _GAUSSIAN, log_weights: Array | None = None
) -> Array:
    """The same fit for every query (..., n, d_k) from all T rows of K and V: (..., n, d_v)."""
    weights = namespace(K).zeros_like(K[..., 0]) if log_weights is None else log_weights
    check_solvable(q=q, K=K, V=V, log_weights=weights)
    return _smooth(q, WeightedCache(K, V, weights), kernel, K.shape[-2])


def weighted_cache(
    q: Array, k: Array, v: Array, log_weights: Array | None, initial_state: WeightedCache | None
) -> WeightedCache:
    """Everything seen by the last token, after checks: `initial_state` before k, v and their weights, default 1."""
    check_sequence(q, k, v)
    weights = namespace(k).zeros_like(k[..., 0])
    check_solvable(q=q, k=k, v=v, log_weights=log_weights)
    weights = weights if log_weights is None else weights + per_token("log_weights", log_weights, q)[..., 0]
    if initial_state is None:
        return WeightedCache(k, v, weights)
    initial_state = initial_parts(initial_state, WeightedCache)
    keys, values = extended(Cache(initial_state.k, initial_state.v), k, v)
    if tuple(initial_state.log_weights.shape) != tuple(initial_state.k.shape[:-1]):
        expected, got = (tuple(x.shape) for x in (initial_state.k[..., 0], initial_state.log_weights))
        raise ValueError(f"initial_state.log_weights: expected shape {expected}, got {got}")
    return WeightedCache(keys, values, concat([initial_state.log_weights, weights], -1))


def row_logs(q: Array, data: WeightedCache, kernel: LogKernel, block: Block) -> Array:
    """log w_i κ(q_t, k_i) (..., rows, keys) of one block, -inf where q_t does not see k_i."""
    xp = namespace(q)
    logs = kernel.log(q[..., block.rows, :], data.k[..., block.keys, :]) + data.log_weights[..., None, block.keys]
    return xp.where(block.visible, logs, -xp.inf * xp.ones_like(logs))


def _gates(log_decay: Array | None, q: Array, cache: WeightedCache) -> Array | None:
    """The gate (..., n + T) at every key of the cache: 0 at those of an initial state, whose weights have aged."""
    if log_decay is None:
        return None
    check_solvable(log_decay=log_decay)
    gates = per_token("log_decay", log_decay, q)[..., 0]
    earlier = cache.k.shape[-2] - q.shape[-2]
    return concat([zeros(q, (*gates.shape[:-1], earlier)), gates], -1)


def _row_ages(gates: Array, rows: slice) -> Array:
    """log γ_ti = Σ_{i<s≤t} gates_s (..., rows, n) from gates (..., n), 0 for i ≥ t; summed for each pair from t back.

    No difference of two long sums: a reset (-inf) and -50 a token are exact.
    """
    xp, n = namespace(gates), gates.shape[-1]
    place = positions(gates, n)
    passed = xp.where(place <= place[rows, None], gates[..., None, :], xp.zeros_like(gates[..., None, :]))
    ages = xp.flip(xp.cumulative_sum(xp.flip(passed[..., 1:], axis=-1), axis=-1), axis=-1)
    return concat([ages, xp.zeros_like(passed[..., :1])], -1)


def _remembered(data: WeightedCache, gates: Array | None, window: int | None) -> WeightedCache:
    """The last window - 1 rows of the data, with the weights that they have after the last token."""
    n = data.k.shape[-2]
    kept = slice(0 if window is None else max(0, n - window + 1), n)
    weights = data.log_weights[..., kept]
    if gates is not None and n:
        weights = weights + _row_ages(gates, slice(n - 1, n))[..., 0, kept]
    return WeightedCache(data.k[..., kept, :], data.v[..., kept, :], weights)


def _smooth(
    q: Array,
    data: WeightedCache,
    kernel: LogKernel,
    ahead: int,
    gates: Array | None = None,
    window: int | None = None,
) -> Array:
    """The weighted mean at every query, row t of which sees the first t + ahead rows of the data."""
    xp, outputs = namespace(q), []
    for block in query_blocks(q, data.k.shape[-2], ahead, data.k.shape[-2], window):
        logs = row_logs(q, data, kernel, block)
        if gates is not None:
            first = block.keys.start
            rows = slice(block.rows.start + ahead - 1 - first, block.rows.stop + ahead - 1 - first)
            logs = logs + _row_ages(gates[..., block.keys], rows)
        largest = row_maximum(logs)
        _refuse_weightless(largest, block)
        weights = xp.exp(logs - largest)
        outputs.append((weights @ data.v[..., block.keys, :]) / xp.sum(weights, axis=-1, keepdims=True))
    return concat(outputs, -2) if outputs else data.v[..., :0, :]


def _refuse_weightless(largest: Array, block: Block) -> None:
    """Raise LinAlgError where the largest log weight (..., rows, 1) of a row is -inf: the mean is 0/0."""
    xp = namespace(largest)
    bad = (largest == -xp.inf)[..., 0]
    if bool(xp.any(bad)):
        earlier = xp.zeros_like(bad[..., :1])
        positions = concat([*(earlier for _ in range(block.rows.start)), bad], -1)
        raise LinAlgError(
            f"weights: expected one above 0 in every row, got none{name_slices(positions)}; give a larger bandwidth"
        )
