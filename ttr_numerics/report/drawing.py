"""Panels to SVG text: equal panels make equal bytes, in any process and whatever matplotlibrc says.

Text stays text (`svg.fonttype: none`): it is smaller than outlined glyphs, can be selected, takes its colour
from the page and is set in the reader's own sans-serif. It is measured in DejaVu Sans, which is wider than
any of those, so nothing overflows. A panel is 4.3 inches wide: 350 pixels on a phone make its 9-point text
10 pixels high.

A file keeps the colours of `ink`, on white. On the page they become CSS variables, so that one drawing serves
light and dark.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from ttr_numerics.report.axes import draw_heatmap, draw_panel
from ttr_numerics.report.figures import Heatmap, Panel
from ttr_numerics.report.ink import FONTS, INK, RC, Pen, pens

__all__ = ["figure_svg", "page_svgs"]

_WIDTH, _HEIGHT, _LEGEND_LINE = 4.3, 2.75, 0.17
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def figure_svg(panels: Sequence[Panel | Heatmap], name: str, label: str, columns: int = 2) -> str:
    """One SVG file with all `panels`, row by row. `name` seeds its inner ids, `label` is its spoken title."""
    svg = _svg(panels, _pens(panels), name, min(columns, len(panels)))
    svg = re.sub(r"<!DOCTYPE.*?>\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"(<svg [^>]*>)", lambda tag: f"{tag[1]}\n <title>{escape(label)}</title>", svg, count=1)


def page_svgs(panels: Sequence[Panel | Heatmap], name: str) -> tuple[str, ...]:
    """One `<svg>` element for each panel, for a page that stacks them when it is narrow."""
    drawn = (_svg([panel], _pens(panels), f"{name}-{place}", 1) for place, panel in enumerate(panels))
    return tuple(_inline(svg, panel.title) for svg, panel in zip(drawn, panels, strict=True))


def _pens(panels: Sequence[Panel | Heatmap]) -> dict[str, Pen]:
    return pens(panel for panel in panels if isinstance(panel, Panel))


def _svg(panels: Sequence[Panel | Heatmap], drawn_with: Mapping[str, Pen], name: str, columns: int) -> str:
    lines = math.ceil(len(panels) / columns)
    with _style(name):
        height = _HEIGHT + max(_legend_lines(panel) for panel in panels) * _LEGEND_LINE
        canvas = Canvas(figsize=(_WIDTH * columns, height * lines), layout="constrained")
        FigureCanvasSVG(canvas)
        cells = canvas.subfigures(lines, columns, squeeze=False).flat
        for panel, cell in zip(panels, cells, strict=False):
            _draw(cell, panel, drawn_with)
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata=_NO_METADATA)
    svg = text.getvalue().replace("'DejaVu Sans'", FONTS)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _draw(cell: Any, panel: Panel | Heatmap, drawn_with: Mapping[str, Pen]) -> None:
    cell.set_facecolor("none")
    cell.suptitle(panel.title, x=0.015, ha="left", fontsize=9.5, fontweight="bold", color=INK["ink"])
    axes = cell.add_subplot()
    if isinstance(panel, Heatmap):
        draw_heatmap(axes, panel)
        return
    draw_panel(axes, panel, drawn_with)
    if len(panel.series) > 1:
        handles, labels = axes.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        ordered = [named[series.label] for series in panel.series]
        cell.legend(handles=ordered, loc="outside lower left", ncols=_legend_columns(panel))


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


def _inline(svg: str, label: str) -> str:
    """The element alone: no prolog, no page-wide style, no idle ids, and its colours as CSS variables."""
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view is not None
    opening = f'<svg class="plot" role="img" aria-label="{escape(label)}" {view[0]}>'
    svg = re.sub(r"<svg [^>]*>", lambda _: opening, svg, count=1).replace("xlink:href", "href")
    svg = svg.replace(FONTS, "var(--sans)")
    for name, colour in INK.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
