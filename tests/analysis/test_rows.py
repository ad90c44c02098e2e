"""What analyses share: rows by their values, means beyond some standard errors by chance, what stored keys are."""

import math

import numpy as np
import pytest

from analysis.chance import expected_beyond
from analysis.directed import directed
from analysis.rows import chosen, values
from analysis.sources import left_out, quantised, stored_names
from analysis.words import short, span
from tests.analysis.odd_keys import written
from ttr_numerics import tasks


def test_two_repetitions_make_cauchys_tail():
    # t with one degree of freedom is Cauchy's law; a few roundings of numbers below 1.
    for limit in (1.0, 3.0):
        cauchy = 1 - 2 / math.pi * math.atan(limit)
        assert abs(expected_beyond([2, 2, 2], limit) - 3 * cauchy) <= 64 * 2.0**-53


def test_rows_without_a_field_are_not_chosen_by_it():
    rows = [{"d": 2, "n": 1}, {"n": 1}, {"d": 1}]
    assert chosen(rows, d=2) == rows[:1]
    assert values(chosen(rows, n=1)[:1] + rows[2:], "d") == [2, 1]


def test_only_quantised_sources_are_said_to_be():
    assert not quantised([{"source": "mine"}, {"source": "MiniLM layer 5"}])
    assert "4-bit" in quantised([{"source": "SmolLM2 layer 15 (4-bit weights)"}])


def test_tokens_without_a_direction_are_left_out_and_counted(tmp_path):
    whole, nothing = directed("minilm_layer0")
    assert nothing == {}
    assert np.array_equal(whole.k, tasks.stored("minilm_layer0").k)
    path = written(tmp_path, "zero keys")
    found, said = directed(path)
    kept = [t for t in range(40) if t not in (3, 7)]
    assert said == {"left_out": 2}
    before = tasks.stored(path)
    assert all(np.array_equal(getattr(found, name), getattr(before, name)[:, kept]) for name in "qkv")
    rows = [{"source": found.name, "keys": path, **said}, {"source": "random"}]
    assert stored_names(rows) == [found.name]
    assert "2 tokens of zero keys" in left_out(rows)[0]


def test_keys_that_are_all_zero_are_refused(tmp_path):
    path = tmp_path / "none.npz"
    np.savez(path, k=np.zeros((1, 3, 2)), v=np.ones((1, 3, 2)))
    with pytest.raises(ValueError, match="no key and no query of norm 0, got none"):
        directed(str(path))


def test_numbers_of_a_sentence_are_said_once_and_short():
    assert span([0.124, 0.1239]) == "0.12"
    assert span([1e6, 1.0], short) == "1 to 10⁶"
