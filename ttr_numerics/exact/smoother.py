"""Kernel smoothers (Nadaraya-Watson): local constant regression with sample weights."""

from typing import NamedTuple, Protocol

from ttr_numerics.arrays import Array, concat, namespace, row_maximum
from ttr_numerics.axes import Cache, Output, check_sequence, extended, per_token
from ttr_numerics.exact.blocks import Block, query_blocks
from ttr_numerics.exact.inputs import check_solvable
from ttr_numerics.exact.kernels import Gaussian

__all__ = ["WeightedCache", "kernel_smoother", "kernel_smoother_prefixes"]


class LogKernel(Protocol):
    """A kernel known by its logarithm, so that weights of any size can be normalised."""

    def log(self, X: Array, Y: Array) -> Array:
        """log κ (..., n, m)."""


class WeightedCache(NamedTuple):
    """Keys (..., n, d_k), values (..., n, d_v) and log sample weights (..., n) seen so far."""

    k: Array
    v: Array
    log_weights: Array


_GAUSSIAN = Gaussian()


def kernel_smoother_prefixes(
    q: Array,
    k: Array,
    v: Array,
    *,
    kernel: LogKernel = _GAUSSIAN,
    log_weights: Array | None = None,
    initial_state: WeightedCache | None = None,
) -> Output:
    """o_t = Σ_{i≤t} w_i κ(q_t, k_i) v_i / Σ_{i≤t} w_i κ(q_t, k_i) = argmin_c ½Σ_{i≤t} w_i κ(q_t, k_i)‖v_i - c‖².

    log_weights (..., T) = log w_i, default 0; the largest weight of a row is scaled to 1, so no row over- or
    underflows as a whole. Unique wherever one weight is positive. Memory beyond inputs and outputs: a few queries
    against all keys. Reference: Wand and Jones, Kernel Smoothing, chapter 5; arXiv 2501.12352, section 3.4.
    """
    cache = weighted_cache(q, k, v, log_weights, initial_state)
    return Output(_smooth(q, cache, kernel, cache.k.shape[-2] - q.shape[-2] + 1), cache)


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


def _smooth(q: Array, data: WeightedCache, kernel: LogKernel, ahead: int) -> Array:
    """The weighted mean at every query, row t of which sees the first t + ahead rows of the data."""
    xp, outputs = namespace(q), []
    for block in query_blocks(q, data.k.shape[-2], ahead, data.k.shape[-2]):
        logs = row_logs(q, data, kernel, block)
        weights = xp.exp(logs - row_maximum(logs))
        outputs.append((weights @ data.v[..., block.keys, :]) / xp.sum(weights, axis=-1, keepdims=True))
    return concat(outputs, -2) if outputs else data.v[..., :0, :]
