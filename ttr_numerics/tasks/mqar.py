"""Multi-query associative recall (MQAR): a list of (key, value) pairs is shown, then every key is asked for its value.

A sequence is a list, k_1 v_1 k_2 v_2 ..., and behind it each key once more, scattered among blanks; at such a token
the answer is the value that followed the key in the list, the last one if there were several.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ttr_numerics.tasks.associations import Associations, associations

__all__ = ["IGNORED", "AssociativeRecall", "mqar", "neutral_filler", "random_filler", "reassigned_mqar"]

IGNORED = -100  # the target of a token that asks nothing; torch's cross_entropy leaves it out by default

Filler = Callable[[np.random.Generator, tuple[int, int], int], np.ndarray]


@dataclass(frozen=True)
class AssociativeRecall:
    """tokens and targets (batch, T), integer ids; mask (batch, T) is True where a key is asked: elsewhere `IGNORED`."""

    tokens: np.ndarray
    targets: np.ndarray
    mask: np.ndarray


def random_filler(rng: np.random.Generator, shape: tuple[int, int], vocabulary: int) -> np.ndarray:
    """Blanks are any ids of the vocabulary, keys and values among them: each is one more bigram to store."""
    return rng.integers(vocabulary, size=shape)


def neutral_filler(rng: np.random.Generator, shape: tuple[int, int], vocabulary: int) -> np.ndarray:
    """Blanks are all id 0, which is neither a key nor a value."""
    return np.zeros(shape, dtype=np.int64)


def mqar(
    rng: np.random.Generator,
    batch: int,
    length: int,
    pairs: int,
    *,
    passes: int = 1,
    vocabulary: int = 8192,
    power: float = 0.01,
    filler: Filler = random_filler,
) -> AssociativeRecall:
    """k_1 v_1 ... k_n v_n, then every k_i once among blanks, n = `pairs`: the target there is v_i. `batch` such rows.

    Ids 1 .. V/2 - 1 are keys, V/2 .. V - 1 values, each at most once in a list; id 0 is neutral. Two tokens make a
    place behind the list; a key is asked at the first token of place g = 1, 2, ..., and the keys, in random order, draw
    their places without replacement with P(g) ∝ g^(power - 1): most are asked soon. `passes` shows the list again,
    each time in another random order. Needs 2n(passes + 1) ≤ length, which is 4n ≤ length for one pass.

    The design, the vocabulary and the power are those of zoology's MQAR (Arora et al., arXiv 2312.04927, section 3,
    and the `multiquery_ar` data of its code). Other than there, a key's place does not depend on where it stood in the
    list, lists may be repeated, and `filler` is any function.

    Two pairs, 6 9 and 5 10, in a vocabulary of 16. Key 6 is asked at place 1 (token 4), key 5 at place 3 (token 8):

    >>> row = mqar(np.random.default_rng(0), 1, 12, 2, vocabulary=16, filler=neutral_filler)
    >>> row.tokens[0].tolist()
    [6, 9, 5, 10, 6, 0, 0, 0, 5, 0, 0, 0]
    >>> [(place, target) for place, target in enumerate(row.targets[0].tolist()) if target != IGNORED]
    [(4, 9), (8, 10)]
    """
    listed = associations(rng, batch, pairs, *_halves(vocabulary), passes=passes)
    return _asked(rng, listed, length, vocabulary, power, filler)


def reassigned_mqar(
    rng: np.random.Generator,
    batch: int,
    length: int,
    pairs: int,
    assignments: int,
    *,
    between: int = 0,
    vocabulary: int = 8192,
    power: float = 0.01,
    filler: Filler = random_filler,
) -> AssociativeRecall:
    """`mqar` in which each key is given `assignments` values, one after the other: the last one is the answer.

    The list is that many rounds; a round gives every key a new value, keys in random order, and ends with `between`
    pairs of other keys, which occur once and are never asked. Needs 2(n + between)·assignments + 2n ≤ length.

    Key 2 is given 13, then 8; keys 5 and 1 stand after either. Asked at place 1 (token 8), it is 8:

    >>> row = reassigned_mqar(np.random.default_rng(3), 1, 12, 1, 2, between=1, vocabulary=16, filler=neutral_filler)
    >>> row.tokens[0].tolist()
    [2, 13, 5, 14, 2, 8, 1, 12, 2, 0, 0, 0]
    >>> [(place, target) for place, target in enumerate(row.targets[0].tolist()) if target != IGNORED]
    [(8, 8)]
    """
    listed = associations(rng, batch, pairs, *_halves(vocabulary), assignments=assignments, between=between)
    return _asked(rng, listed, length, vocabulary, power, filler)


def _halves(vocabulary: int) -> tuple[int, int]:
    """How many keys, 1 .. V/2 - 1, and values, V/2 .. V - 1, there are."""
    if vocabulary < 4:
        raise ValueError(f"vocabulary: expected at least 4 ids (0, a key, two values), got {vocabulary}")
    return vocabulary // 2 - 1, vocabulary - vocabulary // 2


def _asked(
    rng: np.random.Generator, listed: Associations, length: int, vocabulary: int, power: float, filler: Filler
) -> AssociativeRecall:
    """The list written as tokens, and its keys asked behind it."""
    (batch, stored), pairs = listed.keys.shape, listed.asked.shape[-1]
    if length < 2 * (stored + pairs):
        raise ValueError(
            f"length: expected at least {2 * (stored + pairs)} tokens for a list of {stored} pairs and {pairs} "
            f"questions, got {length}"
        )
    if not 0 < power < float("inf"):
        raise ValueError(f"power: expected a number above 0, got {power}")
    tokens = filler(rng, (batch, length), vocabulary)
    tokens[:, : 2 * stored : 2] = 1 + listed.keys
    tokens[:, 1 : 2 * stored : 2] = vocabulary // 2 + listed.values
    at = 2 * (stored + _places(rng, batch, pairs, (length - 2 * stored) // 2, power))
    targets = np.full_like(tokens, IGNORED)
    np.put_along_axis(tokens, at, 1 + listed.asked, axis=-1)
    np.put_along_axis(targets, at, vocabulary // 2 + listed.answers, axis=-1)
    return AssociativeRecall(tokens, targets, targets != IGNORED)


def _places(rng: np.random.Generator, batch: int, pairs: int, space: int, power: float) -> np.ndarray:
    """g - 1 (batch, pairs), distinct in a row: draws in turn with P(g) ∝ g^(power - 1), g = 1..space, none twice.

    Exponential clocks of these rates ring in just such an order (Efraimidis and Spirakis, 2006).
    """
    rate = np.arange(1.0, space + 1) ** (power - 1)
    return np.argsort(rng.standard_exponential((batch, space)) / rate, axis=-1)[:, :pairs]
