"""What each solver loses to cond(K), as figures and tables of stored rows."""

from typing import Any

import numpy as np

from analysis.conditioning.cells import unit
from analysis.conditioning.routines import routines
from analysis.conditioning.solvers import (
    CHOLESKY,
    DIMENSION,
    ERROR,
    GRAM,
    LEAST_NORM,
    NEED_RIDGE,
    PAIRS,
    RATIO,
    RIDGE,
    SOLVERS,
    VALUES,
)
from analysis.rows import Rows, chosen, values
from ttr_numerics.backward import THRESHOLD
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory
from ttr_numerics.report.notation import cell, number

__all__ = ["digits_answer", "error_figure", "gram_table", "ratio_figure", "solver_table"]

BACKWARD_STABLE = (LEAST_NORM, RIDGE)


def digits_answer(rows: Rows) -> str:
    """Digits lost by QR and by the Gram matrix, one sentence."""
    stable, squared = (cell(_slope(rows, solver, "float64")) for solver in (RIDGE, CHOLESKY))
    refused = [row["prescribed"] for row in _solver(rows, CHOLESKY, "float64", ERROR) if row["refused"]]
    return (
        f"QR of the keys loses {stable} digits for each digit of cond(K); Cholesky of the Gram matrix loses "
        f"{squared}, and in float64 starts to refuse at {number(min(refused, default=np.inf))}."
    )


def error_figure(rows: Rows) -> Figure:
    """Forward error against cond(K)."""
    worst = {
        solver: max(
            row["largest"] / (row["cond"] * unit(row["dtype"]))
            for row in _all(rows, solver, ERROR)
            if row["value"] is not None
        )
        for solver in BACKWARD_STABLE
    }
    return Figure(
        name="error",
        finding="Two laws, two lines: solvers that factor the keys themselves follow cond(K) times the unit roundoff "
        f"(never above {max(worst.values()):.1f} times it), solvers that form the Gram matrix follow its square until "
        "nothing is left or they refuse.",
        caption="Relative error of the solution matrix, ‖Ŝ - S‖/‖S‖, against cond(K) of the stored numbers. A line "
        "that ends early was refused from there on (table). `exact.ridge_dual` and recursive least squares need a "
        "ridge, 0.01/cond², and are judged against that solution. float32 names the type of the data: which "
        "steps really run in it is in the table.",
        grid=_grid(rows),
        interval="95 % of the geometric mean over draws.",
        theory="cond(K)·u and cond(K)²·u, u = 2⁻⁵³ or 2⁻²⁴: perturbation theory without its constants.",
        panels=tuple(
            Panel(
                f"{dtype} data",
                "cond(K) = largest/smallest singular value",
                "relative error of S",
                (*(_curve(rows, solver, dtype, ERROR) for solver in SOLVERS), *_laws(rows, dtype)),
                x_log=True,
                y_log=True,
                y_range=(unit(dtype) / 4, 30.0),
            )
            for dtype in values(chosen(rows, part="solvers"), "dtype")
        ),
    )


def _laws(rows: Rows, dtype: str) -> list[Series]:
    x = sorted({row["cond"] for row in _all(rows, LEAST_NORM, ERROR) if row["dtype"] == dtype})
    u = unit(dtype)
    return [Theory("cond(K)·u", x, [c * u for c in x]), Theory("cond(K)²·u", x, [min(c * c * u, 30.0) for c in x])]


def ratio_figure(rows: Rows) -> Figure:
    """LAPACK's residual ratio on the data against cond(K)."""
    stable = max(row["largest"] for solver in BACKWARD_STABLE for row in _all(rows, solver, RATIO) if row["trials"])
    gram = [row for row in _solver(rows, CHOLESKY, "float64", RATIO) if row["trials"] and row["value"] > THRESHOLD]
    first = f"cond(K) = {number(gram[0]['prescribed'])}" if gram else "no measured condition number"
    return Figure(
        name="ratio",
        finding="The residual on the data shows it without knowing the answer: SVD and QR stay at or below "
        f"{stable:.2g} in LAPACK's units at every condition number, Cholesky of the Gram matrix passes the threshold "
        f"of {THRESHOLD:.0f} from {first} on.",
        caption="LAPACK's residual ratio for systems that fit, ‖V - KŜ‖₁/(‖K‖₁‖Ŝ‖₁ max(T, d) u), in multiples of the "
        "unit roundoff u. Below 30 counts as solved. Solvers that need a ridge are left out: with it the data no "
        "longer fit.",
        grid=_grid(rows),
        interval="95 % of the geometric mean over draws.",
        theory="The threshold of LAPACK's own tests.",
        panels=tuple(
            Panel(
                f"{dtype} data",
                "cond(K) = largest/smallest singular value",
                "residual ratio, multiples of u",
                (
                    *(_curve(rows, solver, dtype, RATIO) for solver in SOLVERS if solver not in NEED_RIDGE),
                    _threshold(rows, dtype),
                ),
                x_log=True,
                y_log=True,
            )
            for dtype in values(chosen(rows, part="solvers"), "dtype")
        ),
    )


