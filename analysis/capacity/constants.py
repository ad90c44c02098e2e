"""Tables: fitted constants with intervals, the universal curve against its reference values, and the load's limit."""

from typing import Any

import numpy as np

from analysis.capacity.laws import at_half
from analysis.capacity.notions import (
    ALL,
    ARGMAX,
    BEST_DELTA,
    DELTA,
    EXACT,
    GATED,
    GATED_DELTA,
    LEAST,
    LINEAR,
    LIST,
    MATRIX,
    MESA,
)
from analysis.capacity.transitions import Rows, chosen, values
from ttr_numerics.measure import bounds, constant, line, power_law
from ttr_numerics.report import Table

__all__ = ["limit_table", "power_table", "universal_table", "universal_words"]

ASKED = (
    (EXACT, LEAST, "d"),
    (ARGMAX, LINEAR, "d²/(2 ln n)"),
    (ARGMAX, LEAST, "d²/(2 ln n)"),
    (ARGMAX, MESA, "d²/(2 ln n)"),
    (ARGMAX, BEST_DELTA, "d²/(2 ln n)"),
    (ARGMAX, DELTA, "d ln(d/(2 ln n))"),
    (ARGMAX, GATED, "ln(d²(1-γ²)/(2 ln n))/ln(1/γ)"),
    (ARGMAX, GATED_DELTA, "none"),
    (LIST, LINEAR, "0.37 d²"),
    (LIST, LEAST, "d²"),
    (LIST, BEST_DELTA, "d²"),
    (ALL, LINEAR, "d²/(8 ln n)"),
    (ALL, LEAST, "d²/(8 ln n)"),
)
# Load 2 n ln n/d², and the range of argmax recall in an earlier measurement at d = 64, 128 and 256.
UNIVERSAL = (
    (0.25, 0.99, 1.0),
    (0.5, 0.87, 0.92),
    (0.7, 0.81, 0.83),
    (0.87, 0.66, 0.69),
    (1.2, 0.47, 0.51),
    (1.5, 0.32, 0.34),
    (2.2, 0.16, 0.22),
)
UNIVERSAL_DIMENSIONS = (64, 128, 256, 512)


def power_table(rows: Rows) -> Table:
    """n = c d^p of the pairs at one half, by notion and layer."""
    cells: list[tuple[Any, ...]] = []
    for notion, layer, law in ASKED:
        d, n = at_half(rows, layer, notion)
        if len(d) < 2:
            continue
        p, c = power_law(d, n)
        # A constant of the law with its logarithm: what multiplies d²/(2 ln n).
        load = constant(2 * n * np.log(n) / d**2) if law.startswith("d²/(") else None
        of_load = (load.value, load.low, load.high) if load else (None, None, None)
        cells.append((notion, layer, law, len(d), p.value, *_ends(p), c.value, *_ends(c), *of_load))
    columns = (
        *("notion", "layer", "law", "widths", "exponent p", "low", "high", "constant c", "c low", "c high"),
        *("2 n ln n/d²", "its low", "its high"),
    )
    note = (
        "Least squares in logarithms through the n at one half (exact: the last n with all pairs), 95 % intervals by "
        "Student's t over the widths. A law with ln n looks like a power below 2. The last columns are the mean load "
        "over the widths and its interval; 1 is d²/(2 ln n), ¼ is d²/(8 ln n)."
    )
    return Table("Fitted constants: n = c d^p", columns, cells, note)


def _ends(interval: Any) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if np.isfinite(interval.low) else (None, None)


