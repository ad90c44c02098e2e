"""The table of half-lives and worst deviations, and what was left out."""

from typing import Any

from analysis.age.deviations import counted, half_age, of_layers
from analysis.age.outside import OUTSIDE
from analysis.rows import Rows
from ttr_numerics.report import Table

__all__ = ["tables"]

COLUMNS = (
    "layer", "arguments", "formula", "d", "halfway at age", "between", "by theory", "worst deviation, standard errors",
    "worst, share of the error", "beyond three", "expected",
)  # fmt: skip


def tables(rows: Rows) -> tuple[Table, ...]:
    """Every layer in every dimension; the layers left out. None of no rows."""
    if not rows:
        return ()
    dimensions = sorted({row["d"] for row in rows})
    lines = [_line(of, d) for d in dimensions for of in of_layers(rows, d).values()]
    note = (
        "Halfway: where the error passes the middle of theory's newest and oldest, in tokens, linear between measured "
        "ages; 'between' are the ages at which the ends of a 95 % band pass that level; empty where theory is flat. "
        "Beyond three standard errors: of the ages of that line, and how many chance gives."
    )
    reasons = [(layer, why) for layer, why in OUTSIDE.items()]
    return (
        Table("Half-lives and deviations", COLUMNS, lines, note),
        Table("Layers without a curve here", ("layer", "reason"), reasons),
    )


def _line(rows: Rows, d: int) -> tuple[Any, ...]:
    half, count, first = half_age(rows), counted(rows), rows[0]
    ages: tuple[float | str | None, ...] = (None, None, None)
    if half is not None:
        ages = (half.value, f"{half.low:.1f} to {half.high:.1f}", half.theory)
    about = (first["layer"], first["setting"], first["status"], d)
    return (*about, *ages, count.worst, count.worst_share, count.beyond, count.expected)
