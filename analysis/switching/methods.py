"""The layers of the study and the grids over which each is tuned. Keys are unit vectors; row t asks for token t + 1."""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.drift import excess
from ttr_numerics import exact, layers

__all__ = ["LINEAR", "LOCAL", "MESA", "SOFTMAX", "QUADRATIC", "of_dimension"]

SOFTMAX, LOCAL, QUADRATIC = "softmax", "local linear", "local quadratic"
MESA, LINEAR = "Mesa, no forgetting", "linear attention"

GAINS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # of the logits of unit keys: 1/h², h the Gaussian bandwidth
WINDOWS = (16, 32, 64, 128, 256)
RIDGES = (0.001, 0.03, 1.0)  # beside the weight of a key at the query
LARGEST_QUADRATIC = 4  # d; 14 monomials


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
    "sliding window": (_window, {"window": WINDOWS, "gain": (2.0, 8.0, 32.0)}),
    LOCAL: (_local_linear, {"gain": GAINS[::2], "ridge": RIDGES[:2]}),
    QUADRATIC: (_local_quadratic, {"gain": (1.0, 4.0), "ridge": (0.03, 1.0)}),
    MESA: (_mesa, {"ridge": RIDGES}),
    **{name: excess.METHODS[name] for name in ("recursive least squares, forgetting", "delta rule")},
    "gated delta rule": (_gated_delta, {"beta": excess.BETAS[1::2], "memory": (1.0, 4.0, 16.0, 64.0)}),
    LINEAR: (_linear, {}),
    "linear attention, decaying": excess.METHODS["linear attention, decaying"],
}


def of_dimension(d: int) -> dict[str, tuple[excess.Method, Mapping[str, Sequence[float]]]]:
    """All of them, without the local quadratic fit where it would have too many monomials."""
    return {name: method for name, method in METHODS.items() if name != QUADRATIC or d <= LARGEST_QUADRATIC}
