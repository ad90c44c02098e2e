"""What analyses share: rows by their values, means beyond some standard errors by chance, what stored keys are."""

import math

from analysis.chance import expected_beyond
from analysis.rows import chosen, values
from analysis.sources import quantised


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
