"""The layers that are tried on given keys, with what each leaves open, and what each recalls of stored pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from ttr_numerics import exact
from ttr_numerics.layers import chunked
from ttr_numerics.measure import best_scale

__all__ = ["CONTENDERS", "RIDGES", "Contender", "Settings"]

Settings = Mapping[str, float]
STEPS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
GATES = (2.0**-10, 2.0**-8, 2.0**-6, 2.0**-4)  # nats forgotten a token
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # in units of one unit key
SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # logits of a key with itself


@dataclass(frozen=True)
class Contender:
    """`recalled(K, V, settings)` reads unit keys K (..., n, d_k) back after all n pairs are stored: (..., n, d_v).

    `stored(n, d_k, d_v)` is how many numbers a head keeps for that.
    """

    layer: str
    recalled: Callable[[np.ndarray, np.ndarray, Settings], np.ndarray]
    grid: Mapping[str, tuple[float, ...]]
    stored: Callable[[int, int, int], int]

    def settings(self) -> list[dict[str, float]]:
        """Every point of the grid."""
        return [dict(zip(self.grid, point, strict=True)) for point in product(*self.grid.values())]


def _per_token(K: np.ndarray, value: float) -> np.ndarray:
    return np.full(K.shape[:-1], value)


def _scaled(O: np.ndarray, V: np.ndarray) -> np.ndarray:
    """With one output scale a head, as a model would learn it."""
    return np.asarray(best_scale(O, V)[..., None, None] * O)


def _linear(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    return _scaled(K @ chunked.linear_attention(K, K, V).state, V)


def _gated_linear(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    gate = _per_token(K, -s["gate"])
    return _scaled(K @ chunked.gated_linear_attention(K, K, V, log_decay=gate).state, V)


def _delta(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    return K @ chunked.delta_rule(K, K, V, beta=_per_token(K, s["beta"])).state


def _gated_delta(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    gate, beta = _per_token(K, -s["gate"]), _per_token(K, s["beta"])
    return K @ chunked.gated_delta_rule(K, K, V, log_decay=gate, beta=beta).state


def _mesa(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    return K @ exact.ridge(K, V, s["ridge"]).S


def _softmax(K: np.ndarray, V: np.ndarray, s: Settings) -> np.ndarray:
    logits = s["sharpness"] * (K @ np.swapaxes(K, -1, -2))
    weights = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return weights @ V / np.sum(weights, axis=-1, keepdims=True)


def _matrix(n: int, d_k: int, d_v: int) -> int:
    return d_k * d_v


CONTENDERS: tuple[Contender, ...] = (
    Contender("linear_attention", _linear, {}, _matrix),
    Contender("gated_linear_attention", _gated_linear, {"gate": GATES}, _matrix),
    Contender("delta_rule", _delta, {"beta": STEPS}, _matrix),
    Contender("gated_delta_rule", _gated_delta, {"gate": GATES, "beta": STEPS}, _matrix),
    Contender("mesa", _mesa, {"ridge": RIDGES}, lambda n, d_k, d_v: d_k * (d_k + d_v)),
    Contender("softmax_attention", _softmax, {"sharpness": SHARPNESS}, lambda n, d_k, d_v: n * (d_k + d_v)),
)
