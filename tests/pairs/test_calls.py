"""Calls: published layers that are a row's layer on certain arrays, said in the catalogue and on the command line."""

import json
import re

import pytest

from ttr_numerics import catalogue, cli, features, gates
from ttr_numerics.pairs import pairing

CALLS = [(row.name, call) for row in catalogue() for call in row.calls]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[f"{name}-{call.name}" for name, call in CALLS])
def test_a_call_says_how_in_names_that_exist(name, call):
    assert all(text and text == text.strip() for text in (call.name, call.how, call.source))
    for room, public in (("features", features), ("gates", gates)):
        assert set(re.findall(rf"{room}\.(\w+)", call.how)) <= set(public.__all__)


def test_no_row_names_a_call_twice():
    for row in catalogue():
        assert len({call.name for call in row.calls}) == len(row.calls)


def test_layers_prints_the_calls_and_both_targets(capsys):
    assert cli.main(["layers"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "calls: RetNet: log_decay = gates.retnet(heads), constant in time; q over √d (arXiv 2307.08621);" in printed
    assert "their channel mean) or least squares on aged keys" in printed
    assert printed.count(" calls: ") == sum(bool(row.calls) for row in catalogue())


def test_layers_json_has_the_calls_as_values(capsys):
    assert cli.main(["layers", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    calls = pairing("gated_linear_attention").calls
    assert [call["name"] for call in rows["gated_linear_attention"]["calls"]] == [call.name for call in calls]
    assert rows["softmax_attention"]["calls"] == [vars(call) for call in pairing("softmax_attention").calls]
