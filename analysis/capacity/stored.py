"""Cells of the first n keys of a stored source, with its own values and with random ones; heads are the repetitions."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analysis.capacity.memories import MEMORIES
from analysis.capacity.notions import ARGMAX, EXACT, LEAST, LINEAR, LIST, SMOOTHER, THRESHOLD, list_length
from ttr_numerics import layers, tasks
from ttr_numerics.measure import exact_recall, list_recall, proportion_interval, ranks, unit_rows

__all__ = ["OWN", "RANDOM", "READERS", "stored_rows"]

OWN, RANDOM = "captured values", "random values"
WITH_RANDOM = (LINEAR, LEAST, SMOOTHER)


def stored_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row for each layer and notion with the keys' own values, and by argmax for some layers with random ones."""
    source, n = tasks.stored(cell["keys"]), cell["n"]
    K, V = unit_rows(source.k[:, :n]), unit_rows(source.v[:, :n])
    values = {OWN: V, RANDOM: tasks.isotropic_unit_keys(rng, V.shape)}
    return [
        {"source": source.name, "d": K.shape[-1], "layer": layer, "values": kind, "notion": notion} | interval
        for layer, read in READERS.items()
        for kind, V in values.items()
        for notion, interval in _recalled(read(K, V), V).items()
        if kind == OWN or (layer in WITH_RANDOM and notion == ARGMAX)
    ]


def _recalled(O: np.ndarray, V: np.ndarray) -> dict[str, dict[str, Any]]:
    n, rank = V.shape[-2], ranks(O, V)
    shares = {
        EXACT: exact_recall(O, V, THRESHOLD),
        ARGMAX: list_recall(rank, 1),
        LIST: list_recall(rank, list_length(n)),
    }
    return {notion: proportion_interval(share, n)._asdict() for notion, share in shares.items()}


def _from_memory(layer: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def read(K: np.ndarray, V: np.ndarray) -> np.ndarray:
        return K @ MEMORIES[layer](K, V)

    return read


def _smoothed(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return layers.bidirectional_softmax_attention(K.shape[-1] / 2 * K, K, V).o


READERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    **{layer: _from_memory(layer) for layer in MEMORIES},
    SMOOTHER: _smoothed,
}
