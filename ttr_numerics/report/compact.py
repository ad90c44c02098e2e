"""A drawing of matplotlib's as the inside of one small `<svg>` element: the same picture in a fifth of the bytes.

All strokes, marks and words are there. Groups, ids and clip paths that do nothing are dropped, equal neighbours are
drawn in one path, coordinates are rounded to a tenth of a unit (a sixth of a pixel on the page), and points marked
alike are the corners of one line with markers. Colours become classes, so that one drawing serves light and dark. What
was drawn for series `i` stays together under `data-s="i"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ttr_numerics.report.drawn import Atom, Look, drawn, moved
from ttr_numerics.report.outline import Outline, number, path

__all__ = ["compact"]

_Marker = tuple[Outline, str]  # a shape and its attributes


def compact(svg: str, name: str) -> str:
    """What the `<svg>` element of matplotlib's file holds; `name` makes its few ids unique on a page."""
    found, writer = drawn(svg), _Writer(name)
    body = writer.body(found.atoms)
    cut = found.clip is not None and any(atom.look.clipped for atom in found.atoms)
    clip = f'<clipPath id="{name}-c"><rect {_box(found.clip or ())}/></clipPath>' if cut else ""
    inner = clip + writer.definitions()
    return (f"<defs>{inner}</defs>" if inner else "") + body


class _Writer:
    """Atoms as elements; `marks` are the markers met so far, by the name of each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[_Marker, str] = {}

    def body(self, atoms: Sequence[Atom]) -> str:
        """All of them in their order, what belongs to one series in one group."""
        parts = []
        for series, of_series in groupby(atoms, key=lambda atom: atom.look.series):
            runs = [list(run) for _, run in groupby(of_series, key=lambda atom: (atom.look, _marker(atom)))]
            drawn = "".join(self._runs(runs))
            parts.append(f'<g data-s="{series}">{drawn}</g>' if series else drawn)
        return "".join(parts)

    def definitions(self) -> str:
        """The markers, whose outlines are finer than a tenth."""
        frame = 'overflow="visible" markerUnits="userSpaceOnUse"'
        return "".join(
            f'<marker id="{each}" {frame}><path{attributes} d="{path(shape, 2)}"/></marker>'
            for (shape, attributes), each in self.marks.items()
        )

    def _runs(self, runs: Sequence[list[Atom]]) -> Iterator[str]:
        """Each run as an element; marks that stand just at the corners of the line before them are worn by it."""
        worn = False
        for run, following in zip(runs, [*runs[1:], []], strict=True):
            marker, was_worn = _marker(run[0]), worn
            worn = marker is None and _at_corners(run, following)
            if marker is None:
                yield self._element(run, self._wearing(following) if worn else "")
            elif not was_worn:
                yield self._marks(run)

    def _element(self, run: Sequence[Atom], style: str) -> str:
        look = run[0].look
        match look.kind:
            case "word":
                return f"<g{look.attributes}>{''.join(atom.text for atom in run)}</g>"
            case "image":
                return "".join(atom.text for atom in run)
            case _:
                data = "".join(path(atom.shape) for atom in run)
                return f'<path{look.attributes}{self._clip(look)}{style} d="{data}"/>'

    def _marks(self, run: Sequence[Atom]) -> str:
        if len(run) == 1:
            outline = path(moved(run[0].shape, run[0].at))
            return f'<path{run[0].look.attributes}{self._clip(run[0].look)} d="{outline}"/>'
        corners = " ".join(f"{number(x)},{number(y)}" for x, y in (atom.at for atom in run))
        return f'<polyline points="{corners}"{self._clip(run[0].look)}{self._wearing(run)}/>'

    def _wearing(self, run: Sequence[Atom]) -> str:
        marker = _marker(run[0])
        assert marker is not None, "only marks are worn"
        return f' style="marker:url(#{self.marks.setdefault(marker, f"{self.name}-{len(self.marks)}")})"'

    def _clip(self, look: Look) -> str:
        return f' clip-path="url(#{self.name}-c)"' if look.clipped else ""


def _marker(atom: Atom) -> _Marker | None:
    return (atom.shape, atom.look.attributes) if atom.look.kind == "mark" else None


def _at_corners(run: Sequence[Atom], following: Sequence[Atom]) -> bool:
    """Whether the run is one line, and the next are marks at its corners, each once and in their order."""
    if len(run) != 1 or run[0].look.kind != "stroke" or not following or _marker(following[0]) is None:
        return False
    corners = [point for _, points in run[0].shape for point in points]
    same = len(corners) > 1 and corners == [atom.at for atom in following]
    return same and run[0].look.clipped == following[0].look.clipped


def _box(clip: tuple[float, ...]) -> str:
    pairs = zip(("x", "y", "width", "height"), clip, strict=True)
    return " ".join(f'{key}="{number(value)}"' for key, value in pairs)
