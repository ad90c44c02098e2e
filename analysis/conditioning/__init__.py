"""How many digits does each solver lose to the condition number of the keys, which form keeps them, and how well
conditioned are real keys?

`solvers`: one problem with prescribed cond(K) for every solver, its exact solution known from rational arithmetic;
drawn by `digits`, named by `routines`. `forms` and `forgetting`: the forms of the prefix ridge and of recursive least
squares at every position, by κ, chunk, dtype and query, against `truth`; drawn by `trade`, tables by `choice`. `keys`:
the condition number of Gaussian keys against the Marchenko-Pastur limit, and that of stored keys; drawn by
`key_figures`. `stored`: what stored keys cost each solver and form; drawn by `stored_figures`.
"""

from collections.abc import Sequence
from typing import Any

from analysis.conditioning import choice, digits, forgetting, forms, key_figures, solvers, stored, stored_figures, trade
from analysis.conditioning.measured import STUDY
from analysis.conditioning.routines import library
from analysis.rows import Rows
from ttr_numerics.report import Figure, Section, Table

__all__ = ["STUDY", "render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    answer = (digits.digits_answer(rows), trade.choice_answer(rows), key_figures.keys_answer(rows))
    return Section(
        name="conditioning",
        title="Digits lost to the condition number",
        question=STUDY.question,
        answer=" ".join(filter(None, (*answer, stored_figures.stored_answer(rows)))),
        compared="Every solver with the exact solution of its own problem, found in rational arithmetic from the "
        "stored numbers; every form at every position with 80-digit decimal arithmetic, and with a dense QR; Gaussian "
        "keys with the Marchenko-Pastur limit, and stored keys with both; solvers and forms on stored keys with "
        "decimal arithmetic on the same numbers.",
        figures=_figures(rows),
        tables=_tables(rows),
        limits=_limits(rows),
    )


def _figures(rows: Rows) -> tuple[Figure, ...]:
    own = stored_figures.stored_figure(rows)
    return (
        digits.error_figure(rows),
        digits.ratio_figure(rows),
        trade.forms_figure(rows),
        trade.forgetting_figure(rows),
        key_figures.keys_figure(rows),
        *([own] if own else []),
    )


def _tables(rows: Rows) -> tuple[Table, ...]:
    own = stored_figures.stored_table(rows)
    return (
        digits.solver_table(rows),
        digits.gram_table(rows),
        choice.choice_table(rows),
        choice.chunk_table(rows),
        choice.recursive_table(rows),
        key_figures.keys_table(rows),
        *([own] if own else []),
    )


def _limits(rows: Rows) -> tuple[str, ...]:
    return (
        f"One shape of problem for the solvers: {solvers.PAIRS} pairs, {solvers.DIMENSION} key and "
        f"{solvers.VALUES} value channels, singular values in geometric progression, values that fit exactly "
        "before rounding. Values that do not fit add a term in cond(K) squared for every solver (Wedin): those of "
        "stored keys do not fit.",
        "float32 ends at 10⁵: above 1/(32 eps) = 2.6×10⁵ `exact.least_norm` counts small singular values as zero.",
        f"One shape for the forms: {forms.T} tokens, {forms.DIMENSION} key channels, {forgetting.T} and "
        f"{forgetting.DIMENSION} for recursive least squares. κ counts all tokens, and overstates the error of "
        "innovations on long sequences.",
        "The error of a form is relative to the answer of its own position, however small that answer is beside "
        "the others. A query nearly orthogonal to the keys so far has a small answer, of which any form keeps "
        "fewer digits.",
        f"Of stored keys the first {stored.TOKENS} tokens, {stored.HEADS} heads (fewer of more than 64 channels) and "
        f"{stored.VALUES} value channels at most, and only cond(K) beyond {stored.WIDEST} key channels: the truth in "
        "decimal arithmetic costs d³.",
        f"Only the routines of {library(rows)} named here; no bfloat16 or float16, which the solvers refuse.",
    )
