"""The digits that stored keys cost: a sentence, a table of solvers and a figure of forms, from stored rows."""

from typing import Any

import numpy as np

from analysis.conditioning import cells
from analysis.conditioning.cells import FORMS
from analysis.conditioning.forms import DENSE, INNOVATION, ROOT
from analysis.conditioning.keys import RAW
from analysis.conditioning.solvers import CHOLESKY, LEAST_NORM, NEED_RIDGE, RIDGE, SOLVERS
from analysis.conditioning.stored import RATIOS, VALUES
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.report import Cloud, Figure, Panel, Series, Table, Theory, Value
from ttr_numerics.report.notation import number

__all__ = ["stored_answer", "stored_figure", "stored_table"]


def stored_answer(rows: Rows) -> str:
    """Digits that SVD, QR and the Gram matrix keep of the first source, as captured; empty without stored keys."""
    own = _solvers(rows)
    first = [row for row in own if row["source"] == own[0]["source"] and row["treatment"] == RAW]
    if not first:
        return ""
    names = {LEAST_NORM: "SVD", RIDGE: "QR", CHOLESKY: "Cholesky of the Gram matrix"}
    kept = "; ".join(
        f"of {_digits(cells.unit(dtype)):.1f} in {dtype} "
        + ", ".join(f"{name} {_kept(chosen(first, dtype=dtype, solver=solver))}" for solver, name in names.items())
        for dtype in values(first, "dtype")
    )
    return f"Digits of the solution kept on the stored keys of {first[0]['source']}, n = {first[0]['n']}: {kept}."


def stored_table(rows: Rows) -> Table | None:
    """Digits that the worst head keeps, by source, solver, dtype and treatment; None without stored keys."""
    own = _solvers(rows)
    if not own:
        return None
    columns = list(dict.fromkeys((row["treatment"], row["dtype"]) for row in own))
    lines: list[list[Value]] = []
    for source in values(own, "source"):
        for solver in SOLVERS:
            each = chosen(own, source=source, solver=solver)
            kept = [_cell(chosen(each, treatment=treatment, dtype=dtype)) for treatment, dtype in columns]
            lines.append([source, solver, *kept])
    titles = [f"{treatment}, {dtype}" for treatment, dtype in columns]
    title = "Digits that each solver keeps of stored keys and values"
    return Table(title, ("keys", "solver", *titles), lines, _note(own))


def stored_figure(rows: Rows) -> Figure | None:
    """Error of the forms of the prefix ridge on stored keys against κ; None without them."""
    own = chosen(chosen(rows, part="digits of keys"), kind="form")
    if not own:
        return None
    panels = [
        _panel(f"{source}, {dtype}", dtype, chosen(own, source=source, dtype=dtype))
        for source in values(own, "source")
        for dtype in values(own, "dtype")
    ]
    ratios, heads = ", ".join(number(ratio) for ratio in RATIOS), max(row["heads"] for row in own)
    return Figure(
        "stored",
        tuple(panels),
        _finding(own),
        "‖ô_t - o_t‖/‖o_t‖ at the worse of t = d and the last token against κ = 1 + ‖K'K‖_F/λ, for stored keys as "
        "captured, centred and scaled to unit norm, with their own queries and values; truth in decimal arithmetic on "
        f"the numbers as stored. A form that refuses every head has no point.{quantised(own)}",
        f"First {own[0]['n']} tokens of up to {heads} heads, {VALUES} value channels at most; "
        f"λ = {ratios} times the mean square of the norm of a key.",
        "None: a point is a treatment and a ridge, and the head that errs most.",
        "κu and √κ·u: what innovations and square roots lose in the figures above; √u: half of the digits.",
    )


def _panel(title: str, dtype: str, own: Rows) -> Panel:
    u = cells.unit(dtype)
    series: list[Series] = []
    for form in (*FORMS, DENSE):
        points = [row for row in chosen(own, form=form) if row["value"]]
        series.append(Cloud(form, [row["kappa"] for row in points], [row["value"] for row in points]))
    ends = [min(row["kappa"] for row in own), max(row["kappa"] for row in own)]
    for name, of, power in (("κu", INNOVATION, 1.0), ("√κ·u", ROOT, 0.5)):
        x = np.geomspace(ends[0], max(min(ends[1], u ** (-1 / power)), ends[0]), 2).tolist()
        series.append(Theory(name, x, [kappa**power * u for kappa in x], of=of))
    series.append(Theory("√u", ends, (u**0.5, u**0.5)))
    return Panel(title, "κ", "relative error", tuple(series), x_log=True, y_log=True, y_range=(u / 8, 10.0))


