"""The colours, markers and type of every figure: one table, for the light page, the dark page and the files.

The hues are near those of Okabe and Ito (2008), moved apart until any two of them, and any one and the ink of
theories, differ by 20 in CIELAB (1976) to the normal eye and in the simulations of protanopia, deuteranopia and
tritanopia by Machado, Oliveira and Fernandes (2009), with a contrast of 3 to 1 on the page; the two that text is set in
have 4.5 to 1. No series is told by its hue alone: the marker or the dash changes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any, NamedTuple

from ttr_numerics.report.figures import Panel, Theory

__all__ = ["FONTS", "INK", "RC", "SHADES", "Pen", "pens"]


class Shade(NamedTuple):
    """One colour of a figure: in a file and on the light page, and on the dark page."""

    light: str
    dark: str


SHADES = {
    "paper": Shade("#fffffe", "#17191c"),
    "ink": Shade("#1d1f21", "#e9e8e4"),
    "label": Shade("#4a4d50", "#b9bab8"),
    "axis": Shade("#8b8e91", "#6f7377"),
    "grid": Shade("#e4e5e3", "#2d3034"),
    "hue-0": Shade("#004c99", "#6ba0f3"),
    "hue-1": Shade("#9a3e03", "#fa7e58"),
    "hue-2": Shade("#30997a", "#5be39c"),
    "hue-3": Shade("#7a2c65", "#ba73a3"),
    "hue-4": Shade("#c97d19", "#fccf25"),
    "hue-5": Shade("#7f8db1", "#b5dbff"),
    "hue-6": Shade("#4a3115", "#968a78"),
}
INK = {name: shade.light for name, shade in SHADES.items()}
_HUES = tuple(colour for name, colour in INK.items() if name.startswith("hue"))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_DASHES = ((4, 2), (1.2, 1.6), (6, 1.6, 1.2, 1.6), (8, 3))

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.parse_math": False,
    "text.color": INK["ink"],
    "figure.facecolor": INK["paper"],
    "axes.facecolor": "none",
    "axes.edgecolor": INK["axis"],
    "axes.labelcolor": INK["label"],
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": INK["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": INK["axis"],
    "ytick.color": INK["axis"],
    "xtick.labelcolor": INK["label"],
    "ytick.labelcolor": INK["label"],
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.4,
    "legend.labelspacing": 0.35,
    "legend.borderaxespad": 0.2,
    "lines.markersize": 4.2,
}


class Pen(NamedTuple):
    """How one label is drawn wherever it stands in a figure."""

    colour: str
    marker: str
    dashes: tuple[float, ...]


def pens(panels: Iterable[Panel]) -> dict[str, Pen]:
    """A pen for every label, in order of appearance, the same in all `panels` of a figure.

    A theory `of` a series takes the colour of that series; a theory of none is drawn in ink.
    """
    series = [one for panel in panels for one in panel.series]
    found: dict[str, Pen] = {}
    hues = zip(cycle(_HUES), cycle(_MARKERS), strict=False)
    for one in series:
        if one.label not in found and not isinstance(one, Theory):
            found[one.label] = Pen(*next(hues), _DASHES[0])
    dashes = cycle(_DASHES)
    for one in series:
        if one.label in found or not isinstance(one, Theory):
            continue
        if one.of is not None and one.of not in found:
            raise ValueError(f"theory {one.label!r} is of {one.of!r}, which is no series of this figure.")
        found[one.label] = Pen(found[one.of].colour if one.of else INK["ink"], "", next(dashes))
    return found
