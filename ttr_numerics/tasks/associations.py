"""Lists of (key, value) pairs to recall from: shown once, several times, or with keys that are given new values."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Associations", "ContinuousRecall", "associations", "continuous_recall"]


@dataclass(frozen=True)
class Associations:
    """Key keys_i is given value values_i, i = 1..L in turn; asked_j is to be answered by answers_j, j = 1..pairs.

    keys, values (batch, L) and asked, answers (batch, pairs) count from 0.
    """

    keys: np.ndarray
    values: np.ndarray
    asked: np.ndarray
    answers: np.ndarray


@dataclass(frozen=True)
class ContinuousRecall:
    """The list as k (batch, L, d_k), v (batch, L, d_v); q (batch, pairs, d_k) asks for word `answers` (batch, pairs).

    `answers` are rows of the table of values.
    """

    k: np.ndarray
    v: np.ndarray
    q: np.ndarray
    answers: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        """(batch, L + pairs, d_k + d_v): [k_i, v_i] for the list, then [q_j, 0], each a single token."""
        shown = np.concatenate([self.k, self.v], axis=-1)
        blank = np.zeros((*self.q.shape[:-1], self.v.shape[-1]))
        return np.concatenate([shown, np.concatenate([self.q, blank], axis=-1)], axis=-2)


def associations(
    rng: np.random.Generator,
    batch: int,
    pairs: int,
    keys: int,
    values: int,
    *,
    passes: int = 1,
    assignments: int = 1,
    between: int = 0,
) -> Associations:
    """Distinct keys of 0..keys-1, each given distinct values of 0..values-1; L = passes·assignments·(pairs + between).

    A round gives each of the `pairs` keys a value, keys in fresh random order, then come `between` pairs of keys that
    occur nowhere else and are never asked. Every one of `assignments` rounds brings new values, and the last is the
    answer; `passes` repeats each round, in another order. Raises ValueError where keys or values do not suffice.

    Key 2 is given value 0, key 3 value 1:

    >>> once = associations(np.random.default_rng(0), 1, 2, 4, 4)
    >>> once.keys.tolist(), once.values.tolist()
    ([[2, 3]], [[0, 1]])
    """
    _at_least("batch", batch, 0)
    _at_least("pairs", pairs, 1)
    _at_least("passes", passes, 1)
    _at_least("assignments", assignments, 1)
    _at_least("between", between, 0)
    rounds, new = passes * assignments, pairs * assignments
    others = rounds * between
    own, rare = np.split(_distinct(rng, batch, pairs + others, keys, "keys"), [pairs], axis=-1)
    given, rarely = np.split(_distinct(rng, batch, new + others, values, "values"), [new], axis=-1)
    order = rng.permuted(np.broadcast_to(np.arange(pairs), (batch, rounds, pairs)), axis=-1)
    given = given.reshape(batch, assignments, pairs)
    shown = np.take_along_axis(np.repeat(given, passes, axis=1), order, axis=-1)
    asking = np.take_along_axis(np.broadcast_to(own[:, None], order.shape), order, axis=-1)
    return Associations(_rounds(asking, rare), _rounds(shown, rarely), own, given[:, -1])


def continuous_recall(listed: Associations, keys: np.ndarray, values: np.ndarray) -> ContinuousRecall:
    """The list in vectors: row keys_i of `keys` (N, d_k) beside row values_i of `values` (N', d_v), a token a pair.

    Tables with a batch axis, (batch, N, d), give every list embeddings of its own. The design is that of zoology's
    continuous MQAR (`stacked_mqar` data): fixed embeddings, a pair in one token, questions of a key alone; no
    convolution has to join key and value, so recall is a matter of linear algebra.
    """
    batch = listed.keys.shape[0]

    def rows(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return np.take_along_axis(np.broadcast_to(table, (batch, *table.shape[-2:])), ids[..., None], axis=-2)

    return ContinuousRecall(
        rows(keys, listed.keys), rows(values, listed.values), rows(keys, listed.asked), listed.answers
    )


def _rounds(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(batch, L): after every round of pairs (batch, rounds, n) its share of the others (batch, rounds·between)."""
    batch, rounds, _ = pairs.shape
    shares = others.reshape(batch, rounds, others.shape[-1] // rounds)
    listed = np.concatenate([pairs, shares], axis=-1)
    return listed.reshape(batch, rounds * listed.shape[-1])


def _distinct(rng: np.random.Generator, batch: int, n: int, of: int, name: str) -> np.ndarray:
    """n different numbers of 0..of-1 (batch, n), in random order, every choice as likely (Floyd's algorithm)."""
    if n > of:
        raise ValueError(f"{name}: expected at least {n} to choose from, got {of}")
    chosen = np.empty((batch, n), dtype=np.int64)
    for i in range(n):
        last = of - n + i
        drawn = rng.integers(last + 1, size=batch)
        taken = (chosen[:, :i] == drawn[:, None]).any(axis=-1)
        chosen[:, i] = np.where(taken, last, drawn)
    return rng.permuted(chosen, axis=-1)


def _at_least(name: str, count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"{name}: expected at least {least}, got {count}")
