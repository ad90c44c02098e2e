"""Figures: the same bytes for the same rows, the data kept, and nothing drawn that was not given."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import matplotlib
import pytest

from ttr_numerics.report import Cloud, Curve, Heatmap, Measured, Panel, Series, Theory, figure_svg, page_drawings
from ttr_numerics.report.figures import plotted, spoken
from ttr_numerics.report.ink import SHADES, pens

SVG = "{http://www.w3.org/2000/svg}"

IN_A_FRESH_PROCESS = """
import sys
from ttr_numerics.report import Cloud, Panel, figure_svg, page_drawings
cloud = Cloud("tokens", range(1, 1001), range(1, 1001))
sys.stdout.write(figure_svg(page_drawings([Panel("a", "x", "y", (cloud,), x_log=True)], "name"), "label"))
"""


def one(*series: Series, **options: object) -> Panel:
    return dataclasses.replace(Panel("a", "x", "y", series), **options)  # type: ignore[arg-type]


def file_of(panels: Sequence[Panel | Heatmap], label: str = "label") -> str:
    """The file of a figure of these panels."""
    return figure_svg(page_drawings(panels, "name"), label)


def test_equal_panels_make_equal_bytes_in_another_process() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    cloud = Cloud("tokens", range(1, 1001), range(1, 1001))
    here = file_of([one(cloud, x_log=True)])
    assert runs[0] == runs[1] == here.encode("utf-8")


def test_a_users_matplotlib_settings_neither_change_a_figure_nor_are_changed(panel: Panel) -> None:
    plain = file_of([panel])
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        assert file_of([panel]) == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_a_figure_file_is_well_formed_and_carries_its_title_and_what_each_panel_shows(
    panel: Panel, heatmap: Heatmap
) -> None:
    root = ElementTree.fromstring(file_of([panel, heatmap], "a < b & c"))
    title, described = root[0], root[1]
    assert (title.tag, title.text) == (f"{SVG}title", "a < b & c")
    assert (described.tag, described.text) == (f"{SVG}desc", f"{spoken(panel)} {spoken(heatmap)}")
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == (title.get("id"), described.get("id"))


def test_a_figure_file_holds_the_drawings_of_the_page_as_they_are(panel: Panel, heatmap: Heatmap) -> None:
    drawings = page_drawings([panel, heatmap, panel], "name")
    svg = figure_svg(drawings, "label")
    for drawing in drawings:
        assert drawing.inside in svg
        assert drawing.inside in drawing.svg


def test_panels_of_a_file_lie_beside_and_below_each_other_inside_it(panel: Panel, heatmap: Heatmap) -> None:
    root = ElementTree.fromstring(file_of([panel, heatmap, panel]))
    _, _, wide, high = (float(end) for end in root.get("viewBox", "").split())
    boxes = [[float(inner.get(key, 0)) for key in ("x", "y", "width", "height")] for inner in root.iter(f"{SVG}svg")][
        1:
    ]
    assert len(boxes) == 3
    assert all(x >= 0 and y >= 0 and x + w <= wide and y + h <= high for x, y, w, h in boxes)
    for (x, y, w, h), (left, top, width, height) in itertools.combinations(boxes, 2):
        assert x + w <= left or left + width <= x or y + h <= top or top + height <= y
    alone = ElementTree.fromstring(file_of([panel]))
    assert float(alone.get("viewBox", "").split()[2]) < wide


def test_a_figure_file_has_every_colour_it_draws_with_for_light_and_dark_and_loads_nothing(
    panel: Panel, heatmap: Heatmap
) -> None:
    svg = file_of([panel, heatmap])
    light, _, dark = re.findall(r"<style>(.*?)</style>", svg)[0].partition(
        "@media screen and (prefers-color-scheme:dark)"
    )
    used = {name for names in re.findall(r'class="([^"]*)"', svg) for name in names.split()}
    assert {"f-paper", "s-hue-0", "f-ink"} <= used
    for name in used:
        letter, _, ink = name.partition("-")
        what = {"f": "fill", "s": "stroke"}[letter]
        assert f".{name}{{{what}:{SHADES[ink].light}}}" in light
        assert f".{name}{{{what}:{SHADES[ink].dark}}}" in dark
    own = svg.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|@import|@font-face|url\((?!#)|<script", own)
    assert all(link.startswith("data:image/png;") for link in re.findall(r'href="([^"]*)"', own))
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_page_figures_have_a_role_a_name_and_no_colour_of_their_own(panel: Panel, heatmap: Heatmap) -> None:
    for drawing, one in zip(page_drawings([panel, heatmap], "name"), (panel, heatmap), strict=True):
        assert drawing.svg.startswith(f'<svg class="plot" role="img" aria-label="{spoken(one)}" viewBox="')
        assert "<style" not in drawing.svg
        assert not [shade.light for shade in SHADES.values() if shade.light in drawing.svg]


def test_inner_ids_are_unique_among_all_figures_of_a_page(panel: Panel, heatmap: Heatmap) -> None:
    page = "".join(drawing.svg for name in ("a", "b") for drawing in page_drawings([panel, panel, heatmap], name))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_text_with_dollars_and_tags_is_drawn_as_it_is() -> None:
    svg = file_of([dataclasses.replace(one(), title="$x_{$ <b>")])
    assert "$x_{$ &lt;b&gt;" in svg


def test_a_label_is_in_the_legend_whatever_it_begins_with_and_whatever_our_font_has() -> None:
    svg = file_of([one(Measured("_x", [1, 2], [1, 2]), Measured("大", [1, 2], [2, 1]))])
    words = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"_x", "大"} <= set(words)


def test_what_a_logarithmic_axis_cannot_show_is_counted_in_the_figure(panel: Panel) -> None:
    assert "2 of the points cannot be shown on these axes" in file_of([panel])
    shown = dataclasses.replace(panel, series=panel.series[:2])
    assert "cannot be shown" not in file_of([shown])


def test_nothing_but_points_that_cannot_be_shown_still_makes_a_figure() -> None:
    nothing = one(Measured("m", (1, 2), (0.0, math.nan), (0.0, 0.0), (0.0, 0.0)), x_log=True, y_log=True)
    empty = Heatmap("h", "x", "y", ("a",), ("b",), ((math.nan,),), "v", value_log=True)
    svg = file_of([nothing, empty])
    assert "2 of the points cannot be shown" in svg


ONE_PLACE = (401.0000097,) * 3
ROUNDED_APART = (947026.4262748895, 947026.4262748905)  # their logarithms are the same number


@pytest.mark.parametrize(
    "places",
    [(401.0000097,), ONE_PLACE, ROUNDED_APART, (0.0, 0.0), (math.inf, -math.inf, math.nan), (5e-324, 1.7e308)],
)
@pytest.mark.parametrize("kind", [Measured, Curve, Cloud, Theory])
@pytest.mark.parametrize("log", [False, True])
def test_points_that_share_a_place_or_have_none_are_drawn_without_a_warning(
    kind: type[Series], places: tuple[float, ...], log: bool
) -> None:
    others = range(1, len(places) + 1)
    for x, y in ((places, others), (others, places), (places, places)):
        series = (kind("given", x, y), Curve("ranged", x, y, [-math.inf] * len(x), [math.inf] * len(x)))
        (drawing,) = page_drawings([one(*series, x_log=log, y_log=log)], "name")
        for low, high in (drawing.x_ends, drawing.y_ends):
            assert -math.inf < low < high < math.inf
            assert low > 0 or not log


@pytest.mark.parametrize("places", [(401.0000097,), ONE_PLACE, ROUNDED_APART])
def test_a_logarithmic_axis_of_one_place_shows_a_decade_about_it(places: tuple[float, ...]) -> None:
    line = Measured("m", places, range(1, len(places) + 1))
    (drawing,) = page_drawings([one(line, x_log=True)], "name")
    low, high = drawing.x_ends
    assert low < places[0] < high
    assert round(math.log10(high / low)) == 1


def test_an_interval_that_misses_its_point_or_has_no_end_is_drawn_as_given() -> None:
    aside = one(Measured("m", (1, 2), (1.0, 1.0), (2.0, -math.inf), (3.0, math.nan)), y_log=True)
    assert "cannot be shown" not in file_of([aside])


def test_a_heat_map_of_one_value_and_a_centred_one_are_drawn() -> None:
    flat = Heatmap("h", "x", "y", ("a",), ("b",), ((2.0,),), "v", value_log=True)
    centred = Heatmap("h", "x", "y", (1, 2), (1,), ((-1.0, 3.0),), "v", centre=0.0)
    assert file_of([flat, centred]).count("<image") == 4


def test_a_theory_takes_the_colour_of_its_series_and_another_dash() -> None:
    measured = (Measured("a", (1,), (1,)), Measured("b", (1,), (1,)))
    theories = (Theory("of b", (1,), (1,), of="b"), Theory("of none", (1,), (1,)))
    found = pens([one(*theories, *measured)])
    assert found["of b"].colour == found["b"].colour != found["a"].colour
    assert found["of none"].colour == SHADES["ink"].light
    assert found["of b"].dashes != found["of none"].dashes


def test_more_series_than_colours_still_look_different() -> None:
    found = pens([one(*(Measured(str(i), (1,), (1,)) for i in range(20)))])
    assert len({(pen.colour, pen.marker) for pen in found.values()}) == 20


def test_the_data_of_a_figure_are_its_points_in_order(panel: Panel, heatmap: Heatmap) -> None:
    columns, rows = plotted(panel)
    assert columns == ("series", "load n/d", "relative squared error", "low", "high")
    assert len(rows) == 12
    assert rows[0] == ("delta rule", 0.25, 0.1, 0.0, 0.2)
    assert plotted(heatmap)[1][3] == (1, "b", 4.0)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Measured("a", (1, 2), (1,)), "series 'a': y has 1 values, x 2"),
        (lambda: Measured("a", (1,), (1,), low=(0,)), "give both low and high"),
        (lambda: one(Measured("a", (), ()), Theory("a", (), ())), "two series share a label"),
        (lambda: pens([one(Theory("t", (), (), of="gone"))]), "of 'gone', which is no series"),
        (lambda: Heatmap("h", "x", "y", (1, 2), (1,), ((1,),), "v"), "heat map 'h': values are"),
        (lambda: file_of([one(Series("s", (1,), (1,)))]), "choose one of its kinds"),
    ],
)
def test_a_figure_that_cannot_be_meant_is_refused(make: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()  # type: ignore[operator]
