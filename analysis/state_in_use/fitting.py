"""Stored pairs and unseen queries: v = kS + noise is fitted to n Gaussian keys; two errors of the same fit.

Stored: ‖o_i - v_i‖² at the n keys, relative to ‖v_i‖²; noise counts as something to remember. Unseen: E‖q(Ŝ - S)‖²
relative to E‖qS‖²; for softmax, which is no matrix, the mean over n fresh queries.
"""

from typing import Any

import numpy as np

from ttr_numerics import exact, layers
from ttr_numerics.layers import chunked
from ttr_numerics.measure import bounds, mean_interval, relative_squared_error

__all__ = ["DELTA", "FITTED", "LEAST", "LINEAR", "RIDGE", "SOFTMAX", "fitted"]

Row = dict[str, Any]
TRIALS, WIDTH = 40, 8
LINEAR, DELTA, LEAST = "linear attention, best scale", "delta rule, falling step", "least norm"
RIDGE, SOFTMAX = "ridge, best λ", "softmax"
FITTED = (LINEAR, DELTA, RIDGE, LEAST, SOFTMAX)


def fitted(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Both errors of every memory."""
    n, d, noise = cell["n"], cell["d"], cell["noise"]
    K, q = (rng.standard_normal((TRIALS, n, d)) for _ in range(2))
    S = rng.standard_normal((TRIALS, d, WIDTH))
    S *= np.sqrt(d * WIDTH / np.sum(S * S, axis=(-2, -1), keepdims=True))  # every draw's signal is d
    V = K @ S + np.sqrt(noise * d) * rng.standard_normal((TRIALS, n, WIDTH))
    beta = bounds.best_normalized_steps(n, d, noise) / np.sum(K * K, axis=-1)
    solutions = {
        LINEAR: chunked.linear_attention(K, K, V).state / (n + d + 1 + d * noise),
        DELTA: chunked.delta_rule(K, K, V, beta=beta).state,
        RIDGE: exact.ridge(K, V, noise * d).S if noise else exact.least_norm(K, V).S,
        LEAST: exact.least_norm(K, V).S,
    }
    rows = []
    for name, found in solutions.items():
        unseen = np.sum((found - S) ** 2, axis=(-2, -1)) / (d * WIDTH)
        rows += _rows(name, relative_squared_error(K @ found, V), unseen)
    at_keys, at_fresh = (layers.bidirectional_softmax_attention(x / d**0.5, K, V).o for x in (K, q))
    return rows + _rows(SOFTMAX, relative_squared_error(at_keys, V), relative_squared_error(at_fresh, q @ S))


def _rows(layer: str, stored: np.ndarray, unseen: np.ndarray) -> list[Row]:
    return [
        {"layer": layer, "asked": asked, "median": float(np.median(errors))} | mean_interval(errors)._asdict()
        for asked, errors in (("stored", stored), ("unseen", unseen))
    ]
