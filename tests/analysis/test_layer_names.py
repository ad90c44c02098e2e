"""The page's filter lists layers, and every line that a study draws is either of a known layer or of none."""

import importlib
from pathlib import Path

import pytest

from analysis import layer_names
from analysis.__main__ import ANALYSES, ON_REQUEST, registered
from ttr_numerics.publish.by_layer import by_layer
from ttr_numerics.report import Figure, Heatmap, Measured, Panel, Section, Theory, read_study

STORED = Path(__file__).parents[2] / "reports"


def unknown(section: Section) -> list[str]:
    """Lines that were measured whose name the table does not have."""
    names = layer_names.layer_names()
    panels = [panel for figure in section.figures for panel in figure.panels if isinstance(panel, Panel)]
    lines = {one.layer or one.label for panel in panels for one in panel.series if not isinstance(one, Theory)}
    own = {one.layer for panel in panels for one in panel.series if isinstance(one, Theory) and one.layer}
    return sorted((lines | own) - names.keys())


def a_section(*series: Measured | Theory) -> Section:
    heat = Heatmap("h", "x", "y", (1,), (1,), ((1.0,),), "v")
    figure = Figure("f", (Panel("p", "x", "y", series), heat), "Finding.", "Caption.")
    return Section("s", "t", "q", "a", "c", (figure,))


@pytest.mark.parametrize("name", [*ANALYSES, *ON_REQUEST])
def test_every_line_of_a_study_is_of_a_known_layer_or_declared_to_be_of_none(name: str) -> None:
    section = importlib.import_module(f"analysis.{name}").render(read_study(STORED / f"{name}.jsonl").rows)
    assert unknown(section) == [], "a line of no known layer: name it in analysis/layer_names.py, or say it is none"


def test_a_line_that_nobody_has_named_is_found() -> None:
    known = Measured("n = 8", (1,), (1,), layer="delta rule, β = 1")
    assert unknown(a_section(known, Measured("new rule", (1,), (1,)), Theory("law", (1,), (1,)))) == ["new rule"]
    assert unknown(a_section(known, Theory("law", (1,), (1,), layer="its law"))) == ["its law"]


def test_no_line_is_named_twice_and_a_layer_is_one_of_its_own_names_or_stands_for_some() -> None:
    lines = [line for lines in layer_names.LAYERS.values() for line in lines] + list(layer_names.NO_LAYERS)
    assert len(lines) == len(set(lines))
    assert all(layer_names.LAYERS.values())
    names = layer_names.layer_names()
    assert all(names.get(name, name) == name for name in layer_names.LAYERS)


def test_lines_keep_their_labels_and_get_the_name_of_their_layer() -> None:
    given = (
        Measured("delta rule, best β", (1,), (1,)),
        Measured("d = 16", (1,), (1,), layer="mesa, ridge 0.25"),
        Measured("NumPy solve", (1,), (1,)),
        Measured("bfloat16", (1,), (1,), layer="products of gates"),
        Measured("a user's", (1,), (1,), layer="a user's layer"),
        Theory("least squares", (1,), (1,)),
        Theory("theory", (1,), (1,), layer="softmax, gain 16"),
    )
    named = by_layer(a_section(*given), registered().layers).figures[0].panels[0]
    assert isinstance(named, Panel)
    assert [one.label for one in named.series] == [one.label for one in given]
    found = [one.layer for one in named.series]
    assert found == ["delta rule", "Mesa layer", "", "", "a user's layer", "", "softmax attention"]
    untouched = a_section(*given)
    assert by_layer(untouched, {}) is untouched
