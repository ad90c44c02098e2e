"""A section of nothing but a study's grid and its rows, for studies that come without one of their own.

Each numeric column is drawn over the first numeric axis of the grid, a line for each combination of the other axes and
words of the rows; `low` and `high` beside a column named `value`, or NAME_low and NAME_high beside NAME, are its bars.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ttr_numerics.report import Cloud, Figure, Measured, Panel, Section, Series, Table
from ttr_numerics.study import Study
from ttr_numerics.study.study import GIVEN

__all__ = ["section_of"]

PANELS, LINES, ROWS = 6, 12, 200  # most of each; what is left out is said

Row = Mapping[str, Any]


def section_of(study: Study, name: str, rows: Sequence[Row]) -> Section:
    """The section, whose answer says how much was measured: what was found is for the reader to see."""
    rows = [{key: value for key, value in row.items() if key != "content"} for row in rows]
    axes = _axes(study)
    found = list(dict.fromkeys(key for row in rows for key in row))
    measured = [key for key in found if key not in axes and key not in GIVEN and _numeric(rows, key)]
    drawn = [key for key in measured if not _is_end(key, measured) and _drawable(rows, key)]
    blank = [key for key in measured if not _drawable(rows, key)]
    words = [key for key in found if key not in axes and key not in measured]
    columns = [axis for axis in axes if axis in found] + words
    columns += [part for key in drawn for part in (key, *_ends(key)) if part in measured]
    columns += [key for key in measured if key not in columns]
    across = next((axis for axis in axes if _numeric(rows, axis) and _places(rows, axis) > 1), None)
    told_apart = [key for key in columns if key != across and key not in measured]
    figures = [_figure(rows, across, drawn[:PANELS], told_apart, study)] if across is not None and drawn else []
    limits = [*_left_out(study, rows), *_undrawn(drawn, rows, across, told_apart)]
    limits += [f"Not drawn, as they have no number that a figure can show: {', '.join(blank)}."] if blank else []
    return Section(
        name,
        study.name,
        study.question,
        f"{len(rows)} rows of {len(study.cells)} cells.",
        f"{', '.join(drawn) or 'Nothing numeric'} over {', '.join(axes) or 'a single cell'}.",
        tuple(figures),
        (_table(columns, rows),),
        tuple(limits),
    )


def _axes(study: Study) -> list[str]:
    return [name for name in dict.fromkeys(name for cell in study.cells for name in cell) if name not in GIVEN]


def _numeric(rows: Sequence[Row], key: str) -> bool:
    values = [row[key] for row in rows if row.get(key) is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _drawable(rows: Sequence[Row], key: str) -> bool:
    return any(_finite(row.get(key)) for row in rows)


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(_float(value))


def _float(value: float) -> float:
    """Infinite where a whole number is beyond what a float64 holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _places(rows: Sequence[Row], axis: str) -> int:
    return len({row[axis] for row in rows if _finite(row.get(axis))})


def _ends(key: str) -> tuple[str, str]:
    """The names of the ends of a column's bars."""
    return ("low", "high") if key == "value" else (f"{key}_low", f"{key}_high")


def _is_end(key: str, measured: Sequence[str]) -> bool:
    return any(key in _ends(whole) for whole in measured)


def _figure(rows: Sequence[Row], across: str, drawn: Sequence[str], told_apart: Sequence[str], study: Study) -> Figure:
    panels = [_panel(rows, across, key, told_apart) for key in drawn]
    ranged = any(series.low is not None for panel in panels for series in panel.series)
    grid = "; ".join(f"{axis}: {_values(study, axis)}" for axis in _axes(study))
    return Figure(
        "rows",
        tuple(panels),
        f"{', '.join(drawn)} over {across}.",
        f"Every row of the study, a panel a column over {across}.",
        grid,
        "From low to high, as the study gives them." if ranged else "",
    )


def _values(study: Study, axis: str) -> str:
    found = list(dict.fromkeys(str(cell[axis]) for cell in study.cells if axis in cell))
    return ", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")


def _panel(rows: Sequence[Row], across: str, key: str, told_apart: Sequence[str]) -> Panel:
    shown = [row for row in rows if row.get(across) is not None and row.get(key) is not None]
    varied = [name for name in told_apart if len({_word(row.get(name)) for row in shown}) > 1]
    lines: dict[str, list[Row]] = {}
    for row in shown:
        lines.setdefault(", ".join(f"{name} {_word(row.get(name))}" for name in varied) or key, []).append(row)
    series = [_series(label, line, across, key) for label, line in list(lines.items())[:LINES]]
    places = [x for one in series for x in one.x]
    heights = [y for one in series for y in one.y]
    ticks = sorted(set(places))
    return Panel(
        key,
        across,
        key,
        tuple(series),
        x_log=_spans(places, 8),
        y_log=_spans(heights, 100),
        x_ticks=ticks if len(ticks) <= 8 else None,
    )


def _word(value: Any) -> str:
    """A value as a label has it: the text "1" is not the number 1."""
    if not isinstance(value, str):
        return str(value)
    try:
        float(value)
    except ValueError:
        return repr(value) if value in ("", "None", "True", "False") else value
    return repr(value)


def _series(label: str, line: Sequence[Row], across: str, key: str) -> Series:
    line = sorted(line, key=lambda row: _float(row[across]))
    x, y = [_float(row[across]) for row in line], [_float(row[key]) for row in line]
    low, high = _ends(key)
    ends: tuple[list[float] | None, list[float] | None] = (None, None)
    if all(row.get(end) is not None for row in line for end in (low, high)):
        ends = ([_float(row[low]) for row in line], [_float(row[high]) for row in line])
    repeated = any(len(list(same)) > 1 for _, same in groupby(x))
    return (Cloud if repeated else Measured)(label, x, y, *ends, layer=str(line[0].get("layer") or ""))


def _spans(values: Sequence[float], factor: float) -> bool:
    """Whether a logarithmic axis serves these better."""
    return bool(values) and min(values) > 0 and max(values) >= factor * min(values)


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    kept = [tuple(row.get(key) for key in columns) for row in rows[:ROWS]]
    note = f"The first {ROWS} of {len(rows)} rows; all are in the file of rows." if len(rows) > ROWS else ""
    return Table("Rows", tuple(columns), kept, note)


def _left_out(study: Study, rows: Sequence[Row]) -> list[str]:
    """Cells without a row: they failed, or measured nothing."""
    axes = _axes(study)
    seen = {tuple(_word(row.get(axis)) for axis in axes) for row in rows}  # words: no NaN is another
    without = sum(tuple(_word(cell.get(axis)) for axis in axes) not in seen for cell in study.cells)
    return [f"{without} of {len(study.cells)} cells have no row."] if without else []


def _undrawn(drawn: Sequence[str], rows: Sequence[Row], across: str | None, told_apart: Sequence[str]) -> list[str]:
    said = []
    if across is None:
        said.append("No figure: no axis of the grid has two numbers.")
    if len(drawn) > PANELS:
        said.append(f"Not drawn: {', '.join(drawn[PANELS:])}.")
    lines = len({tuple(_word(row.get(name)) for name in told_apart) for row in rows})
    if across is not None and lines > LINES:
        said.append(f"Drawn are the first {LINES} of {lines} lines; the table has the others.")
    return said
