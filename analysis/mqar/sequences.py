"""Measured on sequences of ids: a fixed embedding, one short convolution on the keys, one layer, no training."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.mqar.memories import AT_EVERY_TOKEN, DELTA, LINEAR, RIDGE
from analysis.mqar.scores import first_among
from ttr_numerics import border, tasks
from ttr_numerics.measure import proportion_interval

__all__ = ["CONVOLUTIONS", "FILLERS", "VOCABULARY", "by_load", "by_sizes", "sequences"]

VOCABULARY = 8192
FILLERS = {"neutral": tasks.neutral_filler, "random": tasks.random_filler}
CONVOLUTIONS = {"keys shifted": (1.0, 0.0), "none": (0.0, 1.0)}
FEWEST = 24  # questions that a bin needs to be a row
BY_LOAD = (LINEAR, DELTA, RIDGE)

Row = dict[str, Any]


def sequences(d: int, length: int) -> int:
    """How many sequences a cell has: 24, fewer where they are long and wide, at least 8."""
    return min(24, max(8, 2**19 // (d * length)))


def by_sizes(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """Argmax accuracy of every layer over all questions; `stored`: mean bigrams in memory when a key is asked."""
    asked, right = _answered(cell, rng, tuple(AT_EVERY_TOKEN), power=0.01)
    rows = []
    for layer, correct in right.items():
        shares = correct.reshape(-1, cell["pairs"]).mean(axis=-1)
        accuracy = proportion_interval(shares, cell["pairs"])._asdict()
        rows.append({"layer": layer, "stored": float(np.mean(asked.stored))} | accuracy)
    return rows


def by_load(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """Argmax accuracy by how many bigrams were in memory when the key was asked, in bins of an octave.

    For the delta rule also by how many of them were written after the one that is asked for, its age. Questions are
    spread evenly over the sequence (power 1), so that every load is asked for.
    """
    asked, right = _answered(cell, rng, BY_LOAD, power=1.0)
    rows = [_binned("load", layer, asked.stored, asked.stored, correct) for layer, correct in right.items()]
    rows.append(_binned("age", DELTA, asked.age, asked.stored, right[DELTA]))
    return [row for binned in rows for row in binned]


def _binned(by: str, layer: str, place: np.ndarray, stored: np.ndarray, right: np.ndarray) -> list[Row]:
    """A row an octave of `place`, where enough was asked."""
    octave, rows = np.floor(np.log2(np.maximum(place, 1))).astype(int), []
    for bin_ in np.unique(octave):
        inside = octave == bin_
        asked = int(np.count_nonzero(inside))
        if asked >= FEWEST:
            accuracy = proportion_interval(np.array([np.mean(right[inside])]), asked)._asdict()
            means = {"place": float(np.mean(place[inside])), "stored": float(np.mean(stored[inside]))}
            rows.append({"by": by, "layer": layer, "octave": int(bin_), "asked": asked} | means | accuracy)
    return rows


class Asked(NamedTuple):
    """Of every question, in the order of the sequences: the bigrams stored by then, and those since its own."""

    stored: np.ndarray
    age: np.ndarray


def _answered(
    cell: Mapping[str, Any], rng: np.random.Generator, asked: Sequence[str], power: float
) -> tuple[Asked, dict[str, np.ndarray]]:
    """What was in memory at every question, and which of the layers answered it right."""
    d, length, filler = cell["d"], cell["length"], FILLERS[cell["filler"]]
    batch = sequences(d, length)
    shown = tasks.mqar(rng, batch, length, cell["pairs"], vocabulary=VOCABULARY, power=power, filler=filler)
    embedding = tasks.isotropic_unit_keys(rng, (VOCABULARY, d))
    embedding[0] = 0.0  # the neutral id is nothing
    x = embedding[shown.tokens]
    k = border.short_convolution(x, weight=np.tile(CONVOLUTIONS[cell["convolution"]], (d, 1))).o
    written = np.cumsum(k.any(axis=-1) & x.any(axis=-1), axis=-1)
    keys, questions = shown.tokens[:, : 2 * cell["pairs"] : 2], shown.tokens[shown.mask].reshape(batch, -1)
    own = 2 * np.argmax(questions[..., None] == keys[:, None], axis=-1).ravel() + 1  # the token that wrote the pair
    at = written[shown.mask]
    answers, words = shown.targets[shown.mask] - VOCABULARY // 2, embedding[VOCABULARY // 2 :]
    outputs = {layer: AT_EVERY_TOKEN[layer](x, k, x)[shown.mask] for layer in asked}
    return Asked(at, at - own), {layer: first_among(o, words, answers) for layer, o in outputs.items()}
