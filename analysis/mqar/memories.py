"""The layers that are asked, each with its gates, in two readings: at every token, and after the whole list."""

from collections.abc import Callable

import numpy as np

from ttr_numerics import exact, features, layers
from ttr_numerics.axes import Sums
from ttr_numerics.exact.kernels import Gaussian
from ttr_numerics.layers import chunked

__all__ = [
    "AFTER_THE_LIST",
    "AT_EVERY_TOKEN",
    "DECAY",
    "DELTA",
    "FEATURES",
    "GAIN",
    "GATED",
    "GATED_DELTA",
    "GATED_RIDGE",
    "LEAST",
    "LINEAR",
    "NORMALIZED",
    "RIDGE",
    "RIDGE_SIZE",
    "SOFT",
    "SOFTMAX",
    "gates",
    "ones",
]

DECAY = 1 - 2.0**-6  # a RetNet head: half of a value is left after 44 tokens
RIDGE_SIZE = 0.25  # MesaNet's smallest regulariser
GAIN = 16.0  # of unit queries on unit keys: e^16 tells a key from all others, e^1 does not

LINEAR, GATED = "linear attention", "gated linear attention"
NORMALIZED, FEATURES = "normalised linear attention", "normalised, ELU + 1"
DELTA, GATED_DELTA = "delta rule, β = 1", "gated delta rule, β = 1"
RIDGE, GATED_RIDGE, LEAST = "mesa, ridge 0.25", "gated mesa, ridge 0.25", "least squares"
SOFTMAX, SOFT = "softmax, gain 16", "softmax, gain 1"


def positive(x: np.ndarray) -> np.ndarray:
    """ELU + 1 of coordinates of variance one."""
    return features.elu_plus_one(x.shape[-1] ** 0.5 * x)


def ones(k: np.ndarray) -> np.ndarray:
    """Step 1 at every token (..., T)."""
    return np.ones(k.shape[:-1])


def gates(k: np.ndarray) -> np.ndarray:
    """log `DECAY` at every token (..., T)."""
    return np.full(k.shape[:-1], np.log(DECAY))


Reading = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# o (batch, T, d) at every token of q, k, v, causal, the current token included.
AT_EVERY_TOKEN: dict[str, Reading] = {
    LINEAR: lambda q, k, v: chunked.linear_attention(q, k, v).o,
    GATED: lambda q, k, v: chunked.gated_linear_attention(q, k, v, log_decay=gates(k)).o,
    NORMALIZED: lambda q, k, v: chunked.normalized_linear_attention(q, k, v).o,
    FEATURES: lambda q, k, v: chunked.normalized_linear_attention(positive(q), positive(k), v).o,
    DELTA: lambda q, k, v: chunked.delta_rule(q, k, v, beta=ones(k)).o,
    GATED_DELTA: lambda q, k, v: chunked.gated_delta_rule(q, k, v, beta=ones(k), log_decay=gates(k)).o,
    RIDGE: lambda q, k, v: exact.ridge_prefixes(q, k, v, ridge=RIDGE_SIZE).o,
    SOFTMAX: lambda q, k, v: layers.softmax_attention(GAIN * q, k, v).o,
}

# o (batch, n, d) at the questions q, asked after the list k, v (batch, L, d); a question writes nothing.
AFTER_THE_LIST: dict[str, Reading] = {
    LINEAR: lambda q, k, v: q @ chunked.linear_attention(k, k, v).state,
    GATED: lambda q, k, v: q @ chunked.gated_linear_attention(k, k, v, log_decay=gates(k)).state,
    NORMALIZED: lambda q, k, v: divided(q, chunked.normalized_linear_attention(k, k, v).state),
    DELTA: lambda q, k, v: q @ chunked.delta_rule(k, k, v, beta=ones(k)).state,
    GATED_DELTA: lambda q, k, v: q @ chunked.gated_delta_rule(k, k, v, beta=ones(k), log_decay=gates(k)).state,
    RIDGE: lambda q, k, v: q @ exact.ridge(k, v, RIDGE_SIZE).S,
    GATED_RIDGE: lambda q, k, v: q @ exact.ridge(k, v, RIDGE_SIZE, aged(k)).S,
    LEAST: lambda q, k, v: q @ exact.least_norm(k, v).S,
    SOFTMAX: lambda q, k, v: exact.kernel_smoother(q, k, v, kernel=Gaussian(GAIN**-0.5)),
    SOFT: lambda q, k, v: exact.kernel_smoother(q, k, v, kernel=Gaussian(1.0)),
}


def aged(k: np.ndarray) -> np.ndarray:
    """`DECAY`^age (..., T), age 0 the last token: the sample weights of a gated mesa layer after the list."""
    return DECAY ** np.arange(k.shape[-2])[::-1] * ones(k)


def divided(q: np.ndarray, sums: Sums) -> np.ndarray:
    """q S / q z."""
    return (q @ sums.S) / (q @ sums.z[..., None])
