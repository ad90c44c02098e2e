"""Tables of the iterative solvers: steps and errors, the rule of d + 1 steps, the bounds, stored keys, KalmaNet."""

from analysis.precision.iterations import CG, CHEBYSHEV, DIVERGED
from analysis.precision.steps import reached
from analysis.precision.systems import DIMENSION, EARLY, FIXED, LOG, PREFIX, RATIO
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.report import Table, Value
from ttr_numerics.report.notation import number

__all__ = ["bounds_table", "kalmanet_table", "keys_table", "rule_table", "steps_table"]

FEW = ("float64", "float32")


def steps_table(rows: Rows) -> Table:
    """Steps until the error stops improving and the error reached, a line a system."""
    own = chosen(rows, part="iterations", kind="reached")
    formats, lines = values(own, "format"), []
    for solver, spectrum, kappa in dict.fromkeys((row["solver"], row["spectrum"], row["kappa"]) for row in own):
        found = chosen(own, solver=solver, spectrum=spectrum, kappa=kappa)
        lines.append((solver, spectrum, kappa, *_pairs(found, formats)))
    return Table(
        "Steps needed and error reached, by condition number and format",
        ("solver", "eigenvalues", "κ", *_titles(formats)),
        lines,
        f"d = {DIMENSION}. Steps until the relative error is within a factor two of the least over all steps tried; "
        f"geometric mean over matrices. An error near 1 is no digit at all. {_ended(rows)} What each solver loses in a "
        "factorisation, by dtype and condition number, is in the report on conditioning.",
    )


def _ended(rows: Rows) -> str:
    """How often the steps tried may have been too few: the second half of them still halves the error."""
    own = chosen(rows, kind="reached", solver=CG)
    falling = [row for row in own if row["needed"] > row["tried"] / 2]
    return (
        f"In {len(falling)} of {len(own)} systems and formats, those of stored keys too, the second half of the "
        "conjugate gradient steps tried still halves the error."
    )


def rule_table(rows: Rows) -> Table:
    """The error after as many steps as there are different eigenvalues, or one more, and the least error."""
    lines: list[list[Value]] = []
    for spectrum, steps in ((EARLY, PREFIX + 1), (LOG, DIMENSION + 1)):
        for row in reached(rows, CG, spectrum, "float64"):
            line: list[Value] = [spectrum, row["kappa"], steps]
            for name in FEW:
                found = chosen(reached(rows, CG, spectrum, name), kappa=row["kappa"])
                line += [found[0].get(f"after {steps}"), found[0]["value"], bool(found[0]["needed"] <= steps)]
            lines.append(line)
    titles = [f"{name}: {what}" for name in FEW for what in ("after them", "reached", "suffice")]
    return Table(
        "Do d + 1 conjugate gradient steps suffice, or n + 1 after n keys?",
        ("eigenvalues", "κ", "steps", *titles),
        lines,
        f"In exact arithmetic {PREFIX + 1} steps and {DIMENSION} leave no error, one for each different eigenvalue. "
        "They suffice where the error is within a factor two of the least over all steps.",
    )


def bounds_table(rows: Rows) -> Table:
    """How often an error in the A-norm exceeds its bound and the stated share of rounding."""
    lines = []
    for solver in (CG, CHEBYSHEV):
        for name in values(chosen(rows, kind="reached"), "format"):
            own = chosen(rows, kind="reached", solver=solver, format=name)
            broken = [row for row in own if row["bound_ratio"] > 1]
            kappas = [row["kappa"] for row in broken]
            share = sum(row["bounds"] for row in own)
            ratio = max(row["bound_ratio"] for row in own)
            worst = "diverges" if ratio > DIVERGED else number(ratio)
            lines.append((solver, name, share, len(own), len(broken), min(kappas, default=None), worst))
    return Table(
        "The bounds, held against every error",
        ("solver", "format", "errors", "systems", "systems in which it breaks", "from κ =", "largest error over bound"),
        lines,
        "‖e_k‖_A/‖e_0‖_A against 2((√κ-1)/(√κ+1))^k and 1/T_k((κ+1)/(κ-1)), each with (k + d) κu for rounding, of "
        "every query, number of steps and matrix, stored keys too. Proved in exact arithmetic alone; what is allowed "
        "for rounding is a rule. Where H rounded to 16 bits is no longer positive definite, or squares of residuals "
        "underflow in float16 (eleven bits with float32's exponents do not diverge), conjugate gradients turn away "
        "from the solution without end.",
    )


def keys_table(rows: Rows) -> Table | None:
    """The same for prefixes of stored keys, None without them."""
    own = chosen(rows, part="keys", kind="reached")
    if not own:
        return None
    formats, lines = values(own, "format"), []
    for source, tokens, solver in dict.fromkeys((row["source"], row["tokens"], row["solver"]) for row in own):
        found = chosen(own, source=source, tokens=tokens, solver=solver)
        kept = found[0].get("kept", tokens)
        lines.append((source, found[0]["d"], kept, solver, found[0]["kappa"], *_pairs(found, formats)))
    return Table(
        "Steps needed and error reached on stored keys",
        ("keys", "d", "tokens", "solver", "κ at most", *_titles(formats)),
        lines,
        f"First tokens of up to four heads, keys and queries of unit norm. Conjugate gradients with λ = {FIXED:g}, "
        f"MesaNet's least; Chebyshev steps with λ = {RATIO:g}‖H‖_F, Gated KalmaNet's.{quantised(own)}",
    )


def kalmanet_table(rows: Rows) -> Table:
    """Gated KalmaNet as released."""
    own = chosen(rows, part="kalmanet")
    lines = [(row["steps"], row["value"], row["high"] - row["value"], row["bound"]) for row in own]
    about = f"{own[0]['pairs']} random unit keys, d = {own[0]['d']}, {own[0]['trials']} draws" if own else "no rows"
    return Table(
        "Gated KalmaNet as released: relative error of the solution",
        ("steps", "error", "standard error", "worst case, κ = 51"),
        lines,
        f"{about}; float64. Steps as the released code counts them, without the first gradient step.",
    )


def _pairs(found: Rows, formats: list[str]) -> list[Value]:
    line: list[Value] = []
    for name in formats:
        row = next((row for row in found if row["format"] == name), None)
        line += [None, None] if row is None else [row["needed"], row["value"]]
    return line


def _titles(formats: list[str]) -> list[str]:
    return [f"{name}: {what}" for name in formats for what in ("steps", "error")]
