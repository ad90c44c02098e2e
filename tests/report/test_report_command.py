"""`ttr report` as a user runs it: on a study of one's own, on one's own keys, and in a checkout of the repository."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analysis.__main__ as registry
from tests.report import test_runner
from ttr_numerics import cli
from ttr_numerics.pairs import catalogue
from ttr_numerics.publish.catalogue import catalogue_table
from ttr_numerics.report import read_study
from ttr_numerics.study import Grid, Study, code

MINE = """
import os
from pathlib import Path

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    with Path("calls").open("a") as calls:
        calls.write("x")
    if cell["n"] == 7 and not Path("mended").exists():
        raise ValueError("seven")
    x = rng.standard_normal((20, cell["n"])) ** 2
    return [
        {"layer": layer, "value": float(x.mean()), "low": float(x.mean() - x.std()), "high": float(x.mean() + x.std()),
         "largest": float(x.max()), "sound": True}
        for layer in ("one <b>", "two")
    ]

def of_keys(cell, rng):
    k = tasks.stored(cell["keys"]).k
    return [{"rms": float(np.mean(k[:, : cell["n"]] ** 2) ** 0.5)}]

def asked(T, d):
    return (Grid({"n": (2, T)}),)

STUDY = Study("Sizes of <i>squares", "How large?", measure, (Grid({"n": (1, 2, 4, 8), "d": (2, 4)}),), 3)
FAILING = Study("failing", "What if?", measure, (Grid({"n": (1, 7, 8)}),))
KEYS = Study("keys", "What of keys?", of_keys, (), 3, asked, ("minilm_layer0",))
WORDS = Study("words", "What if nothing is a number?", lambda cell, rng: [{"said": "so"}], (Grid({"w": ("a", "b")}),))
"""

RENDERED = (
    MINE
    + """
from ttr_numerics.report import Figure, Measured, Panel, Section

def render(rows):
    line = Measured("m", [row["n"] for row in rows], [row["value"] for row in rows])
    figure = Figure("own", (Panel("a", "n", "value", (line,)),), "Mine.", "Caption.")
    return Section("mine", "My own", "How?", "So.", "Nothing.", (figure,))
"""
)

Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "rendered.py").write_text(RENDERED, encoding="utf-8")

    def run(*arguments: str, command: str = "report") -> tuple[int, Any]:
        for name in ("mine", "rendered"):  # every command is a process of its own
            sys.modules.pop(name, None)
        status = cli.main([command, *(("--cores", "1") if command == "report" else ()), *arguments])
        return status, capsys.readouterr()

    return run


def files(folder: Path) -> set[str]:
    """All but what the interpreter keeps of modules it has loaded."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def nothing_left(folder: Path) -> bool:
    """No file, and no empty folder either."""
    return {path.name for path in folder.iterdir()} <= {"mine.py", "rendered.py", "__pycache__"}


def refused(said: Any) -> str:
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    return str(said.err)


def test_a_study_without_a_section_gets_one_of_its_rows(call: Call, tmp_path: Path) -> None:
    status, said = call("mine.py:STUDY")
    assert (status, said.err) == (0, "")
    assert "The page is report/index.html: 1 report." in said.out
    name = "sizes_of_i_squares"
    assert files(tmp_path / "report") == {"index.html", f"{name}.md", f"{name}.jsonl", f"figures/{name}-rows.svg"}
    stored = read_study(tmp_path / "report" / f"{name}.jsonl")
    assert (stored.command, stored.question, stored.seed) == ("ttr report mine.py:STUDY", "How large?", 3)
    assert len(stored.rows) == 16
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Sizes of &lt;i&gt;squares" in page
    (payload,) = [text.split("</script>")[0] for text in page.split('<script type="application/json">')[1:]]
    panels = json.loads(payload)["panels"]
    assert [panel["title"] for panel in panels] == ["largest", "value"]
    series = panels[1]["series"]
    assert [one["label"] for one in series] == [
        "d 2, layer one <b>",
        "d 2, layer two",
        "d 4, layer one <b>",
        "d 4, layer two",
    ]
    assert {one["layer"] for one in series} == {"one <b>", "two"}
    assert all("low" in one for one in series)
    assert all("low" not in one for one in panels[0]["series"])


