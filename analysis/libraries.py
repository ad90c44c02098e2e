"""Rows that several array libraries computed: each has figures of its own rows alone, and a table says how they differ.

A row of NumPy has no `library`, any other has its name: see `ttr_numerics.study.Study`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Section, Table
from ttr_numerics.report.notation import number

__all__ = ["Agreement", "agreements", "by_library"]

NUMPY = "numpy"
WORDS = {NUMPY: "NumPy", "cupy": "CuPy"}


def by_library(rows: Rows, section: Callable[[Rows], Section], asked: Sequence[str], group: str) -> Section:
    """`section` of the rows of each library, one after the other; a library is named wherever it is not NumPy alone.

    `asked` are the fields that tell the rows of one library apart, `group` that with a line of the table each.
    """
    found = _by_library(rows)
    if set(found) <= {NUMPY}:
        return section(rows)
    first, *others = found
    sections = [_named(section(found[first]), first)]
    if not others:
        return sections[0]
    sections += [_set_apart(_named(section(found[name]), name), name) for name in others]
    compared = agreements(rows, asked, group)
    return replace(
        sections[0],
        answer=f"{sections[0].answer} {_words(compared)}",
        figures=tuple(chain.from_iterable(each.figures for each in sections)),
        tables=(_table(compared, group, first), *chain.from_iterable(each.tables for each in sections)),
        limits=tuple(dict.fromkeys(chain.from_iterable(each.limits for each in sections))),
    )


class Agreement(NamedTuple):
    """Rows of a library to which the first has one of the same question: how many, how many equal, how far apart."""

    library: str
    group: str
    both: int
    equal: int
    largest: float | None
    where: str


def agreements(rows: Rows, asked: Sequence[str], group: str) -> list[Agreement]:
    """How far `value` of every other library is from that of the first, for each value of `group`."""
    (_, reference), *others = _by_library(rows).items()
    known = {_question(row, asked): row["value"] for row in reference}
    found = []
    for library, own in others:
        for name in values(own, group):
            pairs = [(row, known.get(_question(row, asked))) for row in chosen(own, **{group: name})]
            apart = [(abs(row["value"] - value), row) for row, value in pairs if value is not None]
            largest, at = max(apart, key=lambda pair: pair[0], default=(None, {}))
            place = ", ".join(f"{key} = {at[key]}" for key in asked if key != group and at.get(key) is not None)
            equal = sum(distance == 0 for distance, _ in apart)
            found.append(Agreement(_word(library), name, len(apart), equal, largest, place if largest else ""))
    return found


def _by_library(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """The rows of each library, those of NumPy first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.get("library", NUMPY), []).append(row)
    return {name: found[name] for name in sorted(found, key=NUMPY.__ne__)}


def _question(row: dict[str, Any], asked: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in asked)


def _named(section: Section, library: str) -> Section:
    """The section, which says by what it was computed, as do its figures."""
    figures = [replace(each, grid=f"{each.grid} Computed by {_word(library)}.".strip()) for each in section.figures]
    return replace(section, figures=tuple(figures), answer=f"Computed by {_word(library)}. {section.answer}")


def _set_apart(section: Section, library: str) -> Section:
    """The section, whose figures and tables can stand beside those of another library."""
    figures = [
        replace(each, name=f"{each.name}-{library}", finding=f"By {_word(library)}: {each.finding}")
        for each in section.figures
    ]
    tables = [replace(each, title=f"{each.title}, by {_word(library)}") for each in section.tables]
    return replace(section, figures=tuple(figures), tables=tuple(tables))


def _words(compared: Sequence[Agreement]) -> str:
    names = " and ".join(dict.fromkeys(each.library for each in compared))
    both, equal = sum(each.both for each in compared), sum(each.equal for each in compared)
    largest = max((each.largest or 0.0 for each in compared), default=0.0)
    return (
        f"Of {both} rows that {names} computed too, {equal} come out the same to the last bit, the others within "
        f"{number(largest)}."
    )


def _table(compared: Sequence[Agreement], group: str, first: str) -> Table:
    columns = ("library", group, "rows of both", "equal to the last bit", "largest difference", "where")
    note = (
        f"Of the column `value`, against {_word(first)}, on the same keys and values. Sums are taken in other orders: "
        "means differ by rounding, shares where an answer is a tie to within rounding."
    )
    return Table("The same questions by another array library", columns, compared, note)


def _word(library: str) -> str:
    return WORDS.get(library, library)
