"""All sections as one HTML file that needs nothing else: no network, no fonts, and no script to be read.

Style and script are inlined from `templates/`, figures are SVG elements, and a content security policy
forbids any request. The script only adds comfort: sorting and filtering of tables, copying of the command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ttr_numerics.report.drawing import page_svgs
from ttr_numerics.report.figures import plotted
from ttr_numerics.report.ink import FONTS, SHADES
from ttr_numerics.report.notation import cell
from ttr_numerics.report.rows import Study
from ttr_numerics.report.section import Figure, Section, Table, is_number, numeric_columns

__all__ = ["DATA_CAP", "render_html"]

DATA_CAP = 200
_CODE = re.compile(r"`([^`\n]+)`")


def render_html(sections: Sequence[tuple[Section, Study]], title: str, lead: str) -> str:
    """The page: `title`, `lead`, contents, then each section with its study's seed, versions and command."""
    template = _environment().get_template("page.html.j2")
    page = template.render(sections=sections, title=title, lead=lead, shades=SHADES, fonts=Markup(FONTS))
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ttr_numerics.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "cell": cell, "sort_key": repr, "pairs": _pairs}
    environment.globals |= {
        "drawings": _drawings,
        "data_tables": _data_tables,
        "is_number": is_number,
        "numeric_columns": numeric_columns,
    }
    return environment


def _drawings(section: Section, figure: Figure) -> list[Markup]:
    return [Markup(svg) for svg in page_svgs(figure.panels, f"{section.name}-{figure.name}")]


def _data_tables(figure: Figure) -> tuple[list[Table], int]:
    """The plotted rows panel by panel, `DATA_CAP` of them in all, and how many were left out."""
    left, hidden, tables = DATA_CAP, 0, []
    for panel in figure.panels:
        columns, rows = plotted(panel)
        tables.append(Table(panel.title, columns, rows[:left]))
        hidden += max(len(rows) - left, 0)
        left = max(left - len(rows), 0)
    return [table for table in tables if table.rows], hidden


def _prose(text: str) -> Markup:
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))
