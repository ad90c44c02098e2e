"""What a stranger's study may do: one clear sentence, a status, and no row lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ttr_numerics import cli
from ttr_numerics.study import Grid, Store, Study, run
from ttr_numerics.study.failure import placed_sentence, sentence

ROOT = Path(__file__).parents[2]


class SilentError(Exception):
    """Cannot say what is wrong."""

    def __str__(self):
        raise RuntimeError


def strange(cell, rng):
    """Rows that cannot be stored, and what else a cell may do."""
    match cell["n"]:
        case "generator":
            return ({"v": n} for n in range(2))
        case "nested":
            return [{"v": [1, [2]]}]
        case "vast":
            return [{"v": 10**5000}]
        case "stopped":
            return iter([{"v": 1}, SilentError()])
        case "left":
            raise GeneratorExit
        case "coloured":
            raise ValueError("\x1b[31mred\x07\nand more")
        case "silent":
            raise SilentError
    return [dict(cell)]


def test_whatever_a_cell_does_is_its_own_answer(tmp_path):
    names = ("generator", "nested", "vast", "stopped", "left", "coloured", "silent", float("nan"))
    study = Study("strange", "?", strange, (Grid({"n": names}),))
    store = Store(tmp_path / "rows.jsonl")
    assert run(study, store).failed == 6
    found = {entry.cell["n"]: entry for entry in Store(store.path).entries().values()}
    assert [entry.error for entry in found.values()] == [
        None,
        "ValueError: row 1, v: expected text, a number, a truth value or None, got list",
        "ValueError: row 1, v: expected a whole number of at most 4000 digits, got one of more",
        "ValueError: row 2: expected a dict, got SilentError",
        "GeneratorExit",
        "ValueError: [31mred",
        "SilentError",
        None,
    ]
    assert found["generator"].rows == ({"v": 0}, {"v": 1})


def test_a_failure_is_placed_in_the_strangers_line_not_in_a_library():
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (its sentence is the library's)
        json.loads("{")
    line = raised.tb.tb_lineno
    assert placed_sentence(raised.value) == f"{sentence(raised.value)} (test_strangers.py, line {line})"


WRONG = """
import time
from ttr_numerics.study import Grid, Study

def one(cell, rng):
    return [{"v": 1.0, "vast": 10**30}]

def other(cell, rng):
    time.sleep(0.1)
    return [{"v": 2.0, "text": "x" * 3000}]

ANY = (Grid({"n": (1, 2)}),)
HUGE = Study("huge", "?", one, (Grid({"n": (10**5000,)}),))
HALF = Study("half", "?", one, (Grid({"n": ("\\ud800",)}),))
NAMED = Study("named", "?", one, (Grid({"keys": ("k",)}),))
ENDLESS = Study("endless", "?", one, (Grid({axis: tuple(range(100)) for axis in "abcde"}),))
NOBODY = Study("nobody", "?", None, ANY)
NOTHING = Study("nothing", None, one, ANY)
LETTERS = Study("letters", "?", one, ANY, 0, lambda T, d: ANY, "minilm_layer0")
FIRST = Study("twins", "?", one, ANY)
SECOND = Study("twins", "?", other, ANY)
GOOD = Study("good", "?", one, ANY)
SLOW = Study("slow", "?", other, (Grid({"n": tuple(range(100))}),))
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strangers.py").write_text(WRONG)

    def called(name, *options, command="study"):
        sys.modules.pop("strangers", None)
        return cli.main([command, f"strangers.py:{name}", *options]), capsys.readouterr()

    return called


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("HUGE", "n: expected whole numbers of at most 4000 digits, got one of more"),
        ("HALF", "n: expected text of whole characters, got half of a pair (surrogate)"),
        ("NAMED", "axes: expected other names than keys, content, library, which are given, got keys"),
        ("ENDLESS", "grids: expected at most 1,000,000 cells for endless, got 10,000,000,000"),
        ("NOBODY", "measure: expected a function for nobody, got NoneType"),
        ("NOTHING", "question: expected a text for nothing, got NoneType"),
        ("LETTERS", "sources: expected a tuple of names for letters, got str"),
        ("FIRST", "name: expected each study of a module under a name of its own, got 'twins' twice, for SECOND too"),
    ],
)
def test_a_study_that_cannot_be_stored_is_refused_before_any_cell(call, tmp_path, name, said):
    status, told = call(name)
    assert (status, told.out, told.err) == (2, "", f"ttr study: {said}\n")
    assert list(tmp_path.glob("*.jsonl")) == []


@pytest.mark.parametrize("command", ["study", "report"])
def test_a_file_of_something_else_is_no_journal_and_stays(call, tmp_path, command):
    status, told = call("GOOD", "--store", "strangers.py", command=command)
    said = f"ttr {command}: --store: expected a journal of rows, got strangers.py, which holds something else\n"
    assert (status, told.out, told.err) == (2, "", said)
    assert (tmp_path / "strangers.py").read_text() == WRONG


def test_neither_a_folder_nor_a_device_is_a_journal(call, tmp_path):
    for place in (str(tmp_path), os.devnull):
        status, told = call("GOOD", "--store", place)
        assert (status, told.err) == (2, f"ttr study: --store: expected a file in an existing folder, got {place}\n")


def test_a_folder_that_cannot_be_written_is_found_before_measuring(call, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    status, told = call("GOOD")
    assert (status, told.err) == (2, "ttr study: --store: expected a file that can be written, got good.jsonl\n")


def test_lines_that_cannot_be_read_are_counted_and_their_cells_computed_again(call, tmp_path):
    assert call("GOOD")[0] == 0
    journal = tmp_path / "good.jsonl"
    first, second, third = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"\xff[[\n" + first + b"[" * 100_000 + b'\n{"key": [1]}\n' + second + third[:-40])
    status, told = call("GOOD")
    assert status == 0
    assert "1 stored in good.jsonl (3 lines of it cannot be read); computing 1" in told.err
    assert " 1 stored before, 1 computed now, 0 failed" in told.out
    assert call("GOOD")[1].out.startswith("good: 2 cells, 2 stored before, 0 computed now")


def test_a_vast_number_is_stored_and_refused_as_parquet(call, tmp_path):
    status, told = call("GOOD", "--parquet", "rows.parquet")
    assert status == 2
    assert told.err.splitlines()[-1].startswith("ttr study: --parquet: expected what a column can hold, got ")
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"strangers.py", "good.jsonl"}


def started(tmp_path, *options, limit=None):
    def limited():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "ttr_numerics.cli", "study", "strangers.py:SLOW", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=limited,
    )  # fmt: skip


def test_a_full_disk_is_one_sentence_and_what_was_stored_is_read(call, tmp_path):
    process = started(tmp_path, limit=20_000)
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[-1] == "ttr study: cannot write slow.jsonl: File too large"
    kept = len(Store(tmp_path / "slow.jsonl").entries())
    assert kept > 0
    process = started(tmp_path, "--axis", "n=0,1,2,3")
    out, _ = process.communicate()
    assert out.startswith(f"slow: 4 cells, {min(kept, 4)} stored before")


def test_an_interrupt_of_a_run_on_two_cores_is_said_once_and_keeps_the_rows(call, tmp_path):
    process = started(tmp_path, "--cores", "2")
    store = Store(tmp_path / "slow.jsonl")
    while len(store.entries()) < 3 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    kept = len(store.entries())
    said = [line for line in err.splitlines() if " done after " not in line]
    assert said[1:] == [
        f"slow: {kept} of 100 cells in slow.jsonl; the same command goes on from there",
        "ttr study: interrupted",
    ]
