"""Outlines: the path data of an SVG file as commands with their points, and as few characters again.

M and L go to a point, Q and C by control points, z closes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["Outline", "Point", "number", "outline", "path"]

Point = tuple[float, float]
Outline = tuple[tuple[str, tuple[Point, ...]], ...]

_COMMAND = re.compile(r"([MLQCz])([^MLQCz]*)")


def outline(data: str) -> Outline:
    """The commands of absolute path data.

    >>> outline("M 0 1 L 2 3 z")
    (('M', ((0.0, 1.0),)), ('L', ((2.0, 3.0),)), ('z', ()))
    """
    return tuple((letter, _points(ends)) for letter, ends in _COMMAND.findall(data))


def number(value: float, digits: int = 1) -> str:
    """`value` to so many decimals, without idle zeros.

    >>> number(12.04), number(-0.26), number(0.5), number(-0.04)
    ('12', '-.3', '.5', '0')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"
    return "0" if text in ("-0", "0", "") else text.replace("0.", ".") if text.lstrip("-").startswith("0.") else text


def path(shape: Outline, digits: int = 1) -> str:
    """Path data in steps of 10^-digits: each point from the one before, which is rounded too, so that no error adds up.

    >>> path(outline("M 10 20 L 10 30.04 L 15 30 L 16.26 28 z"))
    'M10 20v10h5l1.3-2z'
    """
    unit, here, said = 10**digits, (0, 0), ""
    for letter, points in shape:
        ends = [(round(x * unit), round(y * unit)) for x, y in points]
        steps = [(x - here[0], y - here[1]) for x, y in ends]
        if letter == "M":
            said += "M" + _joined([end for pair in ends for end in pair], digits)
        elif letter == "L" and steps[0][1] == 0:
            said += "h" + _joined([steps[0][0]], digits)
        elif letter == "L" and steps[0][0] == 0:
            said += "v" + _joined([steps[0][1]], digits)
        else:
            said += letter.lower() + _joined([end for pair in steps for end in pair], digits)
        here = ends[-1] if ends else here
    return said


def _points(ends: str) -> tuple[Point, ...]:
    found = [float(end) for end in ends.split()]
    return tuple(zip(found[::2], found[1::2], strict=True))


def _joined(units: Sequence[int], digits: int) -> str:
    """Numbers of 10^-digits each, a blank only where neither a sign nor a point parts them."""
    said = ""
    for unit in units:
        text = number(unit / 10**digits, digits)
        said += text if not said or text.startswith("-") else f" {text}"
    return said
