"""Figure and finding of the iterative solvers: error by steps, error reached and steps needed by κ, in every format."""

from typing import Any

from analysis.precision.iterations import CG, CHEBYSHEV, SHOWN
from analysis.precision.systems import DIMENSION, EARLY, LOG, PREFIX
from analysis.rows import Rows, chosen, values
from analysis.words import span
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory
from ttr_numerics.report.notation import number, tick

__all__ = ["largest_constant", "reached", "steps_answer", "steps_figure"]

NO_DIGIT = 0.5  # relative error


def reached(rows: Rows, solver: str, spectrum: str, format: str) -> list[dict[str, Any]]:
    """The rows of one solver, spectrum and format, by κ."""
    wanted = {"part": "iterations", "kind": "reached", "solver": solver, "spectrum": spectrum, "format": format}
    return sorted(chosen(rows, **wanted), key=lambda row: row["kappa"])


def largest_constant(rows: Rows) -> float:
    """The largest error reached, in κu, of all systems on which a digit is left."""
    own = [row for row in rows if row.get("kind") == "reached" and row["value"] < NO_DIGIT]
    return max(row["value"] / (row["kappa"] * row["u"]) for row in own)


def steps_answer(rows: Rows) -> str:
    """What the formats cost the iterations, two sentences."""
    lost = [row["kappa"] for row in reached(rows, CG, LOG, "bfloat16") if row["value"] > NO_DIGIT]
    none = f"; in bfloat16 no digit is left from κ = {number(min(lost))} on" if lost else ""
    return (
        f"The error that an iteration reaches stays, where it is below {NO_DIGIT:g}, within "
        f"{number(largest_constant(rows))} κu{none}. In exact arithmetic d conjugate gradient steps leave no error; in "
        f"floating point d + 1 = {DIMENSION + 1} do not come within a factor two of the least error once the "
        f"eigenvalues are spread: {_beyond(rows, 'float64')}, {_beyond(rows, 'float32')}."
    )


def _beyond(rows: Rows, name: str) -> str:
    """Where a format first needs more than d + 1 steps, and how many at most."""
    own = reached(rows, CG, LOG, name)
    more = [row for row in own if row["needed"] > DIMENSION + 1]
    if not more:
        return f"{name} never takes more"
    most = max(more, key=lambda row: row["needed"])
    end = f", and {most['needed']} at {number(most['kappa'])}" if most is not more[0] else ""
    return f"{name} takes {more[0]['needed']} at κ = {number(more[0]['kappa'])}{end}"


def keys_answer(rows: Rows) -> str:
    """What stored keys ask of the formats, one sentence; none without stored keys."""
    own = chosen(rows, part="keys", kind="reached", solver=CG)
    if not own:
        return ""
    parts = []
    for name in ("float32", "bfloat16 products"):
        each = chosen(own, format=name)
        steps, errors = [row["needed"] for row in each], [row["value"] for row in each]
        parts.append(f"errors of {span(errors, number)} in {span(steps, tick)} steps in {name}")
    kappas = [round(row["kappa"]) for row in own]
    return (
        f"On stored keys with MesaNet's least ridge, κ = {span(kappas, tick)}, conjugate gradients reach {parts[0]}, "
        f"{parts[1]}."
    )


