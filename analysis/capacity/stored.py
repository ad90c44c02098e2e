"""Cells of the first n keys of a stored source, with its own values and with random ones; heads are the repetitions."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analysis.capacity.memories import MEMORIES
from analysis.capacity.notions import ARGMAX, EXACT, LEAST, LINEAR, LIST, SMOOTHER, THRESHOLD, list_length
from analysis.directed import valued
from ttr_numerics import layers, tasks
from ttr_numerics.arrays import Array, to_numpy
from ttr_numerics.measure import exact_recall, list_recall, proportion_interval, ranks, unit_rows
from ttr_numerics.study import placed

__all__ = ["OWN", "RANDOM", "READERS", "stored_rows"]

OWN, RANDOM = "captured values", "random values"
WITH_RANDOM = (LINEAR, LEAST, SMOOTHER)


def stored_rows(cell: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """A row for each layer and notion with the keys' own values, and by argmax for some layers with random ones."""
    source, left_out = valued(cell["keys"])
    n = min(cell["n"], source.k.shape[1])
    K, V = unit_rows(source.k[:, :n]), unit_rows(source.v[:, :n])
    K, own, other = placed(cell, K, V, tasks.isotropic_unit_keys(rng, V.shape))
    values = {OWN: own, RANDOM: other}
    return [
        {"source": source.name, "n": n, "d": K.shape[-1], "layer": layer, "values": kind, "notion": notion}
        | left_out
        | interval
        for layer, read in READERS.items()
        for kind, V in values.items()
        for notion, interval in _recalled(read(K, V), V).items()
        if kind == OWN or (layer in WITH_RANDOM and notion == ARGMAX)
    ]


def _recalled(O: Array, V: Array) -> dict[str, dict[str, Any]]:
    n, rank = V.shape[-2], ranks(O, V)
    shares = {
        EXACT: exact_recall(O, V, THRESHOLD),
        ARGMAX: list_recall(rank, 1),
        LIST: list_recall(rank, list_length(n)),
    }
    return {notion: proportion_interval(to_numpy(share), n)._asdict() for notion, share in shares.items()}


def _from_memory(layer: str) -> Callable[[Array, Array], Array]:
    def read(K: Array, V: Array) -> Array:
        return K @ MEMORIES[layer](K, V)

    return read


def _smoothed(K: Array, V: Array) -> Array:
    return layers.bidirectional_softmax_attention(K.shape[-1] / 2 * K, K, V).o


READERS: dict[str, Callable[[Array, Array], Array]] = {
    **{layer: _from_memory(layer) for layer in MEMORIES},
    SMOOTHER: _smoothed,
}
