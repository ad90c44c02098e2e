"""The lines of a section by the layer that each shows, as the field calls it, for the page's filter."""

from collections.abc import Mapping
from dataclasses import replace

from ttr_numerics.report import Figure, Heatmap, Panel, Section, Series, Theory

__all__ = ["by_layer"]


def by_layer(section: Section, names: Mapping[str, str | None]) -> Section:
    """The section with `names[layer or label]` for the layer of every line, whose label stays; None is no layer.

    A line that `names` lacks keeps the layer it was given. Without names the section stays as it is.
    """
    if not names:
        return section
    return replace(section, figures=tuple(_figure(figure, names) for figure in section.figures))


def _figure(figure: Figure, names: Mapping[str, str | None]) -> Figure:
    return replace(figure, panels=tuple(_panel(panel, names) for panel in figure.panels))


def _panel(panel: Panel | Heatmap, names: Mapping[str, str | None]) -> Panel | Heatmap:
    if isinstance(panel, Heatmap):
        return panel
    return replace(panel, series=tuple(_series(one, names) for one in panel.series))


def _series(series: Series, names: Mapping[str, str | None]) -> Series:
    """A prediction is known by a layer of its own or by what it is `of`, never by its label."""
    known = series.layer if isinstance(series, Theory) else series.layer or series.label
    return replace(series, layer=names.get(known, series.layer) or "")
