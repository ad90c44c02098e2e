"""How a table is laid on paper: upright, across, or across with its words broken; a printed page does not scroll."""

from __future__ import annotations

from ttr_numerics.report.notation import cell, syllables
from ttr_numerics.report.section import Table

__all__ = ["sheet_of"]

# Characters that surely fit on one line of A4 in the type of printed tables, whose sans-serif may be a wide one.
_UPRIGHT, _ACROSS = 96, 150
_BETWEEN = 1.5  # columns, in characters


def sheet_of(table: Table) -> str:
    """The class by which `table` is printed: none where the longest words of its columns fit upright, else `wide`.

    `wide broken` is for those that fit on no sheet unless words are broken.
    """
    width = sum(_longest_word(table, column) + _BETWEEN for column in range(len(table.columns)))
    return "" if width <= _UPRIGHT else "wide" if width <= _ACROSS else "wide broken"


def _longest_word(table: Table, column: int) -> int:
    """A line may end at a space, but not at the narrow one between the thousands of a number."""
    texts = (table.columns[column], *(cell(row[column]) for row in table.rows))
    return max(len(part) for text in texts for word in text.split(" ") for part in syllables(word))
