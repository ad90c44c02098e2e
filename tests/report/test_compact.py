"""The drawings of page and files: a fifth of the bytes of matplotlib's, and the same picture."""

import re
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest

from ttr_numerics.report import Cloud, Curve, Heatmap, Measured, Panel, Theory, drawing, page_drawings
from ttr_numerics.report.outline import number, outline, path

PLACES = np.geomspace(0.1, 100, 24)
BUSY = Panel(
    "Busy",
    "load",
    "error",
    (
        Measured("a", PLACES, PLACES**1.5, 0.8 * PLACES**1.5, 1.3 * PLACES**1.5),
        Measured("alone", (1.0,), (2.0,)),
        Curve("b", PLACES, 1 / PLACES, 0.9 / PLACES, 1.1 / PLACES),
        Cloud("c", PLACES[::-1], 3 + PLACES),
        Theory("law", PLACES, PLACES**1.5, of="a"),
    ),
    x_log=True,
    y_log=True,
)
CUT = Panel("Cut", "x", "y", (Measured("m", range(9), range(9)), Measured("n", (1, 2), (3, 3))), y_range=(2.0, 5.0))
HEAT = Heatmap("Heat", "x", "y", (1, 2, 3), ("a", "b"), ((1, 2, 3), (4, 5, 6)), "error")


def written(panel: Panel | Heatmap) -> str:
    """The file that matplotlib writes of a panel."""
    kept: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "compact", lambda svg, name: kept.append(svg) or "")
        page_drawings([panel], "name")
    return kept[0]


def tree(svg: str) -> Element:
    return ElementTree.fromstring(re.sub(r' xmlns(:\w+)?="[^"]*"|xlink:', "", svg[svg.index("<svg") :]))


def words(root: Element) -> list[str]:
    return sorted(text.text or "" for text in root.iter("text"))


def places(svg: str) -> list[tuple[int, int]]:
    """Where matplotlib set a marker that has an area, in tenths."""
    root = tree(svg)
    shapes = {shape.get("id"): outline(shape.get("d", "")) for shape in root.iter("path") if shape.get("id")}
    uses = [use for use in root.iter("use") if len(shapes[use.get("href", "")[1:]]) > 2 and float(use.get("x", 0)) > 0]
    return sorted((round(10 * float(use.get("x", 0))), round(10 * float(use.get("y", 0)))) for use in uses)


def corners(shape: str) -> list[tuple[int, int]]:
    """The corners of relative path data or of a list of points, in tenths."""
    found, here = [], np.zeros(2)
    for letter, ends in re.findall(r"([MlhvL])([^A-Za-z]*)", shape):
        numbers = [float(end) for end in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", ends)]
        step = np.array({"h": [*numbers, 0.0], "v": [0.0, *numbers]}.get(letter, numbers))
        here = step if letter in "ML" else here + step
        found.append((round(10 * here[0]), round(10 * here[1])))
    return found


def marked(svg: str) -> list[tuple[int, int]]:
    """Where the page's drawing has markers: at the corners of the lines that wear one."""
    found = []
    for line in tree(svg).iter():
        if "marker:" in line.get("style", ""):
            points = "".join(f"L{pair.replace(',', ' ')}" for pair in line.get("points", "").split())
            found += corners(line.get("d", "") or points)
    return found


def strokes(svg: str) -> int:
    """Straight pieces and curves that are drawn or filled in place, markers not among them."""
    root = tree(svg)
    inner = [shape for marker in root.iter("marker") for shape in marker]
    data = [shape.get("d", "") for shape in root.iter("path") if shape not in inner]
    return sum(len(re.findall("M", text)) for text in data)


@pytest.mark.parametrize("panel", [BUSY, CUT, HEAT], ids=lambda panel: panel.title)
def test_every_word_that_matplotlib_writes_is_kept(panel: Panel | Heatmap) -> None:
    (found,) = page_drawings([panel], "name")
    assert words(tree(found.svg)) == words(tree(written(panel)))


def test_words_that_look_like_attributes_are_words() -> None:
    odd = 'xlink:href="#a" xmlns="b" id="c" <g>'
    (found,) = page_drawings([Panel(odd, odd, "y", (Measured(odd, (1,), (1,)),))], "name")
    assert found.svg.count(f">{escape(odd, quote=False)}</text>") == 2


def test_every_marker_is_where_it_was_to_a_tenth() -> None:
    (found,) = page_drawings([BUSY], "name")
    there = places(written(BUSY))
    here = marked(found.svg)
    legend_and_alone = [place for place in there if place not in here]
    assert len(here) == 2 * len(PLACES)
    assert set(here) <= set(there)
    assert len(legend_and_alone) == 4  # one mark each in the legend for a, alone and c; and the single point


def test_every_stroke_is_drawn_once() -> None:
    (found,) = page_drawings([BUSY], "name")
    root = tree(written(BUSY))
    defined = {shape for defs in root.iter("defs") for shape in defs}
    ids = {shape.get("id"): shape for shape in defined}
    shown = [s for s in root.iter("path") if s not in defined and "stroke:" in s.get("style", "")]
    ticks_and_caps = [use for use in root.iter("use") if len(outline(ids[use.get("href", "")[1:]].get("d", ""))) == 2]
    single_marks, bands = 4, 1
    assert strokes(found.svg) == len(shown) + len(ticks_and_caps) + single_marks + bands


def test_what_the_axes_cut_off_stays_cut_off() -> None:
    (found,) = page_drawings([CUT], "name")
    (clip,) = tree(found.svg).iter("clipPath")
    assert [float(clip[0].get(key, 0)) for key in ("x", "y")] == pytest.approx(found.box[:2], abs=0.1)
    cut = [shape for shape in tree(found.svg).iter() if shape.get("clip-path")]
    assert {shape.get("clip-path") for shape in cut} == {f"url(#{clip.get('id')})"}
    (whole,) = page_drawings([BUSY], "name")
    assert "clip" not in whole.svg


def test_the_parts_of_a_series_can_be_told_from_the_others() -> None:
    (found,) = page_drawings([BUSY], "name")
    groups = {group.get("data-s") for group in tree(found.svg).iter("g")} - {None}
    assert groups == {"0", "1", "2", "3", "4"}


def test_a_drawing_is_a_quarter_of_what_matplotlib_writes_or_less() -> None:
    (found,) = page_drawings([BUSY], "name")
    assert 4 * len(found.svg) < len(written(BUSY))


def test_relative_steps_add_up_to_no_error() -> None:
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.standard_normal((2000, 2)), axis=0)
    data = "M " + " L ".join(f"{x} {y}" for x, y in points)
    assert corners(path(outline(data))) == [(round(10 * x), round(10 * y)) for x, y in points]


@pytest.mark.parametrize(("value", "text"), [(100.0, "100"), (0.0, "0"), (-0.04, "0"), (-0.5, "-.5"), (10.06, "10.1")])
def test_numbers_have_no_idle_characters(value: float, text: str) -> None:
    assert number(value) == text
