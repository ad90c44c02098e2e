"""Kernel smoothers (Nadaraya-Watson): local constant regression with sample weights."""

from typing import NamedTuple, Protocol

from ttr_numerics.arrays import Array, concat, namespace, positions, row_maximum
from ttr_numerics.axes import Cache, Output, check_sequence, extended
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
    underflows as a whole. Unique wherever one weight is positive. Reference: Wand and Jones, Kernel Smoothing,
    chapter 5; arXiv 2501.12352, section 3.4.
    """
    check_sequence(q, k, v)
    weights = namespace(k).zeros_like(k[..., 0]) if log_weights is None else log_weights
    check_solvable(q=q, k=k, v=v, log_weights=weights)
    cache = WeightedCache(k, v, weights)
    if initial_state is not None:
        keys, values = extended(Cache(initial_state.k, initial_state.v), k, v)
        cache = WeightedCache(keys, values, concat([initial_state.log_weights, weights], -1))
    place = positions(q, cache.k.shape[-2])
    visible = place <= place[cache.k.shape[-2] - q.shape[-2] :, None]
    return Output(_smooth(q, cache, kernel, visible), cache)


def kernel_smoother(
    q: Array, K: Array, V: Array, *, kernel: LogKernel = _GAUSSIAN, log_weights: Array | None = None
) -> Array:
    """The same fit for every query (..., n, d_k) from all T rows of K and V: (..., n, d_v)."""
    weights = namespace(K).zeros_like(K[..., 0]) if log_weights is None else log_weights
    check_solvable(q=q, K=K, V=V, log_weights=weights)
    return _smooth(q, WeightedCache(K, V, weights), kernel, positions(q, K.shape[-2]) >= 0)


def _smooth(q: Array, data: WeightedCache, kernel: LogKernel, visible: Array) -> Array:
    xp = namespace(q)
    if q.shape[-2] == 0:
        return data.v[..., :0, :]
    logs = kernel.log(q, data.k) + data.log_weights[..., None, :]
    logs = xp.where(visible, logs, -xp.inf * xp.ones_like(logs))
    weights = xp.exp(logs - row_maximum(logs))
    return (weights @ data.v) / xp.sum(weights, axis=-1, keepdims=True)
