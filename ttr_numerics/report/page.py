"""All sections as one HTML file that needs nothing else: no network, no fonts, and no script to be read.

Style and script are inlined from `templates/`, figures are SVG elements, and a content security policy
forbids any request. The script adds comfort: figures that can be read, zoomed and filtered by layer, the table of what
a figure plots, sorting of tables, copying of the command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ttr_numerics.report.drawing import Drawing, page_drawings
from ttr_numerics.report.ink import FONTS, SHADES
from ttr_numerics.report.notation import cell, syllables
from ttr_numerics.report.paper import sheet_of
from ttr_numerics.report.payload import embedded_json, figure_payload
from ttr_numerics.report.rows import Study
from ttr_numerics.report.section import Figure, Section, Table, figure_file, is_number, numeric_columns

__all__ = ["drawings_of", "render_html"]

_SCRIPTS = (
    "data.js",
    "tables.js",
    "ink.js",
    "axes.js",
    "legend.js",
    "frame.js",
    "plot.js",
    "heatmap.js",
    "filter.js",
    "page.js",
    "comfort.js",
)
_WORD = re.compile(r"\S+")
_CODE = re.compile(r"`([^`\n]+)`")


def render_html(
    sections: Sequence[tuple[Section, Study]],
    title: str,
    lead: str,
    tables: Sequence[Table] = (),
    *,
    drawings: Mapping[str, Sequence[Drawing]] | None = None,
) -> str:
    """The page: `title`, `lead`, contents, each section with its study's seed, versions and command, then `tables`.

    `drawings` are those of figures that were drawn already, by the name of the figure's file.
    """
    template = _environment().get_template("page.html.j2")
    drawn = drawings or {}
    shown = {"sections": sections, "title": title, "lead": lead, "tables": tables, "drawn": drawn}
    page = template.render(**shown, shades=SHADES, fonts=Markup(FONTS), scripts=_SCRIPTS)
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
    environment.filters |= {"prose": _prose, "cell": cell, "sort_key": repr, "pairs": _pairs, "anchor": _anchor}
    environment.globals |= {
        "drawings_of": drawings_of,
        "figure_file": figure_file,
        "payload_of": _payload,
        "vendored": _vendored,
        "is_number": is_number,
        "numeric_columns": numeric_columns,
        "sheet_of": sheet_of,
    }
    return environment


def drawings_of(section: Section, figure: Figure) -> tuple[Drawing, ...]:
    """A drawing for each panel of the figure, for the page and for the figure's file."""
    return page_drawings(figure.panels, f"{section.name}-{figure.name}")


def _payload(figure: Figure, drawings: Sequence[Drawing]) -> Markup:
    return Markup(embedded_json(figure_payload(figure.panels, drawings)))


def _vendored(file: str) -> Markup:
    return Markup((files("ttr_numerics.report") / "vendor" / file).read_text(encoding="utf-8").strip())


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _prose(text: str) -> Markup:
    words = _WORD.sub(lambda word: "<wbr>".join(syllables(word[0])), str(escape(text)))
    return Markup(_CODE.sub(r"<code>\1</code>", words))


def _pairs(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))
