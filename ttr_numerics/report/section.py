"""What a report says: a section is an answer, the tables and figures that carry it, and its limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ttr_numerics.report.figures import Heatmap, Panel
from ttr_numerics.report.rows import Value

__all__ = ["Figure", "Section", "Table", "figure_file", "is_number", "numeric_columns"]

_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")


@dataclass(frozen=True)
class Figure:
    """Panels under one plain-language `finding`; the `caption` says what was drawn, with its units.

    `grid` says what was varied and held, and the trials; `interval` what the bars are; `theory` what the dashed lines
    are, and how far they hold.
    """

    name: str
    panels: tuple[Panel | Heatmap, ...]
    finding: str
    caption: str
    grid: str = ""
    interval: str = ""
    theory: str = ""

    def __post_init__(self) -> None:
        _check_name("figure", self.name)
        object.__setattr__(self, "panels", tuple(self.panels))
        if not self.panels:
            raise ValueError(f"figure {self.name!r} has no panels.")


@dataclass(frozen=True)
class Table:
    """Rows of cells under named columns. Floats are shown to three digits and sorted by their full value."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(tuple(row) for row in self.rows))
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}: row {number} has {len(row)} cells, expected {len(self.columns)}."
                )


@dataclass(frozen=True)
class Section:
    """One question and its answer (one to three sentences); `compared` says what stood against what."""

    name: str
    title: str
    question: str
    answer: str
    compared: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...] = ()
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name("section", self.name)
        if isinstance(self.limits, str):
            raise ValueError(f"section {self.name!r}: limits is one string; expected a tuple of sentences.")
        names = [figure.name for figure in self.figures]
        if len(set(names)) < len(names):
            raise ValueError(f"section {self.name!r}: two figures share a name among {names}.")


def is_number(value: Value) -> bool:
    """Whether a cell is set, aligned and sorted as a number; a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_columns(table: Table) -> tuple[bool, ...]:
    """For each column, whether all its cells are numbers or missing."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return tuple(all(value is None or is_number(value) for value in column) for column in columns)


def figure_file(section: Section, figure: Figure) -> str:
    """The file name of a figure beside the Markdown report, unique among all analyses."""
    return f"{section.name}-{figure.name}.svg"


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a {what} name makes file names and links: got {name!r}, expected like 'real_keys'.")
