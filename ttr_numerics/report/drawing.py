"""Panels to SVG: equal panels make equal bytes, in any process and whatever matplotlibrc says.

Each panel is drawn once, and that drawing stands on the page and in the figure's file. Text stays text
(`svg.fonttype: none`): it is smaller than outlined glyphs, can be selected and is set in the reader's own sans-serif.
It is measured in DejaVu Sans, which is wider than any of those, so nothing overflows. A panel is 4.3 inches wide: 350
pixels on a phone make its 9-point text 10 pixels high.

Colours are classes, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import math
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
from ttr_numerics.report.ink import INK, RC, Pen, pens

__all__ = ["Drawing", "page_drawings"]

_WIDTH, _HEIGHT, _LEGEND_LINE = 4.3, 2.75, 0.17
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Drawing(NamedTuple):
    """One panel: what is inside its element, its size, where in it the axes lie (left, top, width, height), their ends.

    `spoken` is what it shows, for those who do not see it.
    """

    inside: str
    size: tuple[float, float]
    spoken: str
    box: tuple[float, float, float, float]
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]

    @property
    def svg(self) -> str:
        """Its element on the page, as wide as the page lets it be."""
        view = "0 0 {:g} {:g}".format(*self.size)
        return f'<svg class="plot" role="img" aria-label="{escape(self.spoken)}" viewBox="{view}">{self.inside}</svg>'


def page_drawings(panels: Sequence[Panel | Heatmap], name: str) -> tuple[Drawing, ...]:
    """One drawing for each panel; `name` makes its inner ids unique on a page."""
    drawn_with = pens(panel for panel in panels if isinstance(panel, Panel))
    return tuple(_drawing(panel, drawn_with, f"{name}-{place}") for place, panel in enumerate(panels))


def _drawing(panel: Panel | Heatmap, drawn_with: Mapping[str, Pen], name: str) -> Drawing:
    with _style(name):
        canvas = _canvas(panel, drawn_with)
        inside = compact(_svg(canvas), name)
        axes = canvas.axes[0]
        place = axes.get_position()
        width, height = 72 * canvas.get_size_inches()
        size = (round(float(width), 1), round(float(height), 1))
        box = (place.x0 * width, (1 - place.y1) * height, place.width * width, place.height * height)
        return Drawing(inside, size, spoken(panel), box, axes.get_xlim(), axes.get_ylim())


def _canvas(panel: Panel | Heatmap, drawn_with: Mapping[str, Pen]) -> Canvas:
    height = _HEIGHT + _legend_lines(panel) * _LEGEND_LINE
    canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
    FigureCanvasSVG(canvas)
    for place, artists in enumerate(_draw(canvas, panel, drawn_with)):
        for artist in artists:
            artist.set_gid(f"{SERIES}{place}")
    return canvas


def _svg(canvas: Canvas) -> str:
    text = io.StringIO()
    with warnings.catch_warnings():  # the viewer's fonts have what ours has not; only its width is guessed
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        _lay_out(canvas)
        canvas.savefig(text, format="svg", metadata=_NO_METADATA)
    return text.getvalue()


def _lay_out(canvas: Canvas) -> None:
    """Place axes, titles and legend now, once, which matplotlib would do in a drawing of its own before the last."""
    for axes in canvas.axes:
        for spine in axes.spines.values():
            spine.set_in_layout(False)  # the ticks reach further, and each spine would look for them again
    engine = canvas.get_layout_engine()
    assert engine is not None, "canvases are made with one"
    engine.execute(canvas)
    canvas.set_layout_engine(None)


def _draw(canvas: Canvas, panel: Panel | Heatmap, drawn_with: Mapping[str, Pen]) -> list[list[Any]]:
    """Draw one panel, and say by which artists each of its series."""
    canvas.suptitle(panel.title, x=0.015, ha="left", fontsize=9.5, fontweight="bold", color=INK["ink"])
    axes = canvas.add_subplot()
    if isinstance(panel, Heatmap):
        draw_heatmap(axes, panel)
        return []
    artists = draw_panel(axes, panel, drawn_with)
    if len(panel.series) > 1:
        numbers = [str(place) for place in range(len(artists))]  # no label beginning with _ would be taken
        handles = [drawn[0] for drawn in artists]
        legend = canvas.legend(handles, numbers, loc="outside lower left", ncols=_legend_columns(panel))
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
