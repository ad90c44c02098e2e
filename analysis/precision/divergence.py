"""Figure and tables of recursive least squares: divergence, its cure, and wind-up."""

from typing import Any

from analysis.precision.recursion import EXACT, LOST, ONE_SIDED
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory
from ttr_numerics.report.notation import power

__all__ = ["divergence_figure", "divergence_table", "overflow_table", "recursion_answer"]

BEYOND = 1e9  # squared errors drawn


def recursion_answer(rows: Rows) -> str:
    """When the unsound writing fails, and that the others do not."""
    failed = [row for row in _failures(rows) if row["form"] == ONE_SIDED and row["failed"] is not None]
    times = {dtype: [row["failed"] * (1 - row["decay"]) for row in chosen(failed, dtype=dtype)] for dtype in DTYPES}
    sound = [row for row in _failures(rows) if row["form"] != ONE_SIDED]
    lost = sum(row["failed"] is not None for row in sound)
    words = ", ".join(f"{min(x):.1f} to {max(x):.1f} memory lengths in {name}" for name, x in times.items() if x)
    run = max((row["tokens"] * (1 - row["decay"]) for row in sound), default=0.0)
    return (
        f"Recursive least squares with P - g(Pk)' errs more than {LOST:.0f} times as much as its sound form after "
        f"{words}; with g k'P, symmetrised or not, and by square roots, {lost} of {len(sound)} runs do within "
        f"{run:.0f}."
    )


DTYPES = ("float64", "float32")


def divergence_figure(rows: Rows) -> Figure:
    """Squared error over time in memory lengths."""
    one = _failures(rows)[0]
    return Figure(
        name="recursion",
        finding=recursion_answer(rows),
        interval="None: one mean over trials and a tenth of a memory length a point.",
        caption="Mean squared error of q S_t - q S* against time in memory lengths 1/(1-γ): P written with g (Pk)', "
        "from which no antisymmetric rounding error is ever taken, and `exact.recursive_least_squares` (square root). "
        f"g k'P, symmetrised or not, lies on the latter. Errors above {power(BEYOND)} are not drawn.",
        grid=f"d = 16, standard normal keys and queries, noise 0.1, P_0 = 100 I; {one['trials']} trials; means over "
        "trials and a tenth of a memory length.",
        theory="Dashed, upright: ln(P_∞/(u P_0))/ln(1/γ) tokens, P_∞ = 1 - γ, for the smallest gate: when the first "
        "antisymmetric rounding error has grown to the size of P. To a constant in the logarithm.",
        panels=tuple(_course(rows, dtype) for dtype in DTYPES),
    )


def divergence_table(rows: Rows) -> Table:
    """Tokens until failure, for every form."""
    lines = [
        (
            *(row["dtype"], row["decay"], row["form"], row["tokens"], row["failed"]),
            row["failed"] * (1 - row["decay"]) if row["failed"] else None,
            row["horizon"] if row["form"] == ONE_SIDED else None,
            *(row["largest"], row["last"] / row["sound"]),
        )
        for row in _failures(rows)
    ]
    columns = ("dtype", "gate", "P takes off", "tokens run", "fails after", "in memory lengths", "predicted")
    return Table(
        "Recursive least squares: when it fails",
        (*columns, "largest error", "last error over float64's"),
        lines,
        f"Fails: the mean squared error exceeds {LOST:.0f} times that of the symmetrised form in float64 at the same "
        "time. The largest error of the sound forms is that of the first tokens, before d keys have been seen.",
    )


def overflow_table(rows: Rows) -> Table:
    """The token at which P overflows along a direction that no key excites."""
    own = chosen(rows, part="overflow")
    return Table(
        "Wind-up: when P overflows along a direction that no key excites",
        ("dtype", "gate", "P takes off", "overflows at token", "predicted"),
        [(row["dtype"], row["decay"], row["form"], row["overflowed"], row["predicted"]) for row in own],
        "P_0 = I. Predicted: the first t with γ^-t above the largest number, or above half of it where P + P' is "
        "formed: the symmetrised form overflows ln 2/ln(1/γ) tokens earlier. float16 rounds the gate itself and P at "
        "every step.",
    )


def _failures(rows: Rows) -> list[dict[str, Any]]:
    return chosen(rows, part="recursion", kind="failure")


def _course(rows: Rows, dtype: str) -> Panel:
    own = chosen(rows, part="recursion", kind="course", dtype=dtype)
    series: list[Series] = []
    for form, name in ((ONE_SIDED, "g (Pk)'"), (EXACT, "square root")):
        for decay in values(own, "decay"):
            line = [row for row in chosen(own, form=form, decay=decay) if row["value"] < BEYOND]
            x, y = ([row[field] for row in line] for field in ("memories", "value"))
            series.append(Measured(f"{name}, γ = {decay:g}", x, y, layer=form))
    failures = chosen(_failures(rows), dtype=dtype, form=ONE_SIDED)
    if failures:
        first = min(failures, key=lambda row: row["decay"])
        time = first["horizon"] * (1 - first["decay"])
        levels = [row["value"] for row in own if row["value"] < BEYOND]
        series.append(Theory("predicted", [time, time], [min(levels), max(levels)]))
    label = "tokens in memory lengths 1/(1-γ)"
    return Panel(dtype, label, "mean squared error", tuple(series), y_log=True)
