"""Each committed figure says what its grid, intervals and theory are, or that it has none and why."""

import importlib
from pathlib import Path

import pytest

from analysis.__main__ import ANALYSES, ON_REQUEST
from ttr_numerics.report import Figure, Measured, Panel, Section, read_study

STORED = Path(__file__).parents[2] / "reports"


def unstated(section: Section) -> list[str]:
    """Facts that a figure leaves out."""
    facts = ("finding", "caption", "grid", "interval", "theory")
    return [f"{figure.name}: {fact}" for figure in section.figures for fact in facts if not getattr(figure, fact)]


@pytest.mark.parametrize("name", [*ANALYSES, *ON_REQUEST])
def test_every_figure_says_what_was_varied_what_its_bars_are_and_what_theory_says(name: str) -> None:
    section = importlib.import_module(f"analysis.{name}").render(read_study(STORED / f"{name}.jsonl").rows)
    assert unstated(section) == []


def test_a_figure_without_a_word_on_theory_is_found() -> None:
    panel = Panel("p", "x", "y", (Measured("m", (1,), (1,)),))
    figure = Figure("f", (panel,), "Finding.", "Caption.", "n = 1", "None: one draw.")
    assert unstated(Section("s", "t", "q", "a", "c", (figure,))) == ["f: theory"]
