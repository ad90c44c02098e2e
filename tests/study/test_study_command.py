"""`ttr study` as a user runs it: a file of one's own, on workers that have never seen it."""

import json
import sys

import pytest

from ttr_numerics import cli
from ttr_numerics.study import code

MINE = """
import numpy as np
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    if cell["n"] == 7:
        raise ValueError("seven")
    return [{"cond": float(np.linalg.cond(rng.standard_normal((cell["n"], cell["d"]))))}]

STUDY = Study("cond", "How well conditioned are random keys?", measure, (Grid({"n": (8, 16), "d": (2, 4)}),))
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)

    def run(*options, target="mine.py:STUDY"):
        for cached in (code._source, code._tree, code._syntax):  # every command is a process of its own
            cached.cache_clear()
        sys.modules.pop("mine", None)
        status = cli.main(["study", target, *options])
        return status, capsys.readouterr()

    return run


def test_run_stop_and_go_on(call, tmp_path):
    status, said = call("--dry-run")
    assert (status, said.out.split(",")[0]) == (0, "cond: 4 of 4 cells are missing")
    assert not (tmp_path / "cond.jsonl").exists()
    status, said = call("--axis", "n=8")
    assert (status, said.out) == (0, "cond: 2 cells, 0 stored before, 2 computed now, 0 failed; rows in cond.jsonl\n")
    status, said = call("--cores", "1", "--parquet", "rows.parquet", "--json")
    assert status == 0
    assert json.loads(said.out) == {
        "study": "cond", "cells": 4, "stored": 2, "computed": 2, "failed": 0, "store": "cond.jsonl"
    }  # fmt: skip
    assert (tmp_path / "rows.parquet").stat().st_size


def test_a_failed_cell_is_told_and_gives_status_3(call):
    status, said = call("--axis", "n=7,8")
    assert status == 3
    assert 'failed at {"n": 7, "d": 2}: ValueError: seven' in said.err


def test_rows_of_another_seed_or_code_are_not_built_upon(call, tmp_path):
    assert call("--axis", "n=8")[0] == 0
    status, said = call("--seed", "3")
    assert status == 2
    assert "seed 0 there, 3 here (--anew sets that journal aside" in said.err
    (tmp_path / "mine.py").write_text(MINE.replace("np.linalg.cond(", "2 * np.linalg.cond("))
    status, said = call()
    assert status == 2
    assert "other code in mine" in said.err
    before = (tmp_path / "cond.jsonl").read_bytes()
    assert call("--anew", "--dry-run")[0] == 0
    assert (tmp_path / "cond.jsonl").read_bytes() == before
    status, said = call("--anew")
    assert (status, said.out.split(",")[1:3]) == (0, [" 0 stored before", " 4 computed now"])
    assert (tmp_path / "cond.jsonl.1").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--axis", "m=1"), "axis: expected one of n, d, got m"),
        (("--axis", "d=three"), "axis: expected values of d like 2, got three"),
        (("--axis", "n"), "--axis: expected NAME=V1,V2, got n"),
        (("--axis", "n=8", "--axis", "n=9"), "--axis: expected each axis once, as n=V1,V2, got n 2 times"),
        (("--seed", "-1"), "--seed: expected at least 0, got -1"),
        (("--library", "cupy"), "--library: expected one of numpy for cond, got cupy"),
        (("--keys", "no.npz"), "--keys: expected a study of stored keys, got cond, which asks nothing of them"),
        (("--cores", "-1"), "--cores: expected at least 0, got -1"),
        (("--cores", "1", "--cluster", "tcp://127.0.0.1:9"), "--cores: expected without --cluster, got both"),
        (("--store", "no/such/file"), "--store: expected a file in an existing folder, got no/such/file"),
    ],
)
def test_wrong_options_are_one_sentence(call, options, sentence):
    status, said = call(*options)
    assert (status, said.err) == (2, f"ttr study: {sentence}\n")


WRONG = """
import sys
import numpy as np
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    print("a stranger's word")
    return [{"v": 1.0}]

