"""Our generators of associative recall against zoology's design, written down a second time from its description.

Source: github.com/HazyResearch/zoology, zoology/data/multiquery_ar.py at dbcb60d (`mqar` below) and
zoology/data/stacked_mqar.py at d88d6f5, its continuous MQAR (`continuous_recall` below). What those say:

Discrete. Of V ids, 0 is blank, 1 .. V/2 - 1 are keys, V/2 .. V - 1 values; n different keys get n different values,
each choice uniform. The row is k_1 v_1 ... k_n v_n, then (L - 2n)/2 places of two tokens. In turn the keys draw a
place, none twice, with P(g) ∝ g^(a - 1), a = 0.01; the first token of the place is the key, and the target there its
value. Every other target is -100; every other token is blank, or, by default, any id of the V. L ≥ 4n.

Continuous. A table of fixed embeddings, half of it keys, half values; n of each, drawn and paired at random in every
row. A pass shows the n pairs in a fresh random order, one token [key, value] each; then come the n keys in random
order, one token [key, 0] each, and the answer is the argmax over the whole table of values.

Where ours differ by design: a key's place does not depend on where it stood in the list; L may be odd; in the
continuous form keys and values have tables of their own, of any sizes.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from ttr_numerics.tasks import (
    IGNORED,
    associations,
    continuous_recall,
    isotropic_unit_keys,
    mqar,
    neutral_filler,
)

FALSE_ALARM = 1e-6  # of each test of two samples
POWER = 0.01


def described(rng, rows, length, pairs, vocabulary, random_blanks):
    """The discrete rows, one after another, straight from the description: tokens and targets (rows, length)."""
    tokens = np.zeros((rows, length), dtype=np.int64)
    targets = np.full((rows, length), -100)
    half = vocabulary // 2
    for row, target in zip(tokens, targets, strict=True):
        keys, values = rng.permutation(np.arange(1, half))[:pairs], rng.permutation(np.arange(half, vocabulary))[:pairs]
        if random_blanks:
            row[:] = rng.integers(0, vocabulary, length)
        row[: 2 * pairs] = np.stack([keys, values], axis=1).ravel()
        free = list(range(1, (length - 2 * pairs) // 2 + 1))
        for key, value in zip(keys, values, strict=True):
            law = np.array(free, dtype=float) ** (POWER - 1)
            g = free.pop(rng.choice(len(free), p=law / law.sum()))
            row[2 * pairs + 2 * (g - 1)], target[2 * pairs + 2 * (g - 1)] = key, value
    return tokens, targets


def ours(rng, rows, length, pairs, vocabulary, random_blanks, power=POWER):
    """The same by `mqar`."""
    filler = {} if random_blanks else {"filler": neutral_filler}
    found = mqar(rng, rows, length, pairs, vocabulary=vocabulary, power=power, **filler)
    return found.tokens, found.targets


def keeps_the_facts(tokens, targets, pairs, vocabulary):
    """Whether every row has the described form, read token by token."""
    for row, target in zip(tokens.tolist(), targets.tolist(), strict=True):
        told = dict(zip(row[: 2 * pairs : 2], row[1 : 2 * pairs : 2], strict=True))
        asked = [t for t, y in enumerate(target) if y != -100]
        good = len(told) == len(set(told.values())) == len(asked) == pairs
        good &= all(1 <= key < vocabulary // 2 <= value < vocabulary for key, value in told.items())
        good &= all(t >= 2 * pairs and t % 2 == 0 for t in asked)
        good &= sorted(row[t] for t in asked) == sorted(told)
        good &= all(told.get(row[t]) == target[t] for t in asked)
        if not good:
            return False
    return True


def alike(one, other):
    """p-value of the chi-square test that two samples of hashable categories have one law."""
    names = sorted(set(one) | set(other))
    place = {name: i for i, name in enumerate(names)}
    table = [np.bincount([place[x] for x in sample], minlength=len(names)) for sample in (one, other)]
    return 1.0 if len(names) == 1 else float(stats.chi2_contingency(table).pvalue)


def places(targets, pairs):
    """The set of places asked, a tuple a row."""
    return [tuple(np.flatnonzero(row[2 * pairs :: 2] != -100).tolist()) for row in targets]


def in_turn(tokens, targets, pairs):
    """The place of each key in the order of the list (rows, pairs)."""
    return np.array(
        [
            [next(t for t in np.flatnonzero(y != -100) if row[t] == key) for key in row[: 2 * pairs : 2]]
            for row, y in zip(tokens, targets, strict=True)
        ]
    )


@pytest.mark.parametrize("random_blanks", [True, False])
@pytest.mark.parametrize(("length", "pairs"), [(8, 2), (24, 3), (64, 4)])
def test_both_generators_keep_every_fact_of_the_design(length, pairs, random_blanks):
    assert IGNORED == -100
    for generator in (described, ours):
        rows = generator(np.random.default_rng([1, length]), 200, length, pairs, 66, random_blanks)
        assert keeps_the_facts(*rows, pairs, 66)
        tokens, targets = rows
        blanks = tokens[:, 2 * pairs :][targets[:, 2 * pairs :] == -100]
        assert (len(np.unique(blanks)) > 1) == random_blanks


def test_values_before_keys_a_key_asked_twice_and_a_foreign_answer_break_the_facts():
    tokens, targets = ours(np.random.default_rng(2), 50, 24, 3, 66, False)
    swapped = tokens.copy()
    swapped[:, :6] = tokens[:, [1, 0, 3, 2, 5, 4]]
    assert not keeps_the_facts(swapped, targets, 3, 66)
    twice = tokens.copy()
    for row, y in zip(twice, targets, strict=True):
        first, second, _ = np.flatnonzero(y != -100)
        row[second] = row[first]
    assert not keeps_the_facts(twice, targets, 3, 66)
    foreign = np.where(targets == -100, -100, 33 + (targets - 32) % 33)  # the next value
    assert not keeps_the_facts(tokens, foreign, 3, 66)


@pytest.mark.parametrize(("length", "pairs", "rows"), [(42, 1, 8000), (14, 2, 6000), (18, 3, 6000)])
def test_places_are_asked_by_one_law_and_uniform_gaps_are_caught(length, pairs, rows):
    theirs = places(described(np.random.default_rng([3, pairs]), rows, length, pairs, 66, False)[1], pairs)
    found = places(ours(np.random.default_rng([4, pairs]), rows, length, pairs, 66, False)[1], pairs)
    assert alike(theirs, found) > FALSE_ALARM
    uniform = places(ours(np.random.default_rng([5, pairs]), rows, length, pairs, 66, False, power=1.0)[1], pairs)
    assert alike(theirs, uniform) < FALSE_ALARM


def test_the_gap_of_a_single_pair_has_a_mean_near_the_power_law_s():
    """One pair: the mean of g under P(g) ∝ g^(a - 1), g ≤ 31, within four standard errors; uniform would be 16."""
    g = np.arange(1, 32)
    law = g ** (POWER - 1) / np.sum(g ** (POWER - 1))
    mean, spread = g @ law, np.sqrt((g**2) @ law - (g @ law) ** 2)
    for generator in (described, ours):
        targets = generator(np.random.default_rng(6), 4000, 64, 1, 66, False)[1]
        assert abs(np.mean(places(targets, 1)) + 1 - mean) < 4 * spread / np.sqrt(4000)
    assert mean + 4 * spread / np.sqrt(4000) < 16


def test_ids_and_blanks_have_one_law():
    one = described(np.random.default_rng(7), 4000, 20, 2, 16, True)
    other = ours(np.random.default_rng(8), 4000, 20, 2, 16, True)
    for column in (0, 1, 2, 3, 5, 19):  # two keys, two values, two tokens that are always blank
        assert alike(one[0][:, column].tolist(), other[0][:, column].tolist()) > FALSE_ALARM
    pairs = [list(zip(x[0][:, 0].tolist(), x[0][:, 1].tolist(), strict=True)) for x in (one, other)]
    assert alike(*pairs) > FALSE_ALARM


def test_by_design_only_theirs_asks_the_first_keys_of_the_list_sooner():
    """Three keys: which of them is asked first is the first of the list more often there, and as often here."""
    firsts = {}
    for generator in (described, ours):
        turn = in_turn(*generator(np.random.default_rng(9), 6000, 30, 3, 66, False), 3)
        firsts[generator] = np.bincount(np.argmin(turn, axis=1), minlength=3)
    assert stats.chisquare(firsts[ours]).pvalue > FALSE_ALARM
    assert stats.chisquare(firsts[described]).pvalue < FALSE_ALARM
    assert firsts[described][0] > firsts[described][2]


def described_continuous(rng, rows, table, pairs, passes):
    """Inputs (rows, (passes + 1) pairs, 2d) and answers (rows, pairs), straight from the description."""
    half, d = len(table) // 2, table.shape[1]
    inputs, answers = np.zeros((rows, (passes + 1) * pairs, 2 * d)), np.zeros((rows, pairs), dtype=np.int64)
    for x, y in zip(inputs, answers, strict=True):
        keys, values = rng.permutation(half)[:pairs], rng.permutation(half)[:pairs]
        shown = [i for _ in range(passes) for i in rng.permutation(pairs)]
        asked = rng.permutation(pairs)
        x[: len(shown), :d], x[: len(shown), d:] = table[keys[shown]], table[half + values[shown]]
        x[len(shown) :, :d], y[:] = table[keys[asked]], values[asked]
    return inputs, answers


def ours_continuous(rng, rows, table, pairs, passes):
    """The same by `associations` and `continuous_recall`."""
    half = len(table) // 2
    listed = associations(rng, rows, pairs, half, half, passes=passes)
    found = continuous_recall(listed, table[:half], table[half:])
    return found.tokens, found.answers


CONTINUOUS = (described_continuous, ours_continuous)


def ids(vectors, table):
    """Rows of the table that the vectors are."""
    found = np.argmax(vectors @ table.T, axis=-1)
    assert np.array_equal(table[found], vectors)
    return found


def orders(inputs, answers, table, pairs):
    """Of each row: the list's second pass, its questions, its values, in the order of its first pass."""
    d, half = table.shape[1], len(table) // 2
    keys = ids(inputs[..., :d], table[:half])
    values = ids(inputs[:, :pairs, d:], table[half:])
    place = np.argsort(keys[:, :pairs], axis=1)
    parts = (keys[:, pairs : 2 * pairs], keys[:, -pairs:])
    again = [np.take_along_axis(place, np.argsort(np.argsort(x, axis=1), axis=1), axis=1) for x in parts]
    return [list(map(tuple, x.tolist())) for x in (*again, np.argsort(values, axis=1))]


