"""The memories of d × d_v numbers: what each layer has stored after n pairs, at a price that allows n = d²/2.

Recurrent layers run in chunk-parallel form, a block of tokens at a time. Solvers take the rows themselves while these
are few, and beyond n = 4 d the covariance form (K'K + Λ)⁻¹K'V, whose moments are two linear attentions: keys of
independent entries then have κ(K'K) below 9 (Marchenko and Pastur), so that nothing is lost by squaring.
"""

from collections.abc import Callable
from functools import lru_cache

from analysis.capacity.notions import BEST_DELTA, DELTA, GATED, GATED_DELTA, LEAST, LINEAR, LOG_DECAY, MESA
from ttr_numerics import exact
from ttr_numerics.arrays import Array, LinAlgError, concat, eye, like, namespace, solve_posdef, zeros
from ttr_numerics.layers import chunked
from ttr_numerics.measure.bounds import best_constant_step

__all__ = ["MEMORIES", "RIDGE", "ROWS"]

RIDGE = 0.25  # MesaNet's initial regulariser
ROWS = 4  # up to this multiple of d the solvers factor the rows
BLOCK = 8192  # tokens at a time


def _written(layer: Callable[[Array, Array, Array], Array], K: Array, V: Array) -> Array:
    """The state (..., d, d_v) after all tokens, block by block: `layer(K, V, state)`."""
    n, S = K.shape[-2], zeros(K, (*K.shape[:-2], K.shape[-1], V.shape[-1]))
    for first in range(0, n, BLOCK):
        block = (..., slice(first, min(first + BLOCK, n)), slice(None))
        S = layer(K[block], V[block], S)
    return S


def _constant(K: Array, value: float) -> Array:
    """The same number for every token (..., T)."""
    return namespace(K).full(K.shape[:-1], value, **like(K))


def _linear(K: Array, V: Array) -> Array:
    return _written(lambda k, v, S: chunked.linear_attention(k, k, v, initial_state=S).state, K, V)


def _gated(K: Array, V: Array) -> Array:
    def layer(k: Array, v: Array, S: Array) -> Array:
        return chunked.gated_linear_attention(k, k, v, log_decay=_constant(k, LOG_DECAY), initial_state=S).state

    return _written(layer, K, V)


def _corrected(K: Array, V: Array, step: float) -> Array:
    def layer(k: Array, v: Array, S: Array) -> Array:
        return chunked.delta_rule(k, k, v, beta=_constant(k, step), initial_state=S).state

    return _written(layer, K, V)


def _delta(K: Array, V: Array) -> Array:
    return _corrected(K, V, 1.0)


def _gated_delta(K: Array, V: Array) -> Array:
    def layer(k: Array, v: Array, S: Array) -> Array:
        gate, step = _constant(k, LOG_DECAY), _constant(k, 1.0)
        return chunked.gated_delta_rule(k, k, v, log_decay=gate, beta=step, initial_state=S).state

    return _written(layer, K, V)


_best_step = lru_cache(maxsize=None)(best_constant_step)


def _best_delta(K: Array, V: Array) -> Array:
    return _corrected(K, V, _best_step(*K.shape[-2:]))


def _mesa(K: Array, V: Array) -> Array:
    if K.shape[-2] <= ROWS * K.shape[-1]:
        return exact.ridge(K, V, RIDGE).S
    return _by_moments(K, V, RIDGE)


def _least(K: Array, V: Array) -> Array:
    if K.shape[-2] <= ROWS * K.shape[-1]:
        return exact.least_norm(K, V).S
    try:
        return _by_moments(K, V, 0.0)
    except LinAlgError:  # stored keys that repeat or lie in a plane
        return exact.least_norm(K, V).S


def _by_moments(K: Array, V: Array, ridge: float) -> Array:
    xp, d = namespace(K), K.shape[-1]
    moments = xp.astype(_linear(K, concat([K, V], -1)), xp.float64)
    H, G = moments[..., :d], moments[..., d:]
    return xp.astype(solve_posdef(H + ridge * eye(H, d), G, "K'K"), K.dtype)


MEMORIES: dict[str, Callable[[Array, Array], Array]] = {
    LINEAR: _linear,
    GATED: _gated,
    DELTA: _delta,
    GATED_DELTA: _gated_delta,
    BEST_DELTA: _best_delta,
    MESA: _mesa,
    LEAST: _least,
}
