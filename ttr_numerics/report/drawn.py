"""What matplotlib drew in an SVG file, taken apart: strokes, areas, marks, words and images, in their order.

Groups that do nothing are gone, what shows nothing is left out, and each piece says whether the axes cut it off and
for which series it was drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ttr_numerics.report.ink import INK
from ttr_numerics.report.outline import Outline, Point, number, outline

__all__ = ["SERIES", "Atom", "Drawn", "Look", "drawn", "moved"]

SERIES = "series-"  # ids of the groups that hold a series, before its place

_NAMES = {colour: name for name, colour in INK.items()}
_ATTRIBUTES = ("stroke-width", "stroke-dasharray", "fill-opacity", "font-size", "font-weight", "text-anchor")
_IDLE = {"stroke-width": "1", "text-anchor": "start"}
_HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Look:
    """What neighbours must share to be drawn together."""

    kind: str
    attributes: str
    clipped: bool
    series: str


@dataclass(frozen=True)
class Atom:
    """One stroke or area, one mark at a place, one word, or one image."""

    look: Look
    shape: Outline = ()
    at: Point = (0.0, 0.0)
    text: str = ""


@dataclass(frozen=True)
class Drawn:
    """The pieces of a file, and the rectangle of its axes where they may cut something off."""

    atoms: tuple[Atom, ...]
    clip: tuple[float, ...] | None


def drawn(svg: str) -> Drawn:
    """The pieces of matplotlib's file."""
    root = ElementTree.fromstring(svg[svg.index("<svg ") :])
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if _HREF in element.attrib:
            element.set("href", element.attrib.pop(_HREF))
    reader = _Reader({element.get("id", ""): element for element in root.iter()})
    atoms = tuple(reader.atoms(root, "", ""))
    return Drawn(atoms, reader.clip)


def moved(shape: Outline, by: Point) -> Outline:
    """The shape in another place."""
    return tuple((letter, tuple((x + by[0], y + by[1]) for x, y in points)) for letter, points in shape)


class _Reader:
    """Walks the tree of one file; `clip` is the rectangle of its axes, once one was met."""

    def __init__(self, named: Mapping[str, Element]) -> None:
        self.named = named
        self.clip: tuple[float, ...] | None = None

    def atoms(self, element: Element, clip: str, series: str) -> Iterator[Atom]:
        clip = element.get("clip-path", clip)
        name = element.get("id", "")
        series = name.removeprefix(SERIES) if name.startswith(SERIES) else series
        match element.tag:
            case "defs" | "title" | "metadata":
                return
            case "path":
                yield from self._stroke(outline(element.get("d", "")), _style(element), clip, series)
            case "use":
                yield from self._mark(element, clip, series)
            case "text":
                yield self._word(element, series)
            case "image":
                kept = {k: v for k, v in element.attrib.items() if k != "id"}
                kept["href"] = "".join(kept["href"].split())
                text = "".join(f' {k}="{escape(v)}"' for k, v in kept.items())
                yield Atom(Look("image", "", False, series), text=f"<image{text}/>")
            case _:
                inner = [atom for child in element for atom in self.atoms(child, clip, series)]
                yield from _gathered(inner) if name.startswith("matplotlib.axis") else inner

    def _stroke(self, shape: Outline, style: dict[str, str], clip: str, series: str) -> Iterator[Atom]:
        inked = [style.get(what, "none") for what in ("fill", "stroke")]
        if inked in (["none", "none"], [INK["paper"], "none"]):
            return
        kind = "stroke" if inked[0] == "none" else "area"
        yield Atom(Look(kind, _attributes(style), self._leaves(shape, clip, 0.0), series), shape)

    def _mark(self, element: Element, clip: str, series: str) -> Iterator[Atom]:
        """A tick or an end of a bar as a stroke in its place; a marker as a reference to its shape."""
        definition = self.named[element.get("href", "")[1:]]
        shape = outline(definition.get("d", ""))
        style = _style(definition) | _style(element)
        at = (float(element.get("x", 0)), float(element.get("y", 0)))
        placed = moved(shape, at)
        if len(shape) == 2:  # one segment: nothing to fill
            yield from self._stroke(placed, style | {"fill": "none"}, clip, series)
            return
        if at[0] == 0:  # a band: matplotlib places the outlines of collections by the corner of the drawing
            yield from self._stroke(placed, style, clip, series)
            return
        clipped = self._leaves(placed, clip, 0.4)
        yield Atom(Look("mark", _attributes(style), clipped, series), shape, at)

    def _word(self, element: Element, series: str) -> Atom:
        style = _style(element)
        style["font-size"] = style.get("font-size", "").removesuffix("px")
        x, y = (float(element.get(axis, 0)) for axis in "xy")
        turn = re.match(r"rotate\((-?[\d.]+) ", element.get("transform", ""))
        turned = f' transform="rotate({number(float(turn[1]))} {number(x)} {number(y)})"' if turn else ""
        turned = "" if turn and float(turn[1]) == 0 else turned
        text = f'<text x="{number(x)}" y="{number(y)}"{turned}>{escape(element.text or "", quote=False)}</text>'
        return Atom(Look("word", _attributes(style), False, series), text=text)

    def _leaves(self, shape: Outline, clip: str, margin: float) -> bool:
        """Whether the axes' rectangle cuts anything off."""
        if not clip:
            return False
        rectangle = self.named[clip[5:-1]][0]
        left, top, width, height = (float(rectangle.get(key, 0)) for key in ("x", "y", "width", "height"))
        self.clip = (left, top, width, height)
        margin = 0.06 - margin
        return any(
            not (left - margin <= x <= left + width + margin and top - margin <= y <= top + height + margin)
            for _, points in shape
            for x, y in points
        )


def _gathered(atoms: list[Atom]) -> list[Atom]:
    """Of an axis, whose lines cross none of its words: all of one look together."""
    order = list(dict.fromkeys(atom.look for atom in atoms))
    return sorted(atoms, key=lambda atom: order.index(atom.look))


def _style(element: Element) -> dict[str, str]:
    declared = (part.partition(":") for part in element.get("style", "").split(";") if ":" in part)
    return {name.strip(): value.strip() for name, _, value in declared}


def _attributes(style: Mapping[str, str]) -> str:
    """Colours as classes, what else is drawn as attributes."""
    inks = [
        f"{letter}-{_NAMES[style[what]]}" for letter, what in (("f", "fill"), ("s", "stroke")) if _inked(style, what)
    ]
    kept = [(key, style[key]) for key in _ATTRIBUTES if key in style and style[key] != _IDLE.get(key)]
    if "s-" not in " ".join(inks):
        kept = [(key, value) for key, value in kept if not key.startswith("stroke")]
    classes = f' class="{" ".join(inks)}"' if inks else ""
    return classes + "".join(f' {key}="{value}"' for key, value in kept)


def _inked(style: Mapping[str, str], what: str) -> bool:
    return style.get(what, "none") in _NAMES
