"""The generator of associative recall: what is asked was shown; places follow their law; bad sizes are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ttr_numerics.tasks import (
    IGNORED,
    associations,
    continuous_recall,
    isotropic_unit_keys,
    mqar,
    neutral_filler,
    random_filler,
    reassigned_mqar,
)

FALSE_ALARM = 1e-6


def last_value(tokens: list[int], key: int, stored: int) -> int:
    """The answer by reading the list aloud: what followed `key` the last time it was shown."""
    shown = [tokens[2 * i + 1] for i in range(stored) if tokens[2 * i] == key]
    return shown[-1]


sizes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(0, 9), st.integers(0, 2**32 - 1))


@given(sizes, st.sampled_from([neutral_filler, random_filler]))
def test_every_query_is_answered_by_the_value_that_followed_its_key(drawn, filler):
    pairs, passes, more, seed = drawn
    length = 2 * pairs * (passes + 1) + more
    rows = mqar(np.random.default_rng(seed), 3, length, pairs, passes=passes, vocabulary=40, filler=filler)
    assert rows.tokens.shape == rows.targets.shape == rows.mask.shape == (3, length)
    assert np.array_equal(rows.mask, rows.targets != IGNORED)
    for tokens, targets in zip(rows.tokens.tolist(), rows.targets.tolist(), strict=True):
        listed, asked = tokens[: 2 * pairs * passes], [t for t, y in enumerate(targets) if y != IGNORED]
        assert len(asked) == pairs
        assert sorted(tokens[t] for t in asked) == sorted(set(listed[::2]))  # each key once
        assert all(t >= len(listed) and (t - len(listed)) % 2 == 0 for t in asked)
        assert all(targets[t] == last_value(tokens, tokens[t], pairs * passes) for t in asked)
        assert sorted(listed[::2]) == sorted(passes * list(set(listed[::2])))
        assert len(set(listed[1::2])) == pairs
        assert all(1 <= key < 20 for key in listed[::2])
        assert all(20 <= value < 40 for value in listed[1::2])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_of_a_key_assigned_several_times_the_last_value_is_the_answer(pairs, assignments, between, seed):
    stored = assignments * (pairs + between)
    length = 2 * (stored + pairs)
    rng = np.random.default_rng(seed)
    rows = reassigned_mqar(rng, 2, length, pairs, assignments, between=between, vocabulary=80)
    for tokens, targets in zip(rows.tokens.tolist(), rows.targets.tolist(), strict=True):
        asked = [t for t, y in enumerate(targets) if y != IGNORED]
        assert all(targets[t] == last_value(tokens, tokens[t], stored) for t in asked)
        times = [tokens[: 2 * stored : 2].count(tokens[t]) for t in asked]
        assert times == [assignments] * pairs
        assert len(set(tokens[1 : 2 * stored : 2])) == stored  # no value twice
        assert len(set(tokens[: 2 * stored : 2])) == pairs + between * assignments


def p_value(places: np.ndarray, space: int, power: float) -> float:
    """Of the chi-square test of places 0..space-1 against P(g) ∝ g^(power - 1), g from 1."""
    law = np.arange(1.0, space + 1) ** (power - 1)
    return float(stats.chisquare(np.bincount(places, minlength=space), len(places) * law / law.sum()).pvalue)


def test_places_follow_the_power_law_and_not_its_neighbour():
    rows = mqar(np.random.default_rng(11), 40_000, 42, 1)
    places = (np.argmax(rows.mask, axis=-1) - 2) // 2
    assert p_value(places, 20, 0.01) > FALSE_ALARM
    assert p_value(places, 20, 0.3) < FALSE_ALARM
    assert p_value(places, 20, 1.0) < FALSE_ALARM


def test_later_keys_draw_from_the_places_that_are_left():
    """Two keys, two places: the first is taken first with 1/(1 + 2^(a-1)), so either order is a fair binomial."""
    rows = mqar(np.random.default_rng(12), 20_000, 10, 2, power=0.5)  # three places for two keys
    taken = rows.mask[:, 4::2]
    law = np.arange(1.0, 4) ** -0.5
    law /= law.sum()
    left_out = [
        sum(law[i] * law[j] / (1 - law[i]) for i, j in ((a, b), (b, a)))
        for a, b in ((1, 2), (0, 2), (0, 1))  # place 0, 1, 2 stays empty
    ]
    counts = np.count_nonzero(~taken, axis=0)
    assert stats.chisquare(counts, 20_000 * np.array(left_out)).pvalue > FALSE_ALARM


def test_keys_and_values_are_uniform_choices_in_random_order():
    listed = associations(np.random.default_rng(13), 30_000, 3, 7, 5)
    for chosen, of in ((listed.keys, 7), (listed.values, 5), (listed.asked, 7)):
        for column in chosen.T:
            assert stats.chisquare(np.bincount(column, minlength=of)).pvalue > FALSE_ALARM
    first_two = 7 * listed.keys[:, 0] + listed.keys[:, 1]
    counts = np.bincount(first_two, minlength=49).reshape(7, 7)
    assert not counts.diagonal().any()
    assert stats.chisquare(counts[~np.eye(7, dtype=bool)]).pvalue > FALSE_ALARM


def test_random_blanks_are_any_id_and_neutral_blanks_one():
    rng = np.random.default_rng(14)
    blanks = mqar(rng, 4000, 40, 2, vocabulary=16).tokens[:, 5::2]
    assert stats.chisquare(np.bincount(blanks.ravel(), minlength=16)).pvalue > FALSE_ALARM
    assert not mqar(rng, 10, 40, 2, filler=neutral_filler).tokens[:, 5::2].any()


def test_same_seed_same_rows():
    one, other = (mqar(np.random.default_rng(5), 6, 64, 4) for _ in range(2))
    assert np.array_equal(one.tokens, other.tokens)
    assert np.array_equal(one.targets, other.targets)


def test_no_rows_and_the_shortest_rows_are_served():
    assert mqar(np.random.default_rng(0), 0, 8, 2).tokens.shape == (0, 8)
    assert mqar(np.random.default_rng(0), 5, 8, 2).mask.sum() == 10
    assert mqar(np.random.default_rng(0), 5, 4, 1, vocabulary=4).mask.sum() == 5


@pytest.mark.parametrize(
    ("sizes", "options", "sentence"),
    [
        ((1, 15, 4), {}, "length: expected at least 16 tokens for a list of 4 pairs and 4 questions, got 15"),
        ((1, 23, 4), {"passes": 2}, "length: expected at least 24 tokens"),
        ((1, 16, 0), {}, "pairs: expected at least 1, got 0"),
        ((-1, 16, 2), {}, "batch: expected at least 0, got -1"),
        ((1, 16, 2), {"passes": 0}, "passes: expected at least 1, got 0"),
        ((1, 64, 8), {"vocabulary": 16}, "keys: expected at least 8 to choose from, got 7"),
        ((1, 64, 1), {"vocabulary": 3}, "vocabulary: expected at least 4 ids"),
        ((1, 16, 2), {"power": 0.0}, "power: expected a number above 0, got 0.0"),
        ((1, 16, 2), {"power": float("nan")}, "power: expected a number above 0, got nan"),
    ],
)
def test_impossible_sizes_are_refused_in_a_sentence(sizes, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        mqar(np.random.default_rng(0), *sizes, **options)


def test_too_many_assignments_are_refused_in_a_sentence():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="values: expected at least 9 to choose from, got 8"):
        reassigned_mqar(rng, 1, 64, 3, 3, vocabulary=16)
    with pytest.raises(ValueError, match="assignments: expected at least 1, got 0"):
        reassigned_mqar(rng, 1, 64, 3, 0)
    with pytest.raises(ValueError, match="between: expected at least 0, got -1"):
        reassigned_mqar(rng, 1, 64, 3, 1, between=-1)


@pytest.mark.parametrize("own", [False, True])
def test_the_continuous_form_shows_the_same_list_in_vectors(own):
    rng = np.random.default_rng(15)
    listed = associations(rng, 3, 4, 9, 12, assignments=2, between=1)
    keys, values = (isotropic_unit_keys(rng, (*((3,) if own else ()), n, d)) for n, d in ((9, 5), (12, 6)))
    shown = continuous_recall(listed, keys, values)
    for b in range(3):
        table = (keys[b], values[b]) if own else (keys, values)
        assert np.array_equal(shown.k[b], table[0][listed.keys[b]])
        assert np.array_equal(shown.v[b], table[1][listed.values[b]])
        assert np.array_equal(shown.q[b], table[0][listed.asked[b]])
    assert shown.tokens.shape == (3, 10 + 4, 11)
    assert np.array_equal(shown.tokens[:, :10], np.concatenate([shown.k, shown.v], axis=-1))
    assert np.array_equal(shown.tokens[:, 10:, :5], shown.q)
    assert not shown.tokens[:, 10:, 5:].any()
