"""The forms of the prefix ridge drawn: error against κ, without forgetting and with."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from analysis.conditioning import cells
from analysis.conditioning.cells import FORMS
from analysis.conditioning.forms import (
    CHEBYSHEV,
    CHUNKS,
    DENSE,
    DIMENSION,
    EDGE,
    INNOVATION,
    MOMENTS,
    POSITIONS,
    RANDOM,
    RECALL,
    ROOT,
    TIED,
    T,
)
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory
from ttr_numerics.report.notation import number

__all__ = ["choice_answer", "forgetting_figure", "forms_figure"]

SWITCH = "the switch"


def choice_answer(rows: Rows) -> str:
    """What the automatic choice guarantees, measured: one sentence."""
    own = cells.taken(chosen(rows, part="forms"))
    innovations, roots = (chosen(own, form=form) for form in (INNOVATION, ROOT))
    by = [(dtype, chosen(innovations, dtype=dtype)) for dtype in values(own, "dtype")]
    worst = " and ".join(f"{number(max(map(cells.in_roots, each)))} √u in {dtype}" for dtype, each in by if each)
    root = max(map(cells.in_law, roots), default=0.0)
    return (
        f"Where `ridge_prefixes` takes innovations of itself their error is at most {worst}; where it takes square "
        f"roots, at most {number(root)} √κ·u."
    )


def forms_figure(rows: Rows) -> Figure:
    """Error of each form against κ, dtype by query."""
    own = chosen(rows, part="forms")
    panels = []
    for dtype in values(own, "dtype"):
        for query in (RANDOM, RECALL):
            cell = chosen(own, dtype=dtype, query=query, ridge=TIED)
            lines = [_line(form, chosen(cell, form=form)) for form in (*FORMS, DENSE)]
            laws = _laws(
                cell,
                (INNOVATION, 1.0, 1.0, "κu"),
                (ROOT, 1.0, 0.5, "√κ·u"),
            )
            switch = float(np.median([row["kappa"] for row in chosen(own, ridge=EDGE, dtype=dtype)]))
            panels.append(_panel(f"{dtype}, {query}", dtype, [*lines, *laws, _upright(dtype, switch)]))
    return Figure(
        "forms",
        tuple(panels),
        _forms_finding(own),
        "‖ô_t - o_t‖/‖o_t‖ at the worst position and draw against κ = 1 + ‖K'K‖_F/λ, λ = 0.01/cond(K)², truth in "
        "decimal arithmetic. Points: the chunk that the form uses. Dense QR: `exact.ridge` of all rows so far, at "
        "every position. A line that ends early was refused from there on. float32: by square root all is factored in "
        "float64.",
        f"T = {T}, d = {DIMENSION}, values that do not fit; {len(POSITIONS)} positions, before, at and after t = d; "
        f"{own[0]['draws']} draws of each cond(K), all forms and chunks on each.",
        f"From the best to the worst chunk among {', '.join(map(str, CHUNKS))}.",
        "κu and √κ·u: laws without constants. √u: half of the digits. Upright: where the choice goes from innovations "
        "to square roots.",
    )


def _forms_finding(own: Rows) -> str:
    double = [row for row in chosen(own, dtype="float64") if row["value"] is not None and cells.at_default_chunk(row)]
    by = {form: number(max(map(cells.in_law, chosen(double, form=form)))) for form in FORMS}
    factors = [cells.over_best(own, row) for row in cells.taken(own)]
    near = sum(factor <= 10 for factor in factors)
    return (
        f"Innovations lose κ, square roots √κ: errors of at most {by[INNOVATION]} κu and {by[ROOT]} √κ·u in float64, "
        f"moments {by[MOMENTS]} κu. {choice_answer(own)} The choice is within a factor of 10 of the most accurate form "
        f"in {near} of {len(factors)} cells: below the switch it prefers speed."
    )


def forgetting_figure(rows: Rows) -> Figure:
    """Error of the two forms for a fixed ridge beside forgetting."""
    own = chosen(rows, part="fixed ridge")
    panels = []
    for dtype in values(own, "dtype"):
        cell = chosen(own, dtype=dtype)
        lines: list[Series] = []
        for form in (CHEBYSHEV, MOMENTS):
            for decay in sorted({row["log_decay"] for row in cell}, reverse=True):
                each = _worst_query(chosen(cell, form=form, log_decay=decay))
                lines.append(_line(f"{form}, {-decay:g} nats", each, form))
        panels.append(_panel(dtype, dtype, [*lines, *_laws(cell, (None, 1.0, 1.0, "κu")), *_switch(dtype, cell)]))
    taken = cells.taken(own)
    single = max((cells.in_roots(row) for row in taken if row["form"] == CHEBYSHEV), default=0.0)
    solved = [row for row in own if row["value"] is not None]
    by = {
        form: number(max(cells.in_law(row) for row in solved if row["form"] == form)) for form in (CHEBYSHEV, MOMENTS)
    }
    return Figure(
        "forgetting",
        tuple(panels),
        "With forgetting and a fixed ridge both forms lose κ, and there is no square root to go to: errors of at "
        f"most {by[CHEBYSHEV]} κu by Chebyshev steps, {by[MOMENTS]} κu by moments. Where the choice "
        f"takes Chebyshev steps their error is at most {number(single)} √u.",
        "As above, the worse of both kinds of query, for a decay of so many nats a token; κ counts every token whole. "
        "A line that ends early was refused from there on.",
        f"Keys, values and positions as above; {own[0]['draws']} draws of each cond(K), both rates and forms on each.",
        "None: both forms choose their own chunks.",
        "κu: a law without constant. √u: half of the digits. Upright: between the last κ at which the choice takes "
        "Chebyshev steps and the first at which it takes moments.",
    )


def _line(label: str, rows: Rows, layer: str = "") -> Measured:
    """Points at the chunk that the form uses, bars over all chunks."""
    points = []
    for row in sorted(
        (row for row in rows if cells.at_default_chunk(row) and row["value"] is not None), key=lambda row: row["kappa"]
    ):
        beside = [each["value"] for each in rows if each["kappa"] == row["kappa"] and each["value"] is not None]
        points.append((row["kappa"], row["value"], min(beside), max(beside)))
    return Measured(label, *(zip(*points, strict=True) if points else ((), ())), layer=layer)


def _laws(rows: Rows, *laws: tuple[str | None, float, float, str]) -> list[Theory]:
    """multiple κ^power u for each law (of, multiple, power, name), up to an error of 1; and √u."""
    u, x = cells.unit(rows[0]["dtype"]), sorted({row["kappa"] for row in rows})
    lines = []
    for of, multiple, power, name in laws:
        last = (1 / (multiple * u)) ** (1 / power)
        ends = [x[0], min(x[-1], last)]
        lines.append(Theory(name, ends, [multiple * end**power * u for end in ends], of=of))
    return [*lines, Theory("√u", (x[0], x[-1]), (u**0.5, u**0.5))]


def _switch(dtype: str, rows: Rows) -> list[Theory]:
    """Between the last κ at which the choice takes Chebyshev steps and the first at which it does not."""
    own = chosen(rows, form=CHEBYSHEV)
    last = max((row["kappa"] for row in own if row["taken"]), default=None)
    first = min((row["kappa"] for row in own if not row["taken"]), default=None)
    return [_upright(dtype, (last * first) ** 0.5)] if last and first else []


def _upright(dtype: str, kappa: float) -> Theory:
    return Theory(SWITCH, (kappa, kappa), _range(dtype))


def _panel(title: str, dtype: str, series: Iterable[Series]) -> Panel:
    return Panel(title, "κ", "relative error", tuple(series), x_log=True, y_log=True, y_range=_range(dtype))


def _range(dtype: str) -> tuple[float, float]:
    return cells.unit(dtype) / 8, 10.0


def _worst_query(rows: Rows) -> list[dict[str, Any]]:
    """For each κ the row of the query with the larger error; none where one was refused."""
    kept = []
    for kappa in sorted({row["kappa"] for row in rows}):
        each = chosen(rows, kappa=kappa)
        if all(row["value"] is not None for row in each):
            kept.append(max(each, key=lambda row: row["value"]))
    return kept