def limit_table(rows: Rows) -> Table:
    """The load at one half by width, and three extrapolations of it to d → ∞."""
    cells: list[tuple[Any, ...]] = []
    for layer in (LINEAR, LEAST, BEST_DELTA):
        d, n = at_half(rows, layer, ARGMAX)
        if len(d) < 3:
            continue
        theory = np.array([bounds.half_recalled(int(x)) for x in d])
        load, of_theory = (2 * x * np.log(x) / d**2 for x in (n, theory))
        kept = d >= np.sort(d)[-4:].min()
        by_log, by_log_theory = (
            line(1 / np.log(x[kept]), y[kept]).intercept for x, y in ((n, load), (theory, of_theory))
        )
        ratio = line(1 / d[kept], n[kept] / theory[kept]).intercept
        loads = ", ".join(f"{x:.3f} (d = {int(width)})" for width, x in zip(d, load, strict=True))
        cells.append(
            (layer, loads, by_log.value, *_ends(by_log), by_log_theory.value, ratio.value, *_ends(ratio)),
        )
    columns = (
        *("layer", "load at one half", "limit by 1/ln n", "low", "high", "the same of the approximation"),
        *("n over the approximation's, limit by 1/d", "r low", "r high"),
    )
    note = (
        "Straight lines through the four widest d. The approximation's own limit is 1 by asymptotics, yet the line in "
        "1/ln n gives it another number: over these widths that extrapolation says nothing about the constant. The "
        "ratio of measured to approximate n, in 1/d, is what can be extrapolated; 1 there means a limit of the load "
        "of 1. Conjectured for the best memory of any kind: 1 (arXiv 2605.05189; 2605.10795 by a second route)."
    )
    return Table("The constant of d² = 2 n ln n", columns, cells, note)


def universal_table(rows: Rows) -> Table:
    """Argmax recall of linear attention at given loads, beside the values known before."""
    cells = [
        (load, f"{low:g} to {high:g}", *(row["value"] if row else None for row in found), _outside(found, low, high))
        for load, low, high, found in _universal(rows)
    ]
    columns = ("2 n ln n/d²", "reference, d = 64 to 256", *(f"d = {d}" for d in UNIVERSAL_DIMENSIONS), "outside")
    note = (
        "Reference: the range over d = 64, 128 and 256 of an earlier measurement. Outside: the widths among these that "
        "lie beyond it by more than three standard errors."
    )
    return Table("One curve for all widths?", columns, cells, note)


def universal_words(rows: Rows) -> str:
    """How many of the reference values are met, and how far the widths are apart."""
    known = [(load, _outside(found, low, high)) for load, low, high, found in _universal(rows) if any(found[:-1])]
    missed = [f"{load:g} ({widths})" for load, widths in known if widths]
    said = f"{len(known) - len(missed)} of {len(known)} values known before of one curve in 2 n ln n/d² are met"
    if missed:
        said += f", not those at a load of {', '.join(missed)}"
    spreads = [
        (max(shares) - min(shares), load)
        for load, _, _, found in _universal(rows)
        if len(shares := [row["value"] for row in found if row]) > 1
    ]
    if spreads:
        spread, load = max(spreads)
        said += f"; widths from 64 on differ by up to {100 * spread:.0f} points of share, at a load of {load:g}"
    return said


def _universal(rows: Rows) -> list[tuple[float, float, float, list[dict[str, Any] | None]]]:
    own = chosen(rows, part=MATRIX, layer=LINEAR, notion=ARGMAX)
    return [
        (load, low, high, [_at(chosen(own, d=d), load, d) for d in UNIVERSAL_DIMENSIONS])
        for load, low, high in UNIVERSAL
        if values(own, "d")
    ]


def _at(rows: Rows, load: float, d: int) -> dict[str, Any] | None:
    """The row whose n is the load's to the nearest integer."""
    near = [row for row in rows if abs(float(bounds.argmax_load(row["n"], d)) / load - 1) < 2 / row["n"]]
    return near[0] if near else None


def _outside(found: list[dict[str, Any] | None], low: float, high: float) -> str:
    """The widths of the reference at which the share is beyond [low, high] by more than three standard errors."""
    slack = 3 / (2 * 1.96)  # of a 95 % interval
    missed = [
        f"d = {row['d']}"
        for row in found[:-1]
        if (row and not low <= row["value"] + slack * (row["high"] - row["low"]))
        or (row and not row["value"] - slack * (row["high"] - row["low"]) <= high)
    ]
    return ", ".join(missed)
