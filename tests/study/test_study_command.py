"""`ttr study` as a user runs it: a file of one's own, on workers that have never seen it."""

import json
import re
import subprocess
import sys

import numpy as np
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

    def run(*options, target="mine.py:STUDY", command="study"):
        for cached in (code._source, code._tree, code._syntax):  # every command is a process of its own
            cached.cache_clear()
        for name in ("mine", "asking", *STRANGE):
            sys.modules.pop(name, None)
        status = cli.main([command, target, *options])
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
        "study": "cond", "cells": 4, "stored": 2, "computed": 2, "meanwhile": 0, "failed": 0, "store": "cond.jsonl"
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
    assert (status, said.err.splitlines()[-1]) == (0, "a stranger's word")
    assert said.err.startswith("../up_/and_away: 1 cell, none stored in _._up__and_away.jsonl; computing 1 one by one")
    assert said.out.startswith("../up_/and_away: 1 cell, 0 stored before, 1 computed now")
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["_._up__and_away.jsonl"]


def test_no_more_than_five_failures_are_told_one_by_one(call, tmp_path):
    (tmp_path / "mine.py").write_text(MINE.replace('cell["n"] == 7', 'cell["n"] > 6'))
    status, said = call("--axis", "n=7,8,9,10")
    assert status == 3
    assert [line[:25] for line in said.err.splitlines()[1:6]] == 5 * ['ttr study: failed at {"n"']
    assert said.err.splitlines()[6:] == ["ttr study: 3 cells more failed"]


def test_a_wrong_option_beside_anew_leaves_the_journal(call, tmp_path, monkeypatch):
    assert call("--axis", "n=8")[0] == 0
    before = (tmp_path / "cond.jsonl").read_bytes()
    monkeypatch.setattr("ttr_numerics.study.workers.CONNECTING", 0.5)
    nobody = ("--cluster", "tcp://127.0.0.1:9")
    for wrong in (("--cores", "-1"), ("--parquet", "no/such/file"), nobody):
        assert call("--seed", "3", "--anew", *wrong)[0] == 2
    assert (tmp_path / "cond.jsonl").read_bytes() == before
    assert not (tmp_path / "cond.jsonl.1").exists()


def test_a_run_begins_by_saying_how_much_it_computes_and_where_it_stores(call):
    _, said = call("--axis", "n=8")
    first = "cond: 2 cells, none stored in cond.jsonl; computing 2 one by one; an interrupt keeps what is stored\n"
    assert said.err == first
    _, said = call("--cores", "1")
    begun = r"^cond: 4 cells, 2 stored in cond.jsonl; computing 2 on 1 core \(about \d+ s on one core\); "
    assert re.match(begun, said.err)
    assert call()[1].err == ""


STRANGE = {
    "unclosed": ("x = 1\ny = (\n", "SyntaxError: '(' was never closed (unclosed.py, line 2)"),
    "divides": ("import os\n\nx = 1 / 0\n", "ZeroDivisionError: division by zero (divides.py, line 3)"),
    "leaves": ("raise SystemExit('bye\\nbye')\n", "SystemExit: bye (leaves.py, line 1)"),
    "lacks": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' (lacks.py, line 1)"),
    "raises": ("import json\njson.loads('{')\n", "JSONDecodeError: Expecting property name enclosed in double quotes"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_that_does_not_import_is_one_sentence_with_its_line(call, tmp_path, name):
    text, sentence = STRANGE[name]
    (tmp_path / f"{name}.py").write_text(text)
    for target in (f"{name}.py:STUDY", f"{name}:STUDY"):
        status, said = call(target=target)
        assert (status, said.out, said.err.count("\n")) == (2, "", 1)
        if name != "lacks" or target.endswith(".py:STUDY"):
            assert sentence in said.err
        assert said.err.startswith("ttr study: target: expected ")


ASKING = """
import numpy as np
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    return [{"v": 1.0}]

def divided(T, d):
    return (Grid({"n": (T // (d - d),)}),)

def counted(T, d):
    return (Grid({"n": np.arange(T)}),)

def bare(T, d):
    return Grid({"n": (T,)})

def longer(T, d):
    return (Grid({"n": (T,)}),) if T > 1 else ()

ANY = (Grid({"n": (1,)}),)
DIVIDED = Study("divided", "?", measure, ANY, 0, divided)
COUNTED = Study("counted", "?", measure, ANY, 0, counted)
BARE = Study("bare", "?", measure, ANY, 0, bare)
LONGER = Study("longer", "?", measure, ANY, 0, longer)
"""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "DIVIDED",
            "on_keys: expected grids of divided for one.npz, got ZeroDivisionError: integer division or modulo by zero "
            "(asking.py, line 9)",
        ),
        ("COUNTED", "n: expected a tuple of values, got ndarray (of NumPy: .tolist())"),
        ("BARE", "on_keys: expected a tuple of Grid for bare, got Grid"),
        ("LONGER", "--keys: expected keys that longer can ask something of, got one.npz with 1 token of 4 channels"),
    ],
)
@pytest.mark.parametrize("command", ["study", "report"])
def test_what_cannot_be_asked_of_keys_is_refused_before_any_cell(call, tmp_path, name, sentence, command):
    (tmp_path / "asking.py").write_text(ASKING)
    np.savez(tmp_path / "one.npz", k=np.ones((1, 4)), v=np.ones((1, 4)))
    before = set(tmp_path.iterdir())
    status, said = call("--keys", "one.npz", target=f"asking.py:{name}", command=command)
    assert (status, said.out, said.err) == (2, "", f"ttr {command}: {sentence}\n")
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} == before


