"""The gain that unit keys need: recall over gain against its bound, and the least gain that recalls everything."""

from typing import Any

import numpy as np

from analysis.qk_norm.readings import rounding_bound
from ttr_numerics import layers, tasks
from ttr_numerics.measure import bounds, mean_interval

__all__ = ["ERROR", "gain_rows", "needed_rows"]

ERROR = 0.1  # ‖o_i - v_i‖ of unit values, for every pair
GAINS = (1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0)
HALVINGS = 10
ENTRIES = 1 << 18  # of all attention matrices together

Row = dict[str, Any]


def gain_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """A row a gain: mean squared error of recall, and every item against both bounds."""
    n, d = cell["n"], cell["d"]
    K, V = _pairs(cell, rng)
    gap, rows = gaps(K), []
    for gain in (d**-0.5, *GAINS):
        error = _errors(K, V, gain)
        slack = rounding_bound(K, K, V, gain)
        ratio = error / (bounds.softmax_recall_bound(n, gain, gap) + slack)
        row = {"gain": gain, "items": error.size, "violated": int(np.sum(~(ratio <= 1))), "ratio": float(np.max(ratio))}
        if gain == d**-0.5:
            own = own_attention(K, gain)
            most = bounds.largest_attention(n, gain) * (1 + slack)
            row |= {"attention": float(np.max(own)), "attention_violated": int(np.sum(~(own <= most)))}
        rows.append(row | mean_interval(np.mean(error**2, axis=-1))._asdict())
    return rows


def needed_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """The least gain with every pair within `ERROR`, by bisection in each draw, and the gain that suffices."""
    K, V = _pairs(cell, rng)
    n, least = cell["n"], np.min(gaps(K), axis=-1)
    enough = np.array([bounds.sufficient_gain(n, ERROR, gap) for gap in least])
    low, high = np.zeros(len(K)), enough.copy()
    recalled = np.max(_errors(K, V, enough[:, None, None]), axis=-1) <= ERROR
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        inside = np.max(_errors(K, V, middle[:, None, None]), axis=-1) <= ERROR
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    return [
        {
            "needed": float(np.mean(high)),
            "sufficient": float(np.mean(enough)),
            "violated": int(np.sum(~recalled)),
            "draws": len(K),
            "gap": float(np.mean(least)),
            **mean_interval(high / enough)._asdict(),
        }
    ]


def gaps(K: np.ndarray) -> np.ndarray:
    """Δ_i = 1 - max_{j≠i} k_i·k_j (..., n) of unit keys."""
    cosines = K @ K.mT
    np.einsum("...ii->...i", cosines)[...] = -1.0
    return 1 - np.max(cosines, axis=-1)


def own_attention(K: np.ndarray, gain: float) -> np.ndarray:
    """p_ii (..., n): attention of key i to itself, the identity as values."""
    one = np.broadcast_to(np.eye(K.shape[-2]), (*K.shape[:-1], K.shape[-2]))
    return np.einsum("...ii->...i", layers.bidirectional_softmax_attention(gain * K, K, one).o)


def _pairs(cell: Row, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit keys and values (m, n, d), as many draws as `ENTRIES` allows, 3 to 32."""
    n, d = cell["n"], cell["d"]
    trials = min(32, max(3, ENTRIES // n**2))
    K, V = (tasks.isotropic_unit_keys(rng, (trials, n, d)) for _ in range(2))
    return K, V


def _errors(K: np.ndarray, V: np.ndarray, gain: Any) -> np.ndarray:
    return np.linalg.norm(layers.bidirectional_softmax_attention(gain * K, K, V).o - V, axis=-1)