def steps_figure(rows: Rows) -> Figure:
    """Error against steps at one κ, error reached and steps needed against κ."""
    early = reached(rows, CG, EARLY, "float64") + reached(rows, CG, EARLY, "float32")
    most = max((row["needed"] for row in early), default=0)
    own = chosen(rows, kind="reached", solver=CG, part="iterations")
    tried = {name: max(row["tried"] for row in chosen(own, format=name)) for name in values(own, "format")}
    limits = ", ".join(f"{most_tried} in {name}" for name, most_tried in tried.items())
    return Figure(
        name="steps",
        finding=f"{steps_answer(rows)} Where only {PREFIX} keys are stored, so that {PREFIX + 1} eigenvalues differ, "
        f"{most} steps do at every κ, in float64 and float32. {keys_answer(rows)}".strip(),
        caption="First two panels: relative error ‖x̂-x‖/‖x‖ after k steps on (H + λI) x = q, eigenvalues "
        f"log-uniform, κ = {number(SHOWN[1])}. Then conjugate gradients alone: the least error over all steps tried "
        "against κ, and the steps until the error is within a factor two of it, for log-uniform eigenvalues and for a "
        f"prefix of {PREFIX} random unit keys. bfloat16 products: H and the vectors rounded to bfloat16 wherever they "
        "are multiplied, all else in float32.",
        grid=f"d = {DIMENSION}; 4 matrices, 4 random unit queries each, at every point; λ = ‖H‖₂/(κ-1) for conjugate "
        "gradients, ‖H‖_F/(κ-1) for Chebyshev steps. 16-bit formats are emulated operation by operation, sums rounded "
        f"once. Conjugate gradient steps tried: up to {limits}.",
        interval="95 % interval of the geometric mean over matrices.",
        theory="Dashed: 2√κ((√κ-1)/(√κ+1))^k and 1/T_k((κ+1)/(κ-1)), proved in exact arithmetic (the first in the "
        "A-norm; √κ carries it to the 2-norm); κu, a rule; the steps at which the first has fallen to κu; n + 1, the "
        "number of different eigenvalues of the prefix, after which exact arithmetic leaves no error, and d + 1, one "
        "more than log-uniform eigenvalues have.",
        panels=(
            _course(rows, CG),
            _course(rows, CHEBYSHEV),
            _floors(rows),
            _needed(rows, LOG, DIMENSION + 1, "d + 1"),
            _needed(rows, EARLY, PREFIX + 1, "n + 1"),
        ),
    )


def _course(rows: Rows, solver: str) -> Panel:
    spectrum, kappa = SHOWN
    own = chosen(rows, part="iterations", kind="steps", solver=solver, spectrum=spectrum, kappa=kappa)
    series: list[Series] = []
    for name in values(own, "format"):
        line = [row for row in own if row["format"] == name and row["value"] <= 10]
        x, y, low, high = ([row[field] for row in line] for field in ("steps", "value", "low", "high"))
        series.append(Measured(name, x, y, low, high, layer=solver))
    last = max((row["steps"] for row in own), default=1)
    ks = sorted({round(last ** (i / 40)) for i in range(41)})
    if solver == CG:
        bound = [min(2.0, kappa**0.5 * bounds.conjugate_gradient_bound(k, kappa)) for k in ks]
    else:
        bound = [bounds.chebyshev_bound(k, kappa) for k in ks]
    kept = [(k, y) for k, y in zip(ks, bound, strict=True) if y > 1e-16]
    series.append(Theory("bound", [k for k, _ in kept], [y for _, y in kept]))
    title = f"{solver[0].upper()}{solver[1:]}, κ = {number(kappa)}"
    return Panel(title, "steps k", "relative error", tuple(series), x_log=True, y_log=True, y_range=(1e-16, 20))


def _floors(rows: Rows) -> Panel:
    series: list[Series] = []
    for name in _formats(rows):
        own = reached(rows, CG, LOG, name)
        x, y, low, high, u = ([row[field] for row in own] for field in ("kappa", "value", "low", "high", "u"))
        series.append(Measured(name, x, y, low, high, layer=CG))
        rule = [(k, k * each) for k, each in zip(x, u, strict=True) if k * each < 1]
        series.append(Theory(f"κu, {name}", [k for k, _ in rule], [y for _, y in rule], of=name))
    return Panel("Error reached", "condition number κ", "relative error", tuple(series), x_log=True, y_log=True)


def _needed(rows: Rows, spectrum: str, rule: int, label: str) -> Panel:
    series: list[Series] = []
    kappas = values(reached(rows, CG, spectrum, "float64"), "kappa")
    for name in _formats(rows):
        own = [row for row in reached(rows, CG, spectrum, name) if row["value"] < NO_DIGIT]
        series.append(Measured(name, [row["kappa"] for row in own], [row["needed"] for row in own], layer=CG))
        if spectrum == LOG and name in ("float64", "float32"):
            wanted = [(row["kappa"], row["kappa"] ** 0.5 * row["u"]) for row in own if row["kappa"] > 1]
            steps = [bounds.conjugate_gradient_steps(error, kappa) for kappa, error in wanted]
            series.append(Theory(f"bound, {name}", [kappa for kappa, _ in wanted], steps, of=name))
    series.append(Theory(label, [min(kappas), max(kappas)], [rule, rule]))
    return Panel(f"Steps needed, {spectrum}", "condition number κ", "steps", tuple(series), x_log=True, y_log=True)


def _formats(rows: Rows) -> list[str]:
    return values(chosen(rows, part="iterations", kind="reached"), "format")
