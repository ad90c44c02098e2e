"""A section as GitHub-flavoured Markdown: pipe tables, figures as links to the SVG files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ttr_numerics.report.notation import cell
from ttr_numerics.report.rows import Study, Value
from ttr_numerics.report.section import Figure, Section, Table, figure_file, numeric_columns

__all__ = ["render_markdown"]

_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\*<>\[\]|]|(?<!\w)_|_(?!\w))")


def render_markdown(section: Section, study: Study) -> str:
    """The report of one analysis, in the order of the page. Text in backticks is code; all else is text."""
    blocks = [
        f"# {_text(section.title)}",
        f"*{_text(section.question)}*",
        f"**Answer.** {_text(section.answer)}",
        f"**Compared.** {_text(section.compared)}",
        *(_table(table) for table in section.tables),
        *(_figure(section, figure, study) for figure in section.figures),
        *_limits(section.limits),
        *_provenance(study),
    ]
    return "\n\n".join(blocks) + "\n"


def _text(text: str) -> str:
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if _CODE.fullmatch(part) else _SPECIAL.sub(r"\\\1", part) for part in parts)


def _cell(value: Value) -> str:
    parts = _CODE.split(" ".join(cell(value).split()))
    return "".join(part.replace("|", r"\|") if _CODE.fullmatch(part) else _text(part) for part in parts)


def _table(table: Table) -> str:
    lines = [
        _line(_cell(column) for column in table.columns),
        _line("---:" if right else "---" for right in numeric_columns(table)),
        *(_line(_cell(value) for value in row) for row in table.rows),
    ]
    note = f"\n\n{_text(table.note)}" if table.note else ""
    return f"**{_text(table.title)}**\n\n" + "\n".join(lines) + note


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(section: Section, figure: Figure, study: Study) -> str:
    link = f"![{_text(figure.caption)}](figures/{figure_file(section, figure)})"
    said = (("Grid", figure.grid), ("Intervals", figure.interval), ("Theory", figure.theory))
    facts = [f"- {name}: {_text(text)}" for name, text in said if text]
    facts += [f"- Command: `{study.command}`", f"- Rows: [{study.analysis}.jsonl]({study.analysis}.jsonl)"]
    return f"## {_text(figure.finding)}\n\n{link}\n\n{_text(figure.caption)}\n\n" + "\n".join(facts)


def _limits(limits: tuple[str, ...]) -> Iterator[str]:
    if limits:
        yield "## What was not done"
        yield "\n".join(f"- {_text(limit)}" for limit in limits)


def _provenance(study: Study) -> Iterator[str]:
    yield "## To measure it again"
    yield f"```\n{study.command}\n```"
    yield "\n".join(
        [
            f"- rows: [{study.analysis}.jsonl]({study.analysis}.jsonl), {len(study.rows)} of them",
            f"- seed: {study.seed}",
            f"- versions: {_pairs(study.versions)}",
            f"- threads: {_pairs(study.threads)}",
        ]
    )


def _pairs(values: Mapping[str, str]) -> str:
    return _text(", ".join(f"{name} {value}" for name, value in sorted(values.items())))