@pytest.mark.parametrize("target", ["mine.py:Grid", "mine.py", "none.py:STUDY", "mine.py:NONE", "no_such_module:STUDY"])
def test_what_is_no_study_is_one_sentence(call, target):
    status, said = call(target=target)
    assert status == 2
    assert said.err.startswith("ttr study: target: expected ")
    assert len(said.err.splitlines()) == 1


WORDS = """
import numpy as np
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    if "keys" in cell:
        return [{"rms": float(np.mean(tasks.stored(cell["keys"]).k ** 2) ** 0.5)}]
    return [{"rms": 1.0}]

def asked(T, d):
    return (Grid({"layer": ("linear", "delta"), "n": (T,)}),)

GRIDS = (Grid({"layer": ("linear", "softmax"), "n": (1, 2)}),)
STUDY = Study("words", "?", measure, GRIDS, 0, asked, ("minilm_layer0",))
"""


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "asking.py").write_text(WORDS)
    np.savez(tmp_path / "mine.npz", k=np.ones((3, 4)), v=np.ones((3, 4)))


@pytest.mark.parametrize(("value", "said"), [("linar", "linar"), ("linear,softmx", "softmx"), ("3", "3")])
def test_a_misspelt_word_is_refused_with_those_there_are(call, keys, value, said):
    status, told = call("--axis", f"layer={value}", "--keys", "mine.npz", target="asking.py:STUDY")
    assert (status, told.err) == (2, f"ttr study: axis: expected layer of linear, delta, got {said}\n")
    assert call("--axis", "n=3", "--axis", "layer=delta", "--keys", "mine.npz", target="asking.py:STUDY")[0] == 0


def test_of_a_users_keys_nothing_else_is_measured_and_a_report_says_how_many_are_his(call, keys):
    status, told = call("--keys", "mine.npz", target="asking.py:STUDY")
    assert (status, told.out.split(",")[:3]) == (0, ["words: 2 cells", " 0 stored before", " 2 computed now"])
    status, told = call("--keys", "mine.npz", "--cores", "1", target="asking.py:STUDY", command="report")
    assert status == 0
    assert told.err.startswith("words: 2 of 6 cells are of mine.npz, the others what its page compares them with\n")


REGISTRY = """
from ttr_numerics.publish import Analyses

def registered():
    return Analyses("analysis", ("posed",), (), "A page", "Of one study.")
"""
RENDER = """
__all__ = ["STUDY", "render"]

from ttr_numerics.report import Section

def render(rows):
    return Section("posed", "Posed", "?", f"{len(rows)} rows.", "Rows.", (), (), ())
"""


def test_a_report_renders_what_a_study_of_the_same_name_measured(tmp_path):
    def command(*words):
        line = [sys.executable, "-m", "ttr_numerics.cli", *words]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    (tmp_path / "analysis" / "posed").mkdir(parents=True)
    (tmp_path / "analysis" / "__init__.py").touch()
    (tmp_path / "analysis" / "__main__.py").write_text(REGISTRY)
    posed = MINE.replace('Study("cond"', 'Study("posed"').replace("measure", "measure_cell")
    (tmp_path / "analysis" / "posed" / "__init__.py").write_text(posed + RENDER)
    told = command("study", "posd")
    assert (told.returncode, told.stderr) == (
        2,
        "ttr study: target: expected one of posed, or file.py:STUDY, got posd\n",
    )
    assert command("study", "posed", "--dry-run").returncode == 0
    assert not (tmp_path / ".studies").exists()
    assert command("study", "posed").stdout.endswith(" in .studies/posed.jsonl\n")
    before = (tmp_path / ".studies" / "posed.jsonl").read_bytes()
    for options in ((), ("--store", ".studies/posed.jsonl", "--cores", "1")):
        assert command("report", "posed", *options).returncode == 0
    assert (tmp_path / ".studies" / "posed.jsonl").read_bytes() == before
    told = command("report", "posed", "--library", "torch")
    assert told.stderr == "ttr report: --library: expected one of numpy for posed, got torch\n"
    told = command("report", "posed", "--cluster", "tcp://127.0.0.1:9", "--cores", "2")
    assert told.stderr == "ttr report: --cores: expected without --cluster, got both\n"


def test_a_dry_run_says_on_how_many_cores_what_failed_before_and_what_fails_now(call):
    assert call("--axis", "n=7")[0] == 3
    status, told = call("--axis", "n=7", "--cores", "2", "--dry-run")
    assert status == 0
    assert told.out == (
        "cond: 2 of 2 cells are missing (2 failed before), how long they take is not known; "
        "a timed cell failed: ValueError: seven\n"
    )
    told = call("--cores", "2", "--dry-run")[1]
    assert re.match(r"cond: 4 of 4 cells are missing, about 0 s on 2 cores \(4 cells of them timed\)$", told.out)
