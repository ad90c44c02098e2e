"""The layers of the study and the grids over which each is tuned. Keys are unit vectors; row t asks for token t + 1."""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.drift import excess
from ttr_numerics import exact, layers

__all__ = [
    "LARGEST_QUADRATIC",
    "LINEAR",
    "LOCAL",
    "MESA",
    "METHODS",
    "NATURAL_ENDS",
    "QUADRATIC",
    "SOFTMAX",
    "of_dimension",
]

SOFTMAX, LOCAL, QUADRATIC = "softmax", "local linear", "local quadratic"
MESA, LINEAR = "Mesa, no forgetting", "linear attention"

# Gains of the logits of unit keys are 1/h², h the Gaussian bandwidth: from one fit for all keys to the nearest alone.
GAINS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
LOCAL_GAINS = (0.0625, 0.25, 1.0, 4.0, 16.0, 64.0, 256.0)
LENGTH = 1024
WINDOWS = tuple(2.0**j for j in range(11))  # to all tokens
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0, 100.0)  # beside the weight of a key at the query
LARGEST_QUADRATIC = 8  # d; 44 monomials, 0.3 s a sequence and grid point


def _softmax(task: excess.Task, gain: float) -> np.ndarray:
    return layers.softmax_attention(gain * excess.ahead(task.k), task.k, task.v).o


def _window(task: excess.Task, window: float, gain: float) -> np.ndarray:
    q = gain * excess.ahead(task.k)
    return layers.sliding_window_attention(q, task.k, task.v, window=int(window)).o


def _local_linear(task: excess.Task, gain: float, ridge: float) -> np.ndarray:
    q, k = _scaled(task, gain)
    return layers.local_linear_attention(q, k, task.v, ridge=_in_weights(gain, ridge)).o


def _local_quadratic(task: excess.Task, gain: float, ridge: float) -> np.ndarray:
    q, k = _scaled(task, gain)
    return layers.local_polynomial_attention(q, k, task.v, degree=2, ridge=_in_weights(gain, ridge)).o


def _scaled(task: excess.Task, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Queries and keys of norm √gain: logits gain · q·k, and differences in units of the bandwidth."""
    return gain**0.5 * excess.ahead(task.k), gain**0.5 * task.k


def _in_weights(gain: float, ridge: float) -> float:
    return float(ridge * np.exp(gain))


def _mesa(task: excess.Task, ridge: float) -> np.ndarray:
    return exact.ridge_prefixes(excess.ahead(task.k), task.k, task.v, ridge=ridge).o


def _gated_delta(task: excess.Task, beta: float, memory: float) -> np.ndarray:
    return excess.gated_delta(task, beta, float(np.exp(-1 / (memory * task.k.shape[-1]))))


def _linear(task: excess.Task) -> np.ndarray:
    return layers.chunked.linear_attention(excess.ahead(task.k), task.k, task.v).o


METHODS: Mapping[str, tuple[excess.Method, Mapping[str, Sequence[float]]]] = {
    SOFTMAX: (_softmax, {"gain": GAINS}),
    "sliding window": (_window, {"window": WINDOWS, "gain": GAINS[1::2]}),
    LOCAL: (_local_linear, {"gain": LOCAL_GAINS, "ridge": RIDGES[1:8:2]}),
    QUADRATIC: (_local_quadratic, {"gain": (LOCAL_GAINS[0], *LOCAL_GAINS[3:6]), "ridge": (1e-5, 0.1, 10.0)}),
    MESA: (_mesa, {"ridge": RIDGES}),
    **{name: excess.METHODS[name] for name in ("recursive least squares, forgetting", "delta rule")},
    "gated delta rule": (_gated_delta, {"beta": excess.BETAS, "memory": (1.0, 4.0, 16.0, 64.0, excess.FOREVER)}),
    LINEAR: (_linear, {}),
    "linear attention, decaying": excess.METHODS["linear attention, decaying"],
}

NATURAL_ENDS = excess.NATURAL_ENDS | {
    f"window {LENGTH}": "every token",
    "ridge 1e-06": "none, for Mesa",
    "ridge 1e-05": "none, for local fits",
    "gain 0.0625": "one plane for all keys",
    "gain 1024": "the nearest key alone",
}


def of_dimension(d: int) -> dict[str, tuple[excess.Method, Mapping[str, Sequence[float]]]]:
    """All of them, without the local quadratic fit where it would have too many monomials."""
    return {name: method for name, method in METHODS.items() if name != QUADRATIC or d <= LARGEST_QUADRATIC}
