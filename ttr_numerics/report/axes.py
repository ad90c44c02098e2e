"""One panel or heat map onto one pair of matplotlib axes.

What an axis cannot show (not finite, not positive on a logarithmic axis, or at the very ends of the floating-point
range, where its margins overflow) is left out of the drawing and counted in its corner; it stays in the data beside the
figure. A bar that would reach zero or below on a logarithmic axis ends at half the smallest positive value of its
panel; an end that cannot be shown is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.colors import CenteredNorm, LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from ttr_numerics.report.figures import Cloud, Curve, Heatmap, Measured, Panel, Series, Theory
from ttr_numerics.report.ink import INK, Pen
from ttr_numerics.report.notation import power, tick

__all__ = ["draw_heatmap", "draw_panel", "lowest_end"]

_FEW_POINTS = 20  # small markers would be lost among the lines
_MANY_POINTS = 400
_MANY_TICKS = 9
_FARTHEST = 1e300
_ONE_PLACE = 1 + 1e-6  # ticks are written to six digits


def draw_panel(axes: Any, panel: Panel, pens: Mapping[str, Pen]) -> list[list[Any]]:
    """Scales first, then the series from back to front: bands, theory over measured points. What each was drawn by."""
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.set_xscale("log" if panel.x_log else "linear")
    axes.set_yscale("log" if panel.y_log else "linear")
    floor = lowest_end(panel)
    hidden = 0
    artists = []
    for series in panel.series:
        points = [p for p in _points(series, floor) if _shown(p[0], panel.x_log) and _shown(p[1], panel.y_log)]
        hidden += 0 if isinstance(series, Theory) else len(series.x) - len(points)
        artists.append(_draw_series(axes, series, points, pens[series.label]))
    axes.set(**{f"{name}lim": ends for name, ends in (("x", panel.x_range), ("y", panel.y_range)) if ends})
    for axis, log in ((axes.xaxis, panel.x_log), (axes.yaxis, panel.y_log)):
        if log:
            _widen(axis)
            _label_powers(axis)
    if panel.x_ticks is not None:
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(panel.x_ticks, [tick(place) for place in panel.x_ticks])
    if hidden:
        note = f"{hidden} of the points cannot be shown on these axes"
        axes.text(0.01, 0.02, note, transform=axes.transAxes, fontsize=7.5, color=INK["label"])
    return artists


def draw_heatmap(axes: Any, heatmap: Heatmap) -> None:
    """One pixel for each value, enlarged by the viewer; row 0 at the bottom; a colour bar with its unit."""
    finite = [v for row in heatmap.values for v in row if _shown(v, heatmap.value_log)]
    low, high = (min(finite), max(finite)) if finite else (1.0, 1.0)
    norm = LogNorm(low, high) if heatmap.value_log else Normalize(low, high)
    if heatmap.centre is not None:
        norm = CenteredNorm(heatmap.centre, max(abs(low - heatmap.centre), abs(high - heatmap.centre)))
    values = [[v if _shown(v, heatmap.value_log) else math.nan for v in row] for row in heatmap.values]
    colours = "cividis" if heatmap.centre is None else "PuOr"
    image = axes.imshow(values, norm=norm, cmap=colours, origin="lower", aspect="auto", interpolation="none")
    axes.set(xlabel=heatmap.x_label, ylabel=heatmap.y_label)
    axes.grid(visible=False)
    for axis, names in ((axes.xaxis, heatmap.x), (axes.yaxis, heatmap.y)):
        places = range(0, len(names), -(-len(names) // _MANY_TICKS))
        axis.set_ticks(list(places), [tick(names[place]) for place in places])
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06)
    bar.set_label(heatmap.value_label)
    bar.outline.set_visible(False)
    if heatmap.value_log:
        _label_powers(bar.ax.yaxis)


def _widen(axis: Any) -> None:
    """A decade about points that share one place up to rounding, whose logarithms may not differ at all."""
    low, high = axis.get_view_interval()
    if high / low < _ONE_PLACE:
        axis.set_view_interval(low / math.sqrt(10), high * math.sqrt(10), ignore=True)


def _label_powers(axis: Any) -> None:
    """Plain numbers where all are short, powers of ten elsewhere; 1, 2, 5 within less than two decades."""
    low, high = axis.get_view_interval()
    plain = low >= 1e-3 and high < 2e4
    if high / low < 100:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if plain else power(value)))
    axis.set_minor_formatter(NullFormatter())


def _draw_series(axes: Any, series: Series, points: Sequence[tuple[float, ...]], pen: Pen) -> list[Any]:
    drawn = []
    x, y, low, high = (list(column) for column in zip(*points, strict=True)) if points else ([], [], [], [])
    ranged = series.low is not None
    match series:
        case Measured():
            style = {"color": pen.colour, "linewidth": 0.9, "zorder": 3}
            drawn += axes.plot(x, y, marker=pen.marker, label=series.label, **style)
            if ranged:
                drawn.append(axes.vlines(x, low, high, **style))
                drawn += axes.plot([*x, *x], [*low, *high], linestyle="none", marker="_", **style)
        case Curve():
            drawn += axes.plot(x, y, color=pen.colour, linewidth=1.4, label=series.label, zorder=2.5)
        case Cloud():
            size = 4.2 if len(x) <= _FEW_POINTS else 2.6
            style = {"color": pen.colour, "marker": pen.marker, "markersize": size, "markeredgewidth": 0}
            many = len(x) > _MANY_POINTS
            drawn += axes.plot(x, y, linestyle="none", alpha=0.6, rasterized=many, label=series.label, **style)
        case Theory():
            drawn += axes.plot(x, y, color=pen.colour, linewidth=1.3, dashes=pen.dashes, label=series.label, zorder=4)
        case _:
            raise ValueError(f"series {series.label!r} is a {type(series).__name__}; choose one of its kinds.")
    if ranged and not isinstance(series, Measured):
        drawn.append(axes.fill_between(x, low, high, color=pen.colour, alpha=0.16, linewidth=0, zorder=1.5))
    return drawn


def _points(series: Series, floor: float) -> list[tuple[float, ...]]:
    """(x, y, low, high) of every point, an end that is not finite moved to its y."""
    ends = [
        [max(end, floor) if abs(end) <= _FARTHEST else y for y, end in zip(series.y, given, strict=True)]
        for given in (series.low or series.y, series.high or series.y)
    ]
    return list(zip(series.x, series.y, *ends, strict=True))


def lowest_end(panel: Panel) -> float:
    """Where a bar ends that would reach zero or below on a logarithmic axis."""
    if not panel.y_log:
        return -math.inf
    drawn = [v for series in panel.series for v in (*series.y, *(series.low or ())) if _shown(v, True)]
    return min(drawn, default=1.0) / 2


def _shown(value: float, log: bool) -> bool:
    return abs(value) <= _FARTHEST and (value >= 1 / _FARTHEST or not log)
