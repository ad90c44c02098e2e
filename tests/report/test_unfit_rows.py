"""Stored rows that the present code cannot draw are refused in a sentence; the page of before stays."""

from ttr_numerics import cli

MINE = """
from ttr_numerics.report import Section
from ttr_numerics.study import Grid, Study


def measure(cell, rng):
    return [{"value": 2 * cell["n"]}]


def render(rows):
    return Section("mine", "Mine", "How?", f"{rows[0]['value']}", "Nothing.", ())


STUDY = Study("mine", "How large?", measure, (Grid({"n": (1, 2)}),))
"""


def test_rows_of_before_that_lack_a_column_are_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unfit_mine.py").write_text(MINE)
    assert cli.main(["report", "unfit_mine.py:STUDY", "--cores", "1"]) == 0
    page = (tmp_path / "report" / "index.html").read_bytes()
    (tmp_path / "unfit_later.py").write_text(MINE.replace("rows[0]['value']", "rows[0]['size']"))
    capsys.readouterr()
    assert cli.main(["report", "unfit_later.py:STUDY", "--render-only"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ttr report: mine: expected rows in report/mine.jsonl that `render` draws, got KeyError")
    assert "(unfit_later.py, line 11)" in said.err
    assert said.err.count("\n") == 1
    assert (tmp_path / "report" / "index.html").read_bytes() == page