def _finding(own: Rows) -> str:
    """Whether stored keys keep the laws of random ones, and what the choice gives on them."""
    solved = [row for row in own if row["value"] is not None]
    laws = {form: max(map(cells.in_law, chosen(solved, form=form)), default=0.0) for form in FORMS}
    taken = [row for row in own if row["taken"]]
    refused, asked = (sum(row[name] for row in taken) for name in ("refused", "heads"))
    worst = " and ".join(
        f"{number(max(cells.in_roots(row) for row in chosen(taken, dtype=dtype) if row['value'] is not None))} √u in "
        f"{dtype}"
        for dtype in values([row for row in taken if row["value"] is not None], "dtype")
    )
    first = chosen(solved, source=solved[0]["source"]) if solved else []
    return (
        f"On stored keys innovations err by at most {number(laws[INNOVATION])} κu and square roots by "
        f"{number(laws[ROOT])} √κ·u. What `ridge_prefixes` takes of itself errs by at most {worst or 'nothing'}, and "
        f"refuses {refused} of {asked} times.{_best(first)}"
    )


def _best(first: Rows) -> str:
    """For the first source and each dtype, the digits kept at the worst by each form, at the smallest ridge."""
    own = chosen(first, ratio=min(RATIOS), treatment=RAW)
    if not own:
        return ""
    words = "; ".join(
        f"{dtype} " + ", ".join(f"{form} {_kept(chosen(own, dtype=dtype, form=form))}" for form in FORMS)
        for dtype in values(own, "dtype")
    )
    return f" Digits kept of {own[0]['source']} as captured, with the smallest ridge: {words}."


def _note(own: Rows) -> str:
    ridges, heads = " and ".join(NEED_RIDGE), len(values(own, "head"))
    return (
        f"Digits: -log₁₀ of ‖Ŝ - S‖/‖S‖, of the head that keeps least of the first {heads}, {own[0]['n']} tokens and "
        f"{VALUES} value channels at most; S is the solution of least norm of the stored numbers in exact arithmetic. "
        f"{ridges} get a ridge of 0.01 σ², σ the smallest singular value, and are judged against that solution. "
        f"Refused: a `LinAlgError` that names the reason.{_sensitive(own)}{_singular(own)} What runs in float32 for "
        f"float32 data is in the first table.{quantised(own)}"
    )


def _sensitive(own: Rows) -> str:
    """How SVD and QR stand to what the numbers themselves allow."""
    stable = [row for row in own if row["solver"] in (LEAST_NORM, RIDGE) and row["value"] and row["sensitivity"]]
    if not stable:
        return ""
    bound = max(row["value"] / (row["sensitivity"] * cells.unit(row["dtype"])) for row in stable)
    return (
        f" SVD and QR err by at most {number(bound)} u κ(2 + (κ + 1)ρ), κ = cond(K), ρ = ‖V - KS‖/(‖K‖‖S‖): values "
        "that do not fit cost even them the square."
    )


def _singular(own: Rows) -> str:
    """Which keys have a singular value at rounding level."""
    found = [row for row in chosen(own, solver=RIDGE) if row["cond"] is None]
    where = dict.fromkeys(f"{row['source']} {row['treatment']} in {row['dtype']}" for row in found)
    if not found:
        return ""
    return (
        f" Singular to rounding, in at least one head: {', '.join(where)}. There only keys that depend on each other "
        "exactly, such as repeated ones, leave digits to keep."
    )


def _solvers(rows: Rows) -> list[dict[str, Any]]:
    return chosen(rows, part="digits of keys", kind="solver")


def _cell(each: Rows) -> Value:
    refused = sum(row["value"] is None for row in each)
    if refused == len(each):
        return values(each, "state")[0] if len(values(each, "state")) == 1 else "no answer"
    return f"{_kept(each)}, {refused} of {len(each)} refused" if refused else _least(each)


def _kept(each: Rows) -> str:
    """Digits of the worst row that has an answer."""
    return f"{_least(each):.1f}" if any(row["value"] is not None for row in each) else "none (refused)"


def _least(each: Rows) -> float:
    return min(
        max(0.0, _digits(max(row["value"], cells.unit(row["dtype"])))) for row in each if row["value"] is not None
    )


def _digits(error: float) -> float:
    return float(-np.log10(error))