def test_the_continuous_rows_have_one_law_of_orders_and_answers():
    table, pairs, passes, rows = isotropic_unit_keys(np.random.default_rng(10), (12, 5)), 3, 2, 3000
    found = []
    for generator in CONTINUOUS:
        inputs, answers = generator(np.random.default_rng(11), rows, table, pairs, passes)
        assert inputs.shape == (rows, 9, 10)
        assert not inputs[:, 6:, 5:].any()
        keys, values = ids(inputs[..., :5], table[:6]), ids(inputs[:, :6, 5:], table[6:])
        for row, told, y in zip(keys.tolist(), values.tolist(), answers.tolist(), strict=True):
            pair = dict(zip(row[:3], told[:3], strict=True))
            assert len(pair) == len(set(pair.values())) == 3
            assert dict(zip(row[3:6], told[3:], strict=True)) == pair
            assert [pair[key] for key in row[6:]] == y
        found.append([*orders(inputs, answers, table, pairs), keys[:, 0].tolist(), answers[:, 0].tolist()])
    for one, other in zip(*found, strict=True):
        assert alike(one, other) > FALSE_ALARM
    inputs[:, 3:6] = inputs[:, :3]  # a planted fault: every pass in the same order
    assert alike(found[0][0], orders(inputs, answers, table, pairs)[0]) < FALSE_ALARM
    for sample in found[1][:3]:  # and that law is the uniform one over 3! orders
        counts = [sample.count(order) for order in itertools.permutations(range(3))]
        assert sum(counts) == rows
        assert stats.chisquare(counts).pvalue > FALSE_ALARM