def test_what_is_stored_is_not_measured_again_and_render_only_measures_nothing(call: Call, tmp_path: Path) -> None:
    assert call("mine.py:STUDY")[0] == 0
    measured = (tmp_path / "calls").stat().st_size
    page = (tmp_path / "report" / "index.html").read_bytes()
    assert call("mine.py:STUDY")[0] == 0
    assert call("mine.py:STUDY", "--render-only")[0] == 0
    assert (tmp_path / "calls").stat().st_size == measured == 8
    assert (tmp_path / "report" / "index.html").read_bytes() == page


def test_rows_of_ttr_study_are_built_upon(call: Call, tmp_path: Path) -> None:
    assert call("mine.py:STUDY", command="study")[0] == 0
    measured = (tmp_path / "calls").stat().st_size
    assert call("mine.py:STUDY")[0] == 0
    assert (tmp_path / "calls").stat().st_size == measured


def test_a_modules_own_section_is_taken(call: Call, tmp_path: Path) -> None:
    assert call("rendered.py:STUDY", "--out", "there")[0] == 0
    assert "My own" in (tmp_path / "there" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "there" / "figures" / "mine-own.svg").exists()
    assert not (tmp_path / "report").exists()


def test_a_failed_cell_gives_status_3_and_a_report_of_the_others(call: Call, tmp_path: Path) -> None:
    status, said = call("mine.py:FAILING")
    assert status == 3
    assert "a cell failed at {'n': 7}: ValueError: seven" in said.err
    markdown = (tmp_path / "report" / "failing.md").read_text(encoding="utf-8")
    assert "1 of 3 cells have no row." in markdown
    (tmp_path / "mended").touch()
    assert call("mine.py:FAILING")[0] == 0
    assert "have no row" not in (tmp_path / "report" / "failing.md").read_text(encoding="utf-8")


def test_a_modules_own_section_is_never_made_of_part_of_its_grid(call: Call, tmp_path: Path) -> None:
    status, said = call("rendered.py:FAILING")
    assert (status, said.out.strip()) == (3, "")
    assert files(tmp_path / "report") == set()


