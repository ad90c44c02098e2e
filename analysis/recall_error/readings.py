"""The layers of the question, each read at the stored keys, and the exact solution of its own problem there."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from ttr_numerics import exact, layers
from ttr_numerics.arrays import Array, like, namespace, positions, to_numpy
from ttr_numerics.axes import Output
from ttr_numerics.measure import best_scale, bounds, relative_squared_error

__all__ = [
    "DELTA",
    "DELTA_BEST",
    "FORMULA",
    "FORMULA_NAME",
    "GATED_DELTA",
    "GLA",
    "GLA_SCALED",
    "KALMA",
    "LA",
    "LA_SCALED",
    "LS",
    "MESA",
    "SOFTMAX",
    "Reading",
    "readings",
]

DECAY = 1 - 2.0**-6  # a RetNet head: half of a value is left after 44 tokens
RIDGE = 0.25  # MesaNet's smallest regulariser
RELATIVE_RIDGE = 0.02  # Gated KalmaNet's regulariser, in units of the Frobenius norm of K'K
STEPS = tuple(np.geomspace(0.02, 1.0, 24).tolist())  # where real keys look for their best constant step

LA, LA_SCALED = "linear attention", "linear attention, scaled"
GLA, GLA_SCALED = "gated linear attention", "gated linear att., scaled"
DELTA, DELTA_BEST, GATED_DELTA = "delta rule, β = 1", "delta rule, best β", "gated delta rule, β = 1"
MESA, KALMA, SOFTMAX, LS = "mesa, ridge 0.25", "ridge 0.02‖K'K‖", "softmax, logits √d cos", "least squares"
LAYERS = (LA, LA_SCALED, GLA, GLA_SCALED, DELTA, DELTA_BEST, GATED_DELTA, MESA, KALMA, SOFTMAX, LS)


@cache
def _best_delta_error(n: int, d: int) -> float:
    """The mean over ages with the best constant step, which is searched for."""
    return bounds.delta_rule_mean_error(n, d, bounds.best_constant_step(n, d))


FORMULA_NAME = {LA: "(n-1)/d", LA_SCALED: "(n-1)/(n-1+d)", GLA: "age sum", LS: "1-d/n"}
FORMULA_NAME |= {DELTA: "recursion, β = 1", DELTA_BEST: "recursion, best β", GATED_DELTA: "recursion, gated"}
FORMULA: dict[str, Callable[[int, int], float]] = {
    LA: bounds.linear_attention_error,
    LA_SCALED: bounds.linear_attention_scaled_error,
    GLA: lambda n, d: bounds.gated_linear_attention_error(n, d, DECAY),
    DELTA: lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0))),
    DELTA_BEST: _best_delta_error,
    GATED_DELTA: lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0, DECAY))),
    LS: bounds.least_squares_floor,
}


class Reading(NamedTuple):
    """What a layer gives back at the stored keys, and what the exact solution of its problem would."""

    o: Array
    target: Array


def readings(K: Array, V: Array, random: bool) -> dict[str, Reading]:
    """Every layer after one pass over (K, V), read at K."""
    found = _least_squares(K, V, random) | _aged(K, V) | _regularised(K, V)
    return {layer: found[layer] for layer in LAYERS}


def _least_squares(K: Array, V: Array, random: bool) -> dict[str, Reading]:
    """Layers that stand for least squares."""
    least = K @ exact.least_norm(K, V).S
    additive = K @ layers.linear_attention(K, K, V).state
    return {
        LS: Reading(least, least),
        LA: Reading(additive, least),
        LA_SCALED: Reading(best_scale(additive, V)[..., None, None] * additive, least),
        DELTA: Reading(_delta(K, V, 1.0), least),
        DELTA_BEST: Reading(best_delta(K, V, random), least),
    }


def _aged(K: Array, V: Array) -> dict[str, Reading]:
    """Gated layers, which stand for least squares that counts a pair less with every token since."""
    xp, n = namespace(K), K.shape[-2]
    gate, one = _constant(K, float(np.log(DECAY))), _constant(K, 1.0)
    weights = DECAY ** xp.astype(xp.flip(positions(K, n)), K.dtype) * one
    aged = K @ exact.least_norm(K, V, weights).S
    gated = K @ layers.gated_linear_attention(K, K, V, log_decay=gate).state
    corrected = K @ layers.gated_delta_rule(K, K, V, log_decay=gate, beta=one).state
    return {
        GLA: Reading(gated, aged),
        GLA_SCALED: Reading(best_scale(gated, V)[..., None, None] * gated, aged),
        GATED_DELTA: Reading(corrected, aged),
    }


def _regularised(K: Array, V: Array) -> dict[str, Reading]:
    """Ridge regressions, and the smoother that softmax attention is."""
    xp, d = namespace(K), K.shape[-1]
    lam = RELATIVE_RIDGE * xp.linalg.matrix_norm(xp.matrix_transpose(K) @ K)
    kalma = K @ exact.ridge(K, V, lam[..., None] * xp.ones(d, **like(K))).S
    smooth = exact.kernel_smoother(K, K, V, kernel=exact.kernels.Gaussian(d**-0.25))
    return {
        MESA: Reading(read_mesa(K, V).o, K @ exact.ridge(K, V, RIDGE).S),
        KALMA: Reading(kalma, kalma),
        SOFTMAX: Reading(layers.bidirectional_softmax_attention(d**0.5 * K, K, V).o, smooth),
    }


def best_delta(K: Array, V: Array, random: bool) -> Array:
    """The delta rule with its best constant step: by theory on random keys, else the best of `STEPS` for each head."""
    if random:
        return _delta(K, V, bounds.best_constant_step(*K.shape[-2:]))
    tried = [_delta(K, V, step) for step in STEPS]
    best = np.argmin([to_numpy(relative_squared_error(o, V)) for o in tried], axis=0).tolist()
    return namespace(K).stack([tried[step][head, ...] for head, step in enumerate(best)])


def read_mesa(K: Array, V: Array) -> Output:
    """The Mesa layer's state after the last pair, read at every key by tokens that write nothing."""
    state = layers.mesa(K, K, V, ridge=RIDGE).state
    return layers.mesa(K, 0 * K, 0 * V, ridge=RIDGE, beta=_constant(K, 0.0), initial_state=state)


def _delta(K: Array, V: Array, step: float) -> Array:
    return K @ layers.delta_rule(K, K, V, beta=_constant(K, step)).state


def _constant(K: Array, value: float) -> Array:
    """The same number for every token (..., T)."""
    return namespace(K).full(K.shape[:-1], value, **like(K))
