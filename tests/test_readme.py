"""Every example of the README runs, and its commands exist."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from ttr_numerics import catalogue, cli
from ttr_numerics.pairs.markdown import as_markdown

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def test_every_python_example_gives_what_it_says():
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert tried > 0
    assert failed == 0


def test_every_console_example_ends_right(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = re.sub(r"```text\n\$ pip install .*?```", "", README.read_text(), flags=re.DOTALL)  # tests/capture has it
    commands = re.findall(r"^\$ ttr (.*)$", text, flags=re.MULTILINE)
    assert commands
    for command in commands:
        assert cli.main(shlex.split(command)) == 0
        assert "[rounding]" in capsys.readouterr().out


def test_the_two_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README.read_text(), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_every_linked_file_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text()):
        assert (ROOT / link).exists(), link


def test_the_table_of_layers_is_the_catalogue():
    shown = re.search(r"<!-- ttr layers --markdown -->\n(.*?)\n<!-- end -->", README.read_text(), flags=re.DOTALL)
    assert shown is not None
    assert shown[1] == as_markdown(catalogue())


def test_the_audit_example_says_what_is_shown(tmp_path, monkeypatch, capsys):
    text = README.read_text()
    code = re.search(r"this is `mine.py`,\n\n```python\n(.*?)```", text, flags=re.DOTALL)
    shown = re.search(r"<!-- ttr audit mine.py -->\n```\n(.*?)\n```", text, flags=re.DOTALL)
    command = re.search(r"`ttr (audit mine.py:gated_delta_rule .*?)` answers", text)
    assert code
    assert shown
    assert command
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code[1])
    assert cli.main([*shlex.split(command[1]), "--seed", "1"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    for line in shown[1].splitlines():
        assert " ".join(line.split()) in said
    assert (tmp_path / "audit.html").read_text().rstrip().endswith("</html>")
    assert list((tmp_path / "cases").glob("*.py"))


def test_the_assertion_example_fails_on_the_faulty_example():
    blocks = re.findall(
        r"```python\n(import torch\n.*?|from ttr_numerics.testing.*?)```", README.read_text(), flags=re.DOTALL
    )
    names: dict = {}
    for block in blocks:
        exec(block, names)
    with pytest.raises(AssertionError, match="error taken before the decay"):
        names["test_my_layer"]()


def test_the_question_is_measured_and_gets_its_page(tmp_path, monkeypatch, capsys):
    text = README.read_text()
    code = re.search(r"`question.py` says what one cell measures:\n\n```python\n(.*?)```", text, flags=re.DOTALL)
    assert code
    monkeypatch.chdir(tmp_path)
    (tmp_path / "question.py").write_text(code[1])
    assert cli.main(["study", "question.py:STUDY", "--axis", "n=64"]) == 0
    assert capsys.readouterr().out == "cond: 3 cells, 0 stored before, 3 computed now, 0 failed; rows in cond.jsonl\n"
    assert cli.main(["report", "question.py:STUDY", "--cores", "1"]) == 0
    assert "The page is report/index.html" in capsys.readouterr().out
    assert "How well conditioned are random keys?" in (tmp_path / "report" / "index.html").read_text("utf-8")
