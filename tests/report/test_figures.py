"""Figures: the same bytes for the same rows, the data kept, and nothing drawn that was not given."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest

from ttr_numerics.report import Cloud, Heatmap, Measured, Panel, Series, Theory, figure_svg, page_drawings
from ttr_numerics.report.figures import plotted, spoken
from ttr_numerics.report.ink import SHADES, pens

IN_A_FRESH_PROCESS = """
import sys
from ttr_numerics.report import Cloud, Panel, figure_svg
cloud = Cloud("tokens", range(1, 1001), range(1, 1001))
sys.stdout.write(figure_svg([Panel("a", "x", "y", (cloud,), x_log=True)], "name", "label"))
"""


def one(*series: Series, **options: object) -> Panel:
    return dataclasses.replace(Panel("a", "x", "y", series), **options)  # type: ignore[arg-type]


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_equal_panels_make_equal_bytes_in_another_process() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    cloud = Cloud("tokens", range(1, 1001), range(1, 1001))
    here = figure_svg([one(cloud, x_log=True)], "name", "label")
    assert runs[0] == runs[1] == here.encode("utf-8")


def test_a_users_matplotlib_settings_neither_change_a_figure_nor_are_changed(panel: Panel) -> None:
    plain = figure_svg([panel], "name", "label")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        assert figure_svg([panel], "name", "label") == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_a_figure_file_is_well_formed_and_carries_its_title(panel: Panel, heatmap: Heatmap) -> None:
    root = ElementTree.fromstring(figure_svg([panel, heatmap], "name", "a < b & c"))
    assert root[0].text == "a < b & c"


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
    svg = figure_svg([dataclasses.replace(one(), title="$x_{$ <b>")], "name", "label")
    assert "$x_{$ &lt;b&gt;" in svg


def test_a_label_is_in_the_legend_whatever_it_begins_with_and_whatever_our_font_has() -> None:
    svg = figure_svg([one(Measured("_x", [1, 2], [1, 2]), Measured("大", [1, 2], [2, 1]))], "name", "labels")
    words = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"_x", "大"} <= set(words)


def test_what_a_logarithmic_axis_cannot_show_is_counted_in_the_figure(panel: Panel) -> None:
    assert "2 of the points cannot be shown on these axes" in figure_svg([panel], "name", "label")
    shown = dataclasses.replace(panel, series=panel.series[:2])
    assert "cannot be shown" not in figure_svg([shown], "name", "label")


def test_nothing_but_points_that_cannot_be_shown_still_makes_a_figure() -> None:
    nothing = one(Measured("m", (1, 2), (0.0, math.nan), (0.0, 0.0), (0.0, 0.0)), x_log=True, y_log=True)
    empty = Heatmap("h", "x", "y", ("a",), ("b",), ((math.nan,),), "v", value_log=True)
    svg = figure_svg([nothing, empty], "name", "label")
    assert "2 of the points cannot be shown" in svg


def test_an_interval_that_misses_its_point_or_has_no_end_is_drawn_as_given() -> None:
    aside = one(Measured("m", (1, 2), (1.0, 1.0), (2.0, -math.inf), (3.0, math.nan)), y_log=True)
    assert "cannot be shown" not in figure_svg([aside], "name", "label")


def test_a_heat_map_of_one_value_and_a_centred_one_are_drawn() -> None:
    flat = Heatmap("h", "x", "y", ("a",), ("b",), ((2.0,),), "v", value_log=True)
    centred = Heatmap("h", "x", "y", (1, 2), (1,), ((-1.0, 3.0),), "v", centre=0.0)
    assert figure_svg([flat, centred], "name", "label").count("<image") == 4


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


def test_lines_and_markers_have_a_contrast_of_three_and_text_of_four_and_a_half() -> None:
    for name, shade in SHADES.items():
        needed = 3.0 if name.startswith("hue") else 4.5 if name in ("ink", "label") else 1.0
        assert contrast(shade.light, SHADES["paper"].light) >= needed, name
        assert contrast(shade.dark, SHADES["paper"].dark) >= needed, name


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
        (lambda: figure_svg([one(Series("s", (1,), (1,)))], "n", "l"), "choose one of its kinds"),
    ],
)
def test_a_figure_that_cannot_be_meant_is_refused(make: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()  # type: ignore[operator]
