"""What a figure shows, without how it is drawn: series, panels and heat maps as plain frozen values.

The kind of a series is its class. `Measured` is points joined by a thin line, with error bars; `Curve` a
solid line with a band, for densely measured points; `Cloud` loose points; `Theory` a dashed line, in the
colour of the series it is `of`. `low` and `high` are the ends of the bar or band, not its lengths.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Cloud", "Curve", "Heatmap", "Measured", "Panel", "Series", "Theory", "plotted", "spoken"]

Numbers = Sequence[float]


@dataclass(frozen=True)
class Series:
    """Points (x, y) of equal number, and optionally the interval [low, high] about each y.

    `layer` is what a page filters by: the layer or method whose points these are. Lines without one are not filtered,
    unless no line of the page has one: then the page filters by label.
    """

    label: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    layer: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.label!r}: give both low and high, or neither.")
        for name in ("x", "y", "low", "high"):
            values = getattr(self, name)
            if values is None:
                continue
            object.__setattr__(self, name, tuple(float(value) for value in values))
            if len(values) != len(self.x):
                raise ValueError(f"series {self.label!r}: {name} has {len(values)} values, x {len(self.x)}.")


class Measured(Series):
    """Points that were measured: markers, a thin line between them, error bars from low to high."""


class Curve(Series):
    """Points measured so densely that markers would hide them: a solid line, a band from low to high."""


class Cloud(Series):
    """Loose points in no order, rasterised inside the figure where there are many."""


@dataclass(frozen=True)
class Theory(Series):
    """A prediction: a dashed line over the measured points of the series labelled `of` (in ink if None)."""

    of: str | None = None


@dataclass(frozen=True)
class Panel:
    """One pair of axes. Labels name the quantity and its unit. `x_ticks` are labelled as plain numbers."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    x_ticks: Numbers | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "series", tuple(self.series))
        labels = [series.label for series in self.series]
        if len(set(labels)) < len(labels):
            raise ValueError(f"panel {self.title!r}: two series share a label among {labels}.")


@dataclass(frozen=True)
class Heatmap:
    """values[i][j] over the categories y[i] (upwards) and x[j]; a `centre` asks for a diverging scale."""

    title: str
    x_label: str
    y_label: str
    x: Sequence[float | str]
    y: Sequence[float | str]
    values: Sequence[Numbers]
    value_label: str
    value_log: bool = False
    centre: float | None = None

    def __post_init__(self) -> None:
        rows = tuple(tuple(float(value) for value in row) for row in self.values)
        object.__setattr__(self, "values", rows)
        if len(rows) != len(self.y) or any(len(row) != len(self.x) for row in rows):
            shape = (len(rows), {len(row) for row in rows})
            raise ValueError(f"heat map {self.title!r}: values are {shape}, expected {(len(self.y), len(self.x))}.")
        if self.value_log and self.centre is not None:
            raise ValueError(f"heat map {self.title!r}: a centre has no meaning on a logarithmic scale.")


def plotted(panel: Panel | Heatmap) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """The column names and the rows of everything that `panel` draws, in drawing order."""
    if isinstance(panel, Heatmap):
        cells = [
            (x, y, value)
            for y, row in zip(panel.y, panel.values, strict=True)
            for x, value in zip(panel.x, row, strict=True)
        ]
        return (panel.x_label, panel.y_label, panel.value_label), [*cells]
    columns: tuple[str, ...] = ("series", panel.x_label, panel.y_label)
    if any(series.low is not None for series in panel.series):
        columns += ("low", "high")
    width = len(columns) - 1
    return columns, [(series.label, *point[:width]) for series in panel.series for point in _points(series)]


def spoken(panel: Panel | Heatmap) -> str:
    """What a panel shows, for those who do not see it; its numbers are in the table beside it."""
    if isinstance(panel, Heatmap):
        return f"{panel.title}: heat map of {panel.value_label}, {panel.x_label} by {panel.y_label}."
    named = "; ".join(series.label for series in panel.series)
    return f"{panel.title}: {panel.y_label} over {panel.x_label}. Series: {named}."


def _points(series: Series) -> Iterable[tuple[float, ...]]:
    missing = (math.nan,) * len(series.x)
    return zip(series.x, series.y, series.low or missing, series.high or missing, strict=True)
