"""Stored rows to figures, Markdown and one self-contained page. Nothing here knows a layer or measures."""

from ttr_numerics.report.drawing import Drawing, page_drawings
from ttr_numerics.report.figures import Cloud, Curve, Heatmap, Measured, Panel, Series, Theory
from ttr_numerics.report.files import write_atomically
from ttr_numerics.report.markdown import render_markdown
from ttr_numerics.report.page import drawings_of, render_html
from ttr_numerics.report.rows import Row, Study, Value, read_study, threads, versions, write_study
from ttr_numerics.report.section import Figure, Section, Table, figure_file
from ttr_numerics.report.standalone import figure_svg

__all__ = [
    "Cloud",
    "Curve",
    "Drawing",
    "Figure",
    "Heatmap",
    "Measured",
    "Panel",
    "Row",
    "Section",
    "Series",
    "Study",
    "Table",
    "Theory",
    "Value",
    "drawings_of",
    "figure_file",
    "figure_svg",
    "page_drawings",
    "read_study",
    "render_html",
    "render_markdown",
    "threads",
    "versions",
    "write_atomically",
    "write_study",
]
