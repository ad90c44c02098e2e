"""Measured on lists of vectors: a pair is one token, so recall is linear algebra, with no convolution before it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.directed import valued
from analysis.mqar.memories import (
    AFTER_THE_LIST,
    DELTA,
    GATED,
    GATED_DELTA,
    GATED_RIDGE,
    LEAST,
    LINEAR,
    NORMALIZED,
    RIDGE,
    SOFT,
    SOFTMAX,
)
from analysis.mqar.scores import first_among
from ttr_numerics import tasks
from ttr_numerics.measure import (
    list_recall,
    mean_interval,
    proportion_interval,
    ranks,
    relative_squared_error,
    unit_rows,
)

__all__ = ["REASSIGNED", "WORDS", "by_assignments", "by_pairs", "lists", "on_stored_keys"]

WORDS = 4096
REASSIGNED = 256  # lists, each with one question
ONCE = (LINEAR, GATED, NORMALIZED, DELTA, GATED_DELTA, RIDGE, LEAST, SOFTMAX, SOFT)
LATEST = (LINEAR, GATED, DELTA, GATED_DELTA, RIDGE, GATED_RIDGE, SOFTMAX)
STORED = (LINEAR, GATED, DELTA, GATED_DELTA, RIDGE, LEAST, SOFTMAX)

Row = dict[str, Any]


def lists(pairs: int) -> int:
    """How many lists a cell has: 2048 questions together, in 12 to 48 lists."""
    return min(48, max(12, 2048 // pairs))


def by_pairs(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """Argmax accuracy among `WORDS` values and recall error after the list was shown once."""
    n, d, m = cell["pairs"], cell["d"], lists(cell["pairs"])
    keys, words = (tasks.isotropic_unit_keys(rng, (WORDS, d)) for _ in range(2))
    shown = tasks.continuous_recall(tasks.associations(rng, m, n, WORDS, WORDS), keys, words)
    rows = []
    for layer in ONCE:
        o = AFTER_THE_LIST[layer](shown.q, shown.k, shown.v)
        right = first_among(o.reshape(-1, d), words, shown.answers.ravel()).reshape(m, n)
        accuracy = proportion_interval(right.mean(axis=-1), n)._asdict()
        rows.append({"layer": layer} | accuracy | _error(o, words[shown.answers]))
    return rows


def by_assignments(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """One key given several values, others `between`: how often the last scores highest, and how often an older one.

    Words are the values of the list, each list with keys and values of its own.
    """
    j, between, d = cell["assignments"], cell["between"], cell["d"]
    values = j * (1 + between)
    listed = tasks.associations(rng, REASSIGNED, 1, 1 + j * between, values, assignments=j, between=between)
    tables = (tasks.isotropic_unit_keys(rng, (REASSIGNED, n, d)) for n in (1 + j * between, values))
    shown = tasks.continuous_recall(listed, *tables)
    own = np.arange(between, values, 1 + between)  # places of the key's values, counted from the end
    rows = []
    for layer in LATEST:
        o = AFTER_THE_LIST[layer](shown.q, shown.k, shown.v)
        scores = (shown.v @ o[:, 0, :, None])[:, ::-1, 0]
        best = scores >= np.max(scores, axis=-1, keepdims=True)
        share = best / np.sum(best, axis=-1, keepdims=True)  # of an exact tie
        last, older = share[:, own[0]], np.sum(share[:, own[1:]], axis=-1)
        accuracy = proportion_interval(last, 1)._asdict()
        newest = shown.v[:, ::-1][:, own[:1]]
        rows.append({"layer": layer, "older": float(np.mean(older))} | accuracy | _error(o, newest))
    return rows


def on_stored_keys(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """The first n pairs of stored keys and values, each of unit norm: shown in order, then again in random orders.

    Words are the n values; the heads are the repetitions.
    """
    stored, left_out = valued(cell["keys"])
    n = min(cell["pairs"], stored.k.shape[-2])
    K, V = unit_rows(stored.k[:, :n]), unit_rows(stored.v[:, :n])
    order = np.concatenate([[np.arange(n)], *([rng.permutation(n)] for _ in range(cell["passes"] - 1))]).ravel()
    rows = []
    for layer in STORED:
        o = AFTER_THE_LIST[layer](K, K[:, order], V[:, order])
        rank = np.stack([ranks(*head) for head in zip(o, V, strict=True)])
        accuracy = proportion_interval(list_recall(rank, 1), n)._asdict()
        about = {"source": stored.name, "pairs": n, "d": K.shape[-1], "layer": layer}
        rows.append(about | left_out | accuracy | _error(o, V))
    return rows


def _error(o: np.ndarray, v: np.ndarray) -> Row:
    """Mean of ‖o - v‖²/‖v‖² and its standard error over lists, None of a single one."""
    mean = mean_interval(relative_squared_error(o, v))
    return {"error": mean.value, "error_se": mean.high - mean.value if mean.trials > 1 else None}
