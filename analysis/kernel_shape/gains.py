"""Which gains were best: how often an end of those tried, and how near a map then is to what it tends to."""

from collections.abc import Sequence
from typing import Any

from analysis.kernel_shape.measured import RANDOM
from analysis.kernel_shape.shapes import FACTORS, SHAPES, Shape
from analysis.kernel_shape.treatments import EXACT, UNIT
from analysis.rows import Rows, chosen

__all__ = ["at_an_end"]

Row = dict[str, Any]


def at_an_end(rows: Rows) -> str:
    """A sentence on the ends of the gains; none where no map that was measured has more than one."""
    found = chosen(rows, what="error", values=RANDOM)
    most, least = [], []
    for shape in (s for s in SHAPES if len(s.factors) > 1):
        own = chosen(found, shape=shape.name)
        top, bottom = (_chosen_at(own, shape, end) for end in (-1, 0))
        if top:
            most.append(f"{shape.name} {len(top)} of {len(own)} ({_limit(found, shape, top)})")
        if bottom:
            solved = len(chosen(bottom, treatment=EXACT))
            least.append(f"{shape.name} {len(bottom)} of {len(own)}, {solved} of them least squares")
    if not most and not least:
        return ""
    return (
        f"Gains end at {FACTORS[0]:g} and {FACTORS[-1]:g} times the one that makes entries of size 1. Best was the "
        f"largest for {'; '.join(most) or 'none'}: there a map has nearly its limit. Best was the smallest for "
        f"{'; '.join(least) or 'none'}: there a centred map is nearly linear, and least squares hardly feel the gain."
    )


def _chosen_at(own: Sequence[Row], shape: Shape, end: int) -> list[Row]:
    return [row for row in own if row["gain"] == shape.gains(row["features"])[end]]


def _limit(found: Rows, shape: Shape, top: Sequence[Row]) -> str:
    """What features of unit length tend to, and where that is a map of the study, how near they are."""
    ratios = []
    for row in chosen(top, treatment=UNIT):
        same = {name: row[name] for name in ("source", "features", "treatment")}
        beside = [other["dimension"] for other in chosen(found, shape=shape.limit, **same)]
        ratios += [row["dimension"] / dimension for dimension in beside if dimension and row["dimension"]]
    if not ratios:
        return f"it tends to {shape.limit}"
    return f"it tends to {shape.limit}, of whose effective dimension it then has {min(ratios):.2f} to {max(ratios):.2f}"
