"""The memories of d × d_v numbers: what each layer has stored after n pairs, at a price that allows n = d²/2.

Recurrent layers run in chunk-parallel form, a block of tokens at a time. Solvers take the rows themselves while these
are few, and beyond n = 4 d the covariance form (K'K + Λ)⁻¹K'V, whose moments are two linear attentions: keys of
independent entries then have κ(K'K) below 9 (Marchenko and Pastur), so that nothing is lost by squaring.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from analysis.capacity.notions import BEST_DELTA, DELTA, GATED, LEAST, LINEAR, LOG_DECAY, MESA
from ttr_numerics import arrays, exact
from ttr_numerics.layers import chunked
from ttr_numerics.measure.bounds import best_constant_step

__all__ = ["MEMORIES", "RIDGE", "ROWS"]

RIDGE = 0.25  # MesaNet's initial regulariser
ROWS = 4  # up to this multiple of d the solvers factor the rows
BLOCK = 8192  # tokens at a time


def _written(layer: Callable[..., np.ndarray], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The state (..., d, d_v) after all tokens, block by block: `layer(K, V, state)`."""
    S = np.zeros((*K.shape[:-2], K.shape[-1], V.shape[-1]), K.dtype)
    for first in range(0, K.shape[-2], BLOCK):
        block = (..., slice(first, first + BLOCK), slice(None))
        S = layer(K[block], V[block], S)
    return S


def _linear(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return _written(lambda k, v, S: chunked.linear_attention(k, k, v, initial_state=S).state, K, V)


def _gated(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    def layer(k: np.ndarray, v: np.ndarray, S: np.ndarray) -> np.ndarray:
        log_decay = np.full(k.shape[:-1], LOG_DECAY, k.dtype)
        return chunked.gated_linear_attention(k, k, v, log_decay=log_decay, initial_state=S).state

    return _written(layer, K, V)


def _corrected(K: np.ndarray, V: np.ndarray, step: float) -> np.ndarray:
    def layer(k: np.ndarray, v: np.ndarray, S: np.ndarray) -> np.ndarray:
        return chunked.delta_rule(k, k, v, beta=np.full(k.shape[:-1], step, k.dtype), initial_state=S).state

    return _written(layer, K, V)


def _delta(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return _corrected(K, V, 1.0)


_best_step = lru_cache(maxsize=None)(best_constant_step)


def _best_delta(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return _corrected(K, V, _best_step(*K.shape[-2:]))


def _mesa(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    if K.shape[-2] <= ROWS * K.shape[-1]:
        return exact.ridge(K, V, RIDGE).S
    return _by_moments(K, V, RIDGE)


def _least(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    if K.shape[-2] <= ROWS * K.shape[-1]:
        return exact.least_norm(K, V).S
    return _by_moments(K, V, 0.0)


def _by_moments(K: np.ndarray, V: np.ndarray, ridge: float) -> np.ndarray:
    d = K.shape[-1]
    moments = _linear(K, np.concatenate([K, V], axis=-1)).astype(float)
    H, G = moments[..., :d], moments[..., d:]
    return arrays.solve_posdef(H + ridge * np.eye(d), G, "K'K").astype(K.dtype)


MEMORIES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    LINEAR: _linear,
    GATED: _gated,
    DELTA: _delta,
    BEST_DELTA: _best_delta,
    MESA: _mesa,
    LEAST: _least,
}
