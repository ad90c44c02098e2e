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
        (("--axis", "n"), "--axis: expected NAME=V1,V2, got n"),
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


@pytest.mark.parametrize("target", ["mine.py:Grid", "mine.py", "none.py:STUDY", "mine.py:NONE", "no_such_module:STUDY"])
def test_what_is_no_study_is_one_sentence(call, target):
    status, said = call(target=target)
    assert status == 2
    assert said.err.startswith("ttr study: target: expected ")
    assert len(said.err.splitlines()) == 1
