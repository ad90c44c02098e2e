"""What a figure plots, once, as JSON for the page's script: to hover, to zoom, and to fill the table of its data.

Numbers keep six digits; all of them are in the stored rows. A series that has the x of an earlier one names its place.
NaN is null; an infinity is 1e999, which JSON allows and every reader takes for one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ttr_numerics.report.axes import lowest_end
from ttr_numerics.report.drawing import Drawing
from ttr_numerics.report.figures import Heatmap, Panel, Series, Theory
from ttr_numerics.report.ink import INK, Pen, pens

__all__ = ["embedded_json", "figure_payload"]

_NAMES = {colour: name for name, colour in INK.items()}
# What could end the element or the line it stands in, were it written as it is.
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def figure_payload(panels: Sequence[Panel | Heatmap], drawings: Sequence[Drawing]) -> dict[str, Any]:
    """The panels of a figure as plain values; the pens are those of the drawing."""
    drawn_with = pens(panel for panel in panels if isinstance(panel, Panel))
    layers = [_layers(panels, panel) for panel in panels]
    parts = zip(panels, drawings, layers, strict=True)
    return {"panels": [_panel(panel, drawing, drawn_with, of) for panel, drawing, of in parts]}


def embedded_json(value: Any) -> str:
    r"""`value` as JSON that can stand inside a `<script>` element, whatever its texts are.

    >>> embedded_json({"a": "</script><!--", "b": 1.0, "c": float("nan"), "d": (float("-inf"),)})
    '{"a":"\\u003c/script\\u003e\\u003c!--","b":1,"c":null,"d":[-1e999]}'
    """
    return _json(value).translate(_ESCAPED)


def _json(value: Any) -> str:
    match value:
        case float():
            return _short(value)
        case Mapping():
            return "{" + ",".join(f"{_json(name)}:{_json(part)}" for name, part in value.items()) + "}"
        case list() | tuple():
            return f"[{','.join(_json(part) for part in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "null" if math.isnan(value) else "1e999" if value > 0 else "-1e999"
    short = float(f"{value:.6g}")
    return str(int(short)) if short.is_integer() and abs(short) < 1e6 else repr(short)


def _layers(panels: Sequence[Panel | Heatmap], own: Panel | Heatmap) -> dict[str, str]:
    """The layer of each label that was measured, as this panel has it before the others; empty where it has none."""
    series = [one for panel in (own, *panels) if isinstance(panel, Panel) for one in panel.series]
    return {one.label: one.layer for one in reversed(series) if not isinstance(one, Theory)}


def _panel(
    panel: Panel | Heatmap, drawing: Drawing, drawn_with: Mapping[str, Pen], layers: Mapping[str, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": panel.title,
        "x": panel.x_label,
        "y": panel.y_label,
        "box": [float(f"{end:.1f}") for end in drawing.box],
    }
    if isinstance(panel, Heatmap):
        return found | {"value": panel.value_label, "across": panel.x, "up": panel.y, "values": panel.values}
    found |= {"xEnds": drawing.x_ends, "yEnds": drawing.y_ends, "xLog": panel.x_log, "yLog": panel.y_log}
    if panel.x_ticks is not None:
        found["ticks"] = panel.x_ticks
    if panel.y_log:
        found["floor"] = lowest_end(panel)
    drawn = [_series(one, drawn_with[one.label], layers) for one in panel.series]
    for place, one in enumerate(panel.series):
        first = [other.x for other in panel.series].index(one.x)
        drawn[place] |= {"x": first} if first < place else {}
    return found | {"series": drawn}


def _series(series: Series, pen: Pen, layers: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": type(series).__name__.lower(), "label": series.label}
    layer = series.layer
    if isinstance(series, Theory):
        found |= {"dash": pen.dashes} | ({"of": series.of} if series.of is not None else {})
        layer = layer or layers.get(series.of or "", "")
    else:
        found |= {"mark": pen.marker}
    found |= {"layer": layer} if layer else {}
    found |= {"ink": _NAMES[pen.colour], "x": series.x, "y": series.y}
    return found | ({"low": series.low, "high": series.high} if series.low is not None else {})
