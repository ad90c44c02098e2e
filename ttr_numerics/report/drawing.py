"""Panels to SVG text: equal panels make equal bytes, in any process and whatever matplotlibrc says.

Text stays text (`svg.fonttype: none`): it is smaller than outlined glyphs, can be selected, takes its colour
from the page and is set in the reader's own sans-serif. It is measured in DejaVu Sans, which is wider than
any of those, so nothing overflows. A panel is 4.3 inches wide: 350 pixels on a phone make its 9-point text
10 pixels high.

A file keeps the colours of `ink`, on white. On the page they are classes, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any, NamedTuple

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from ttr_numerics.report.axes import draw_heatmap, draw_panel
from ttr_numerics.report.compact import compact
from ttr_numerics.report.drawn import SERIES
from ttr_numerics.report.figures import Heatmap, Panel, spoken
from ttr_numerics.report.ink import FONTS, INK, RC, Pen, pens

__all__ = ["Drawing", "figure_svg", "page_drawings"]

_WIDTH, _HEIGHT, _LEGEND_LINE = 4.3, 2.75, 0.17
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Drawing(NamedTuple):
    """One panel on the page: its element, where in it the axes lie (left, top, width, height), and their ends."""

    svg: str
    box: tuple[float, float, float, float]
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]


def figure_svg(panels: Sequence[Panel | Heatmap], name: str, label: str, columns: int = 2) -> str:
    """One SVG file with all `panels`, row by row. `name` seeds its inner ids, `label` is its spoken title."""
    with _style(name):
        svg = _svg(_canvas(panels, _pens(panels), min(columns, len(panels)), named_series=False))
    svg = re.sub(r"<!DOCTYPE.*?>\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"(<svg [^>]*>)", lambda tag: f"{tag[1]}\n <title>{escape(label)}</title>", svg, count=1)


def page_drawings(panels: Sequence[Panel | Heatmap], name: str) -> tuple[Drawing, ...]:
    """One `<svg>` element for each panel, for a page that stacks them when it is narrow."""
    drawn_with = _pens(panels)
    return tuple(_page_drawing(panel, drawn_with, f"{name}-{place}") for place, panel in enumerate(panels))


def _page_drawing(panel: Panel | Heatmap, drawn_with: Mapping[str, Pen], name: str) -> Drawing:
    with _style(name):
        canvas = _canvas([panel], drawn_with, 1, named_series=True)
        svg = compact(_svg(canvas), spoken(panel), name)
        axes = canvas.axes[0]
        place = axes.get_position()
        width, height = 72 * canvas.get_size_inches()
        box = (place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height)
        return Drawing(svg, box, axes.get_xlim(), axes.get_ylim())


def _pens(panels: Sequence[Panel | Heatmap]) -> dict[str, Pen]:
    return pens(panel for panel in panels if isinstance(panel, Panel))


def _canvas(
    panels: Sequence[Panel | Heatmap], drawn_with: Mapping[str, Pen], columns: int, *, named_series: bool
) -> Canvas:
    lines = math.ceil(len(panels) / columns)
    height = _HEIGHT + max(_legend_lines(panel) for panel in panels) * _LEGEND_LINE
    canvas = Canvas(figsize=(_WIDTH * columns, height * lines), layout="constrained")
    FigureCanvasSVG(canvas)
    cells = canvas.subfigures(lines, columns, squeeze=False).flat
    for panel, cell in zip(panels, cells, strict=False):
        for place, artists in enumerate(_draw(cell, panel, drawn_with)):
            for artist in artists if named_series else ():
                artist.set_gid(f"{SERIES}{place}")
    return canvas


def _svg(canvas: Canvas) -> str:
    text = io.StringIO()
    with warnings.catch_warnings():  # the viewer's fonts have what ours has not; only its width is guessed
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        canvas.savefig(text, format="svg", metadata=_NO_METADATA)
    svg = text.getvalue().replace("'DejaVu Sans'", FONTS)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _draw(cell: Any, panel: Panel | Heatmap, drawn_with: Mapping[str, Pen]) -> list[list[Any]]:
    """Draw one panel, and say by which artists each of its series."""
    cell.set_facecolor("none")
    cell.suptitle(panel.title, x=0.015, ha="left", fontsize=9.5, fontweight="bold", color=INK["ink"])
    axes = cell.add_subplot()
    if isinstance(panel, Heatmap):
        draw_heatmap(axes, panel)
        return []
    artists = draw_panel(axes, panel, drawn_with)
    if len(panel.series) > 1:
        numbers = [str(place) for place in range(len(artists))]  # no label beginning with _ would be taken
        handles = [drawn[0] for drawn in artists]
        legend = cell.legend(handles, numbers, loc="outside lower left", ncols=_legend_columns(panel))
        for series, drawn, handle, text in zip(panel.series, artists, legend.legend_handles, legend.texts, strict=True):
            text.set_text(series.label)
            drawn += [handle, text]
    return artists


def _legend_columns(panel: Panel) -> int:
    longest = max(len(series.label) for series in panel.series)
    return 3 if longest <= 14 else 2 if longest <= 26 else 1


def _legend_lines(panel: Panel | Heatmap) -> int:
    if isinstance(panel, Heatmap) or len(panel.series) < 2:
        return 0
    return math.ceil(len(panel.series) / _legend_columns(panel))


@contextmanager
def _style(salt: str) -> Iterator[None]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC | {"svg.hashsalt": salt})
        yield