ARRAY = Study("array", "?", measure, (Grid({"n": np.arange(3)}),))
SCALARS = Study("scalars", "?", measure, (Grid({"n": tuple(np.arange(3))}),))
LETTERS = Study("letters", "?", measure, (Grid({"n": "abc"}),))
PAIRS = Study("pairs", "?", measure, (Grid({"n": ((1, 2), (3, 4))}),))
ONE = Study("one", "?", measure, Grid({"n": (1,)}))
PLAIN = Study("plain", "?", measure, ({"n": (1,)},))
NEGATIVE = Study("negative", "?", measure, (Grid({"n": (1,)}),), seed=-1)
NOTHING = Study("nothing", "?", measure, (Grid({"n": ()}),))
NAMELESS = Study(" ", "?", measure, (Grid({"n": (1,)}),))
LONG = Study("n" * 300, "?", measure, (Grid({"n": (1,)}),))
PRINTING = Study("printing", "?", measure, (Grid({"n": (1, 2)}),))
AWAY = Study("../up\\n/and\\0away", "?", measure, (Grid({"n": (1,)}),))
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ARRAY", "n: expected a tuple of values, got ndarray (of NumPy: .tolist())"),
        ("SCALARS", "n: expected numbers, texts, truth values or None, got numpy.int64 (of NumPy: .tolist())"),
        ("LETTERS", "n: expected a tuple of values, got str (of NumPy: .tolist())"),
        ("PAIRS", "n: expected numbers, texts, truth values or None, got tuple (of NumPy: .tolist())"),
        ("ONE", "grids: expected a tuple of Grid for one, got Grid"),
        ("PLAIN", "grids: expected Grid({axis: values}) for plain, got dict"),
        ("NEGATIVE", "seed: expected a whole number of at least 0 for negative, got -1"),
        ("NOTHING", "target: expected a study of at least one cell, got nothing, which asks nothing"),
        ("NAMELESS", "name: expected a text of 1 to 200 bytes, got ' '"),
        ("LONG", f"name: expected a text of 1 to 200 bytes, got '{'n' * 40}'"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused_before_any_cell(call, tmp_path, name, sentence):
    (tmp_path / "wrong.py").write_text(WRONG)
    before = set(tmp_path.iterdir())
    status, said = call(target=f"wrong.py:{name}")
    assert (status, said.out, said.err) == (2, "", f"ttr study: {sentence}\n")
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == before


def test_what_a_cell_prints_is_not_the_answer(call, tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    status, said = call("--json", target="wrong.py:PRINTING")
    assert (status, json.loads(said.out)["computed"]) == (0, 2)
    assert said.err.count("a stranger's word") == 2


def test_no_name_of_a_study_leaves_the_folder(call, tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    status, said = call(target="wrong.py:AWAY")
    assert (status, said.err) == (0, "a stranger's word\n")
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["_._up__and_away.jsonl"]


def test_no_more_than_five_failures_are_told_one_by_one(call, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.replace('cell["n"] == 7', 'cell["n"] > 6'))
    status, said = call("--axis", "n=7,8,9,10")
    assert status == 3
    assert said.err.splitlines()[5:] == ["ttr study: 3 cells more failed"]


def test_a_wrong_option_beside_anew_leaves_the_journal(call, tmp_path):
    assert call("--axis", "n=8")[0] == 0
    before = (tmp_path / "cond.jsonl").read_bytes()
    for wrong in (("--cores", "-1"), ("--parquet", "no/such/file")):
        assert call("--seed", "3", "--anew", *wrong)[0] == 2
    assert (tmp_path / "cond.jsonl").read_bytes() == before


@pytest.mark.parametrize("target", ["mine.py:Grid", "mine.py", "none.py:STUDY", "mine.py:NONE", "no_such_module:STUDY"])
def test_what_is_no_study_is_one_sentence(call, target):
    status, said = call(target=target)
    assert status == 2
    assert said.err.startswith("ttr study: target: expected ")
    assert len(said.err.splitlines()) == 1
