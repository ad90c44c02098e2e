"""The layers of the question, each read at the stored keys, and the exact solution of its own problem there."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from ttr_numerics import exact, layers
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

    o: np.ndarray
    target: np.ndarray


def readings(K: np.ndarray, V: np.ndarray, random: bool) -> dict[str, Reading]:
    """Every layer after one pass over (K, V), read at K."""
    d, one, gate = K.shape[-1], np.ones(K.shape[:-1]), np.full(K.shape[:-1], np.log(DECAY))
    least = K @ exact.least_norm(K, V).S
    aged = K @ exact.least_norm(K, V, DECAY ** np.arange(K.shape[-2])[::-1] * one).S
    additive = K @ layers.linear_attention(K, K, V).state
    gated = K @ layers.gated_linear_attention(K, K, V, log_decay=gate).state
    smooth = exact.kernel_smoother(K, K, V, kernel=exact.kernels.Gaussian(d**-0.25))
    lam = RELATIVE_RIDGE * np.linalg.norm(np.swapaxes(K, -1, -2) @ K, axis=(-2, -1))
    kalma = K @ exact.ridge(K, V, lam[..., None] * np.ones(d)).S
    return {
        LA: Reading(additive, least),
        LA_SCALED: Reading(best_scale(additive, V)[..., None, None] * additive, least),
        GLA: Reading(gated, aged),
        GLA_SCALED: Reading(best_scale(gated, V)[..., None, None] * gated, aged),
        DELTA: Reading(K @ layers.delta_rule(K, K, V, beta=one).state, least),
        DELTA_BEST: Reading(best_delta(K, V, random), least),
        GATED_DELTA: Reading(K @ layers.gated_delta_rule(K, K, V, log_decay=gate, beta=one).state, aged),
        MESA: Reading(read_mesa(K, V).o, K @ exact.ridge(K, V, RIDGE).S),
        KALMA: Reading(kalma, kalma),
        SOFTMAX: Reading(layers.bidirectional_softmax_attention(d**0.5 * K, K, V).o, smooth),
        LS: Reading(least, least),
    }


def best_delta(K: np.ndarray, V: np.ndarray, random: bool) -> np.ndarray:
    """The delta rule with its best constant step: by theory on random keys, else the best of `STEPS` for each head."""
    steps = [bounds.best_constant_step(*K.shape[-2:])] if random else STEPS
    tried = [K @ layers.delta_rule(K, K, V, beta=np.full(K.shape[:-1], step)).state for step in steps]
    best = np.argmin([relative_squared_error(o, V) for o in tried], axis=0)
    return np.stack(tried)[best, np.arange(len(K))]


def read_mesa(K: np.ndarray, V: np.ndarray) -> Output:
    """The Mesa layer's state after the last pair, read at every key by tokens that write nothing."""

    state = layers.mesa(K, K, V, ridge=RIDGE).state
    silent = np.zeros(K.shape[:-1])
    return layers.mesa(K, 0 * K, 0 * V, ridge=RIDGE, beta=silent, initial_state=state)