def recalled(inputs, answers, codebook):
    """Share of questions (rows,) that Hebbian memory Σ v_i k_i' answers by the argmax over the codebook."""
    pairs, d = answers.shape[1], codebook.shape[1]
    k, v, q = inputs[:, :-pairs, :d], inputs[:, :-pairs, d:], inputs[:, -pairs:, :d]
    outputs = q @ (np.swapaxes(k, 1, 2) @ v)
    return np.mean(np.argmax(outputs @ codebook.T, axis=-1) == answers, axis=1)


def test_a_memory_is_as_right_on_ours_as_on_theirs_and_a_wrong_answer_is_caught():
    """One table, 600 rows each: accuracies within five standard errors of the difference."""
    table = isotropic_unit_keys(np.random.default_rng(12), (256, 16))
    rows = [generator(np.random.default_rng([13, i]), 600, table, 12, 1) for i, generator in enumerate(CONTINUOUS)]
    theirs, here = (recalled(inputs, answers, table[128:]) for inputs, answers in rows)
    off = np.hypot(np.std(theirs), np.std(here)) / np.sqrt(600)
    assert 0.2 < np.mean(theirs) < 0.95
    assert abs(np.mean(theirs) - np.mean(here)) < 5 * off
    shifted = recalled(rows[1][0], np.roll(rows[1][1], 1, axis=1), table[128:])  # the planted fault: the wrong question
    assert abs(np.mean(theirs) - np.mean(shifted)) > 5 * off