def test_a_users_keys_take_the_place_of_the_shipped_ones(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    k = rng.standard_normal((2, 40, 8))
    np.savez(tmp_path / "my keys.npz", q=k, k=k, v=k)
    assert call("mine.py:KEYS", "--keys", "my keys.npz")[0] == 0
    stored = read_study(tmp_path / "report" / "keys.jsonl")
    assert [(row["keys"], row["n"]) for row in stored.rows] == [("my keys.npz", 2), ("my keys.npz", 40)]
    assert stored.rows[1]["rms"] == pytest.approx(float(np.mean(k**2) ** 0.5), rel=1600 * 2.0**-53)  # a sum of 640
    assert stored.command == "ttr report mine.py:KEYS --keys 'my keys.npz'"


def test_a_study_of_words_is_a_table(call: Call, tmp_path: Path) -> None:
    assert call("mine.py:WORDS")[0] == 0
    markdown = (tmp_path / "report" / "words.md").read_text(encoding="utf-8")
    assert "| a | so |" in markdown
    assert "No figure: no axis of the grid has two numbers." in markdown


HOSTILE = """
from ttr_numerics.study import Grid, Study

def measure(cell, rng):
    print("a stranger's word")
    return [{"none": float("nan"), "none_low": 0.0, "none_high": 1.0, "vast": 10**400, "error": 1.0 / cell["n"]}]

def same(cell, rng):
    return [{"error": 1.0 / cell["n"]}]

STUDY = Study("hostile", "?", measure, (Grid({"n": (1, 2, float("inf"))}),))
ALIKE = (1, "1", True, None, "None", "_x", "$\\\\frac{", "\u5927")
WORDS = Study("words", "?", same, (Grid({"n": (1, 2), "_w": ALIKE}),))
FIRST = Study("\u5927\u304d\u3055", "?", same, (Grid({"n": (1, 2)}),))
SECOND = Study("\u5c0f\u3055\u3055", "?", same, (Grid({"n": (1, 2)}),))
EMPTY = Study("empty", "?", same, (Grid({"n": ()}),))
"""


def test_what_a_figure_cannot_show_is_in_the_table_and_said(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rendered.py").write_text(HOSTILE, encoding="utf-8")
    status, said = call("rendered.py:STUDY", "--json")
    assert (status, json.loads(said.out)["shown"]) == (0, ["hostile"])  # whatever a cell prints
    assert said.err.count("a stranger's word") == 3
    markdown = (tmp_path / "report" / "hostile.md").read_text(encoding="utf-8")
    assert "| n | error | none | none_high | none_low | vast |" in markdown
    assert "Not drawn, as they have no number that a figure can show: none, vast." in markdown
    assert "have no row" not in markdown
    assert "## error over n." in markdown


def test_lines_whose_values_read_alike_are_told_apart(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rendered.py").write_text(HOSTILE, encoding="utf-8")
    assert call("rendered.py:WORDS")[0] == 0
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    (payload,) = [text.split("</script>")[0] for text in page.split('<script type="application/json">')[1:]]
    words = ["1", "'1'", "True", "None", "'None'", "_x", "$\\frac{", "\u5927"]
    assert [one["label"] for one in json.loads(payload)["panels"][0]["series"]] == [f"_w {word}" for word in words]


def test_names_without_a_latin_letter_are_told_apart(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rendered.py").write_text(HOSTILE, encoding="utf-8")
    assert call("rendered.py:FIRST", "rendered.py:SECOND")[0] == 0
    assert len(list((tmp_path / "report").glob("study_*.md"))) == 2


def test_a_study_of_no_cell_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rendered.py").write_text(HOSTILE, encoding="utf-8")
    status, said = call("rendered.py:EMPTY")
    assert (status, refused(said)) == (
        2,
        "ttr report: target: expected a study of at least one cell, got empty, which asks nothing\n",
    )
    assert not (tmp_path / "report").exists()


def test_the_summary_as_json(call: Call) -> None:
    status, said = call("mine.py:STUDY", "--json")
    found = json.loads(said.out)
    assert (status, found["page"], found["shown"], found["failures"]) == (
        0,
        "report/index.html",
        ["sizes_of_i_squares"],
        [],
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "expected a study of yours, file.py:STUDY, or a folder with the package `analysis`"),
        (("nobody",), "There is no analysis 'nobody'; there are recall_error,"),
        (("nofile.py:STUDY",), "target: expected a Python file, got nofile.py"),
        (("mine.py:measure",), "target: expected a Study, got function measure"),
        (("mine.py:NOTHING",), "target: expected NOTHING in mine.py, got no such name"),
        (("mine.py:KEYS", "--keys", "gone.npz"), "gone.npz"),
        (("mine.py:STUDY", "--keys", "mine.py"), "--keys: expected a study of stored keys"),
        (("mine.py:STUDY", "--out", "mine.py/there"), "Cannot write to mine.py/there"),
        (("mine.py:STUDY", "--render-only"), "There are no stored rows"),
        (("mine.py:STUDY", "mine.py:STUDY"), "Expected reports of different names"),
        (("mine.py:STUDY", "mine.py:KEYS", "--store", "a.jsonl"), "--store: expected one study"),
        (("mine.py:FAILING", "--store", "report/failing.jsonl"), "--out: expected another folder than"),
        (("mine.py:STUDY", "--cores", "-1"), "--cores: expected at least 0"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    status, said = call(*arguments)
    assert status == 2
    assert sentence in refused(said)
    assert not (tmp_path / "calls").exists()
    assert files(tmp_path) == {"mine.py", "rendered.py"} or files(tmp_path) == {"mine.py"}
    assert nothing_left(tmp_path)


def test_a_run_that_makes_no_report_leaves_no_folder_but_one_that_was_there(call: Call, tmp_path: Path) -> None:
    assert call("mine.py:STUDY", "--render-only", "--out", "a/b/c")[0] == 2
    assert nothing_left(tmp_path)
    (tmp_path / "there").mkdir()
    assert call("rendered.py:FAILING", "--out", "there/below")[0] == 3
    assert list((tmp_path / "there").iterdir()) == []


def test_a_render_that_fails_is_one_sentence_with_its_line(call: Call, tmp_path: Path) -> None:
    failing = RENDERED.replace("    figure = Figure(", "    1 / 0\n    figure = Figure(")
    (tmp_path / "rendered.py").write_text(failing, encoding="utf-8")
    line = failing.splitlines().index("    1 / 0") + 1
    status, said = call("rendered.py:STUDY")
    assert status == 2
    assert f"`render` draws, got ZeroDivisionError: division by zero (rendered.py, line {line})" in refused(said)


def test_an_interrupt_is_status_130_and_keeps_the_cells_that_were_measured(call: Call, tmp_path: Path) -> None:
    stop = "    if cell['n'] == 4 and not Path('mended').exists():\n        raise KeyboardInterrupt\n"
    text = MINE.replace("    x = rng.standard_normal((20", stop + "    x = rng.standard_normal((20")
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    for cached in (code._source, code._tree, code._syntax):
        cached.cache_clear()
    status, said = call("mine.py:STUDY")
    assert (status, said.err.splitlines()[-1]) == (130, "ttr report: interrupted")
    assert not (tmp_path / "report" / "index.html").exists()
    (tmp_path / "mended").touch()
    assert call("mine.py:STUDY")[0] == 0
    for cached in (code._source, code._tree, code._syntax):
        cached.cache_clear()
    # Two of n = 1, two of n = 2, the one that was interrupted; then the four that were left.
    assert (tmp_path / "calls").stat().st_size == 9


def test_in_a_checkout_the_analyses_go_to_its_reports(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = type(sys)("analysis.fake", "Does it grow?")
    fake.__dict__.update(SEED=5, measure=test_runner.measure, render=test_runner.render)
    monkeypatch.setitem(sys.modules, "analysis.fake", fake)
    monkeypatch.setattr(registry, "ANALYSES", ("fake",))
    monkeypatch.setattr(registry, "ON_REQUEST", ())
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__main__.py").touch()
    status, said = call()
    assert (status, said.err) == (0, "")
    assert files(tmp_path / "reports") == {"fake.jsonl", "fake.md", "figures/fake-line.svg", "index.html"}
    by_command = (tmp_path / "reports" / "index.html").read_bytes()
    assert b'<section id="catalogue"' in by_command
    assert registry.main(["--out", "again"]) == 0
    assert (tmp_path / "again" / "index.html").read_bytes() == by_command


def test_the_catalogue_of_the_page_is_the_catalogue() -> None:
    table = catalogue_table()
    assert [row[0] for row in table.rows] == [f"`{row.name}`" for row in catalogue()]
    assert [row[4] for row in table.rows] == [row.identity for row in catalogue()]
    assert all(all(row) for row in table.rows)


def test_of_a_users_keys_only_the_analyses_that_ask_them_are_made(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = type(sys)("analysis.keyed", "What of keys?")
    fake = type(sys)("analysis.fake", "Does it grow?")
    study = Study("keyed", "What of keys?", rms, (), 1, asked_of, ("minilm_layer0",))
    keyed.__dict__.update(STUDY=study, render=lambda rows: test_runner.render([{"n": 1, "error": rows[0]["error"]}]))
    fake.__dict__.update(SEED=5, measure=test_runner.measure, render=test_runner.render)
    for module in (keyed, fake):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "ANALYSES", ("fake", "keyed"))
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__main__.py").touch()
    k = np.ones((1, 4, 2))
    np.savez(tmp_path / "mine.npz", q=k, k=k, v=k)
    status, said = call("--keys", "mine.npz")
    assert status == 0
    assert "left out: it asks nothing of these keys" in said.out
    assert read_study(tmp_path / "report" / "keyed.jsonl").rows[0]["error"] == 1.0
    assert not (tmp_path / "reports").exists()
    status, said = call("fake", "--keys", "mine.npz")
    assert status == 2
    assert "expected a study of stored keys, got fake" in refused(said)


def rms(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    from ttr_numerics import tasks

    return [{"error": float(np.mean(tasks.stored(cell["keys"]).k ** 2) ** 0.5)}]


def asked_of(T: int, d: int) -> tuple[Grid, ...]:
    return (Grid({"n": (T,)}),)
