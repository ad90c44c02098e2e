"""The colours, markers and type of every figure: one table, for the light page, the dark page and the files.

The hues are those of Okabe and Ito (2008), told apart under the common colour blindnesses; here the lighter
ones are darkened until each has a contrast of 3 to 1 on white, and all are lightened for the dark page. No
series is told by its hue alone: the marker or the dash changes with it.
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
    "hue-0": Shade("#0b62a8", "#6db5f0"),
    "hue-1": Shade("#c4480c", "#f4914f"),
    "hue-2": Shade("#007f5c", "#3cc79d"),
    "hue-3": Shade("#a3478c", "#e291c8"),
    "hue-4": Shade("#8f6a00", "#e3b93f"),
    "hue-5": Shade("#3d8fc0", "#a4dcfa"),
    "hue-6": Shade("#6d5a4e", "#c9b5a6"),
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
