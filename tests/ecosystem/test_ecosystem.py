"""Public implementations under audit: what is accused is read up, and every defect stands by a script of its own."""

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import ecosystem
from analysis.ecosystem import measured
from analysis.ecosystem.readings import READINGS, Kind
from analysis.ecosystem.table import IMPLEMENTATIONS, NAMED, target
from ttr_numerics.axes import Output
from ttr_numerics.probes import PROBES, Here, resolve
from ttr_numerics.report import Study, read_study, render_html, render_markdown, write_study

REPORTS = Path(__file__).parents[2] / "reports"
SDPA = NAMED.torch_scaled_dot_product_attention_math_softmax_attention
FEW = [p for p in PROBES if p.name in ("generic", "one token", "causality", "inputs unchanged")]

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, on import or for want of a device


def audited(one, dtype="float32"):
    return measured.examined_in(one, Here(one), dtype, FEW)


@pytest.fixture(scope="module")
def rows():
    pytest.importorskip("x_transformers")
    return audited(SDPA) + audited(seeing_the_future()) + measured.reproduced(script("x_transformers_flash_causal"))


def seeing_the_future():
    """Attention without its mask, told to be causal."""
    everything = replace(SDPA.peer, call=lambda f, a: Output(f(a["q"], a["k"], a["v"]), None), how="without a mask")
    return replace(SDPA, peer=everything)


def script(name):
    (found,) = [path for path in measured.REPRODUCTIONS if path.stem == name]
    return found


def stored():
    return read_study(REPORTS / "ecosystem.jsonl")


def test_every_function_is_found_by_its_name_and_takes_what_its_layer_takes():
    assert len(vars(NAMED)) == len(IMPLEMENTATIONS), "two functions share a name"
    for one in IMPLEMENTATIONS:
        assert resolve(target(one)) is one
        assert {"q", "k", "v", *one.layer.arrays} <= set(inspect.signature(one).parameters)
        assert {*one.optional} <= {*one.layer.optional}


def test_a_sound_function_is_right_and_a_planted_leak_is_accused_and_unread():
    (sound,) = audited(SDPA)
    assert (sound["right"], sound["wrong"]) == (sound["asked"], 0)
    faulty, *accusations = audited(seeing_the_future())
    assert faulty["wrong"] == len(accusations)
    assert "causality" in {row["probe"] for row in accusations}
    assert {row["kind"] for row in accusations} == {"unread"}


def test_a_function_that_fails_to_run_is_accused_of_that():
    one = replace(SDPA, peer=replace(SDPA.peer, path="torch:no_such_function"))
    row, *accusations = audited(one)
    assert row["failed"] == len(accusations) > 0
    assert {row["verdict"] for row in accusations} == {"failed to run"}


def test_readings_are_of_functions_that_there_are_and_defects_have_their_script():
    names = {path.stem for path in measured.REPRODUCTIONS}
    for entry in READINGS:
        assert (entry.reproduction in names) == (entry.kind is Kind.DEFECT), entry.sentence
        pattern = re.compile(entry.name.replace("*", ".*"))
        assert any(pattern.fullmatch(one.name) for one in IMPLEMENTATIONS), entry.name


@pytest.mark.parametrize("path", measured.REPRODUCTIONS, ids=lambda path: path.stem)
def test_a_reproduction_is_short_says_what_it_shows_asserts_and_needs_nothing_of_ours(path):
    tree = ast.parse(path.read_text("utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not {name for name in imported if name.partition(".")[0] in ("ttr_numerics", "analysis", "tests")}
    assert re.fullmatch(r"[\w-]+, .+: .+\.", ast.get_docstring(tree))
    assert any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(tree))
    assert len(path.read_text("utf-8").splitlines()) <= 35


def test_a_reproduction_that_does_not_hold_is_said_to(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text('"""torch, nothing: holds."""\nassert False\n')
    head, *lines = measured.reproduced(path)
    assert not head["holds"]
    assert lines[-1]["text"] == "AssertionError"


def test_small_runs_render_from_stored_rows(rows, tmp_path):
    study = Study("ecosystem", "why?", ecosystem.SEED, "command", {}, tuple(rows))
    write_study(tmp_path / "rows.jsonl", study)
    again = read_study(tmp_path / "rows.jsonl")
    text = render_markdown(ecosystem.render(again.rows), again)
    assert text == render_markdown(ecosystem.render(rows), study)
    assert "flash=True is" in text
    assert "causality" in render_html([(ecosystem.render(again.rows), again)], "title", "lead")


def test_committed_rows_render_to_the_committed_report():
    assert render_markdown(ecosystem.render(stored().rows), stored()) == (REPORTS / "ecosystem.md").read_text("utf-8")


def test_committed_rows_are_those_of_the_table_all_accusations_are_read_and_all_reproductions_hold():
    rows = stored().rows
    assert {row["name"] for row in rows if "asked" in row} == {one.name for one in IMPLEMENTATIONS}
    assert [row for row in rows if row.get("kind") == "unread"] == []
    scripts = {row["reproduction"]: row["holds"] for row in rows if "holds" in row}
    assert scripts == {path.stem: True for path in measured.REPRODUCTIONS}


def test_stored_rows_are_rendered_without_the_packages_they_were_measured_on():
    hidden = ("torch", "transformers", "fla", "x_transformers", "mambapy")
    code = f"import sys; sys.modules |= dict.fromkeys({hidden})\nfrom analysis import ecosystem; print(ecosystem.SEED)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