def _threshold(rows: Rows, dtype: str) -> Theory:
    x = sorted({row["cond"] for row in _all(rows, LEAST_NORM, RATIO) if row["dtype"] == dtype})
    return Theory("LAPACK's threshold 30", (x[0], x[-1]), (THRESHOLD, THRESHOLD))


def solver_table(rows: Rows) -> Table:
    """Routine, slope and refusals of each solver."""
    cells = []
    for solver, (routine, single) in routines(rows).items():
        own = _solver(rows, solver, "float64", ERROR)
        refused = [row["prescribed"] for row in own if row["refused"]]
        half = [row["prescribed"] for row in own if row["value"] is None or row["value"] > 1e-8]
        digits = _slope(rows, solver, "float64")
        cells.append((solver, routine, single, digits, min(half, default=None), min(refused, default=None)))
    return Table(
        "What each solver is, and what it loses",
        (
            "solver",
            "routine",
            "float32 data",
            "digits lost per digit",
            "half are lost from",
            "refuses from",
        ),
        cells,
        "float64, by cond(K). Digits lost per digit of cond(K): slope of log error over log cond(K) between 10² and "
        "where the error reaches 10⁻². A dash: not within the measured range. A refusal is a `LinAlgError` that names "
        "the reason.",
    )


def gram_table(rows: Rows) -> Table:
    """Backward and true error of the Gram system, row by row."""
    cells = []
    for error in _solver(rows, CHOLESKY, "float64", ERROR):
        gram = next(row for row in _solver(rows, CHOLESKY, "float64", GRAM) if row["cond"] == error["cond"])
        least = next(row for row in _solver(rows, LEAST_NORM, "float64", ERROR) if row["cond"] == error["cond"])
        backward = None if gram["value"] is None else gram["value"] * 2.0**-53
        fate = error["state"] if not error["refused"] else f"refused {error['refused']} of {error['draws']}"
        cells.append((error["prescribed"], backward, error["value"], least["value"], fate))
    return Table(
        "The Gram matrix hides its own error",
        (
            "cond(K)",
            "backward error on the Gram system",
            "true error",
            "true error of exact.least_norm",
            "Cholesky of the Gram matrix",
        ),
        cells,
        "float64. The Gram system is solved to rounding while its solution is far from that of the data: a residual "
        "must be taken on (K, V). Backward error: max ‖b - Ax‖₁/(‖A‖₁‖x‖₁). Geometric means over the draws solved.",
    )


def _all(rows: Rows, solver: str, metric: str) -> list[dict[str, Any]]:
    return chosen(rows, part="solvers", solver=solver, metric=metric)


def _solver(rows: Rows, solver: str, dtype: str, metric: str) -> list[dict[str, Any]]:
    return chosen(_all(rows, solver, metric), dtype=dtype)


def _grid(rows: Rows) -> str:
    draws = max(row["draws"] for row in chosen(rows, part="solvers"))
    return (
        f"{PAIRS} pairs, {DIMENSION} key and {VALUES} value channels; {draws} draws of each cond(K), for all solvers."
    )


def _curve(rows: Rows, solver: str, dtype: str, metric: str) -> Measured:
    own = [row for row in _solver(rows, solver, dtype, metric) if row["value"] is not None]
    return Measured(solver, *([row[name] for row in own] for name in ("cond", "value", "low", "high")))


def _slope(rows: Rows, solver: str, dtype: str) -> float | None:
    """d log error / d log cond between cond 10² and an error of 10⁻²; None for fewer than two points."""
    own = [row for row in _solver(rows, solver, dtype, ERROR) if row["prescribed"] >= 100 and row["state"] == "solved"]
    own = [row for row in own if row["value"] <= 1e-2]
    if len(own) < 2:
        return None
    return float(np.polyfit(np.log([row["cond"] for row in own]), np.log([row["value"] for row in own]), 1)[0])
