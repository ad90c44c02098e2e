"""The drawings of a figure as one SVG file that needs nothing else: beside a Markdown report, alone in a viewer.

The panels are those of the page, set in rows. The file brings their colours for light and dark, its own ground, and
the type, by the names of sans-serif fonts that a viewer may have. On its own a unit is 1.6 pixels, as on the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from ttr_numerics.report.drawing import Drawing
from ttr_numerics.report.ink import FONTS, SHADES

__all__ = ["figure_svg"]

_MARGIN, _ACROSS, _DOWN, _SCALE = 8.0, 16.0, 14.0, 1.6
_CLASSES = re.compile(r'class="([^"]*)"')


def figure_svg(drawings: Sequence[Drawing], label: str, columns: int = 2) -> str:
    """One SVG file of all `drawings`, row by row, titled `label` and described panel by panel."""
    rows = [drawings[first : first + columns] for first in range(0, len(drawings), columns)]
    placed, bottom = [], _MARGIN
    for row in rows:
        placed += list(_row(row, bottom))
        bottom += max(drawing.size[1] for drawing in row) + _DOWN
    wide = max(sum(drawing.size[0] + _ACROSS for drawing in row) for row in rows) - _ACROSS + 2 * _MARGIN
    high = bottom - _DOWN + _MARGIN
    size = f'width="{wide * _SCALE:.0f}" height="{high * _SCALE:.0f}" viewBox="0 0 {wide:g} {high:g}"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title" aria-describedby="panels">',
        f'<title id="title">{escape(label)}</title>',
        f'<desc id="panels">{escape(" ".join(drawing.spoken for drawing in drawings))}</desc>',
        f"<style>{_style(''.join(drawing.inside for drawing in drawings))}</style>",
        '<rect width="100%" height="100%" class="f-paper"/>',
        *placed,
        "</svg>\n",
    )
    return "\n".join(lines)


def _row(row: Sequence[Drawing], top: float) -> Iterator[str]:
    left = _MARGIN
    for drawing in row:
        width, height = drawing.size
        view = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
        yield f'<svg x="{left:g}" y="{top:g}" {view}>{drawing.inside}</svg>'
        left += width + _ACROSS


def _style(inside: str) -> str:
    """The classes that are drawn with, in the colours of light and dark."""
    found = {name for names in _CLASSES.findall(inside) for name in names.split()} | {"f-paper"}
    light, dark = (
        "".join(
            f".{letter}-{name}{{{what}:{colour}}}"
            for letter, what in (("f", "fill"), ("s", "stroke"))
            for name, colour in shades.items()
            if f"{letter}-{name}" in found
        )
        for shades in (
            {name: shade.light for name, shade in SHADES.items()},
            {name: shade.dark for name, shade in SHADES.items()},
        )
    )
    plain = f"svg{{fill:none;stroke-linejoin:round;color-scheme:light dark}}text{{font-family:{FONTS}}}"
    return f"{plain}{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"
