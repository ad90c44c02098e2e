"""Each map against plain keys of the same dimension."""

from analysis.kernel_shape.keys import FIXED, FREE
from analysis.kernel_shape.measured import LEAST, RANDOM
from analysis.kernel_shape.ratios import Ratio, halves, ratios
from analysis.kernel_shape.treatments import CENTRED, EXACT, PLAIN, UNIT
from analysis.rows import Rows
from ttr_numerics.report import Table

__all__ = ["tables"]

SOLVER = "least squares"


def tables(rows: Rows) -> tuple[Table, ...]:
    """One a kind of key; at the largest feature dimension at which the exact solver was asked."""
    return tuple(_table(rows, source) for source in dict.fromkeys(row["source"] for row in rows))


def _table(rows: Rows, source: str) -> Table:
    at = [r for r in rows if r["source"] == source and r["what"] == "error" and r["values"] == RANDOM]
    D = max(r["features"] for r in at if r["treatment"] == EXACT)
    by = {(r["shape"], r["treatment"]): r for r in at if r["features"] == D}
    held = {t: ratios(rows, source, t, D if t != EXACT else None) for t in (PLAIN, UNIT, CENTRED, EXACT)}
    asked = any(held.values())
    columns = ["map", "channels", "gain", "effective dimension, as is", "unit length", "centred", "error"]
    columns += [f"error, {SOLVER}"]
    if asked:
        columns += [f"half recall, {t}" for t in ("as is", "unit length", "centred", SOLVER)]
    lines = []
    for shape in dict.fromkeys(r["shape"] for r in at):
        plain = by[shape, PLAIN]
        of = [by[shape, t]["dimension"] for t in (PLAIN, UNIT, CENTRED)]
        errors = [x if (x := by[shape, t]["value"]) > LEAST else 0.0 for t in (UNIT, EXACT)]
        shares = [_said(held[t].get(shape)) for t in held] if asked else []
        lines.append((shape, plain["channels"], by[shape, UNIT]["gain"], *of, *errors, *shares))
    least = max((r["features"] for r in halves(rows, source, EXACT)), default=D)
    note = (
        f"D = {D}, {next(iter(by.values()))['n']} pairs, random values. Gain: for features of unit length. Effective "
        "dimension: of plain keys with the same error at its best scale, for features as they are, of unit length, and "
        "centred; empty where there is no error. Errors of features of unit length, over that of the output 0; 0 where "
        "it is rounding alone."
    )
    if asked:
        note += (
            " Half recall: pairs of which half score first, as a share of the identity's at the same D, with its 95 % "
            f"interval; least squares at D = {least}."
        )
    return Table(f"Maps on {_named(source)}", tuple(columns), lines, note)


def _said(ratio: Ratio | None) -> str | None:
    return None if ratio is None else f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _named(source: str) -> str:
    return {FREE: "random keys of as many channels as a map needs", FIXED: "random keys of 16 channels"}.get(
        source, source
    )
