"""How many digits does each solver lose to the condition number of the keys, which form keeps them, and how well
conditioned are real keys?

`solvers`: one problem with prescribed cond(K) for every solver, its exact solution known from rational arithmetic;
drawn by `digits`. `forms` and `forgetting`: the forms of the prefix ridge and of recursive least squares at every
position, by κ, chunk, dtype and query, against `truth`; drawn by `trade`, tables by `choice`. `keys`: the condition
number of Gaussian keys against the Marchenko-Pastur limit, and that of captured keys.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from analysis.conditioning import choice, digits, forgetting, forms, keys, solvers, trade
from analysis.conditioning.solvers import SEED
from ttr_numerics import tasks
from ttr_numerics.report import Section

__all__ = ["SEED", "measure", "render"]

Conditions = dict[str, Sequence[float]]


def measure(
    progress: Callable[..., Iterable[Any]],
    conditions: Conditions | None = None,
    draws: int = solvers.DRAWS,
    aspects: Sequence[float] = keys.ASPECTS,
    gaussian_draws: int = keys.GAUSSIAN_DRAWS,
    form_conditions: Conditions | None = None,
    log_decays: Sequence[float] = forgetting.DECAYS,
) -> list[dict[str, Any]]:
    """The rows of the given grid; a smaller grid gives the same cells, fewer of them."""
    cells: list[Callable[[], list[dict[str, Any]]]] = []
    for dtype, cond in _pairs(conditions or solvers.CONDITIONS):
        cells.append(partial(solvers.solver_rows, dtype, cond, draws))
    for dtype, cond in _pairs(form_conditions or forms.CONDITIONS):
        cells.append(partial(forms.form_rows, dtype, cond, forms.TIED))
    for dtype, cond in _pairs(form_conditions or forms.DECADES):
        cells += [partial(forms.form_rows, dtype, cond, kind) for kind in (forms.EDGE, forms.FIXED)]
        cells += [partial(forgetting.fixed_ridge_rows, dtype, cond, rate) for rate in forgetting.MILD]
    for dtype in forms.DECADES:
        cells += [partial(forgetting.recursive_rows, dtype, rate) for rate in log_decays]
    rows = [row for cell in progress(cells) for row in cell()]
    rows += [keys.random_rows(aspect, gaussian_draws) for aspect in aspects]
    return rows + [row for real in tasks.captured() for row in keys.real_rows(real)]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    return Section(
        name="conditioning",
        title="Digits lost to the condition number",
        question="How many digits does each solver lose to the condition number of the keys, which form keeps them, "
        "and how well conditioned are real keys?",
        answer=f"{digits.digits_answer(rows)} {trade.choice_answer(rows)} {keys.keys_answer(rows)}",
        compared="Every solver with the exact solution of its own problem, found in rational arithmetic from the "
        "stored numbers; every form at every position with 80-digit decimal arithmetic, and with a dense QR; Gaussian "
        "keys with the Marchenko-Pastur limit, and captured keys with both.",
        figures=(
            digits.error_figure(rows),
            digits.ratio_figure(rows),
            trade.forms_figure(rows),
            trade.forgetting_figure(rows),
            keys.keys_figure(rows),
        ),
        tables=(
            digits.solver_table(rows),
            digits.gram_table(rows),
            choice.choice_table(rows),
            choice.chunk_table(rows),
            choice.recursive_table(rows),
            keys.keys_table(rows),
        ),
        limits=(
            f"One shape of problem for the solvers: {solvers.PAIRS} pairs, {solvers.DIMENSION} key and "
            f"{solvers.VALUES} value channels, singular values in geometric progression, values that fit exactly "
            "before rounding. Values that do not fit add a term in cond(K) squared for every solver (Wedin).",
            "float32 ends at 10⁵: above 1/(32 eps) = 2.6×10⁵ `exact.least_norm` counts small singular values as zero.",
            f"One shape for the forms: {forms.T} tokens, {forms.DIMENSION} key channels. κ counts all tokens, and "
            "overstates the error of innovations on long sequences.",
            "The error of a form is relative to the answer of its own position, however small that answer is beside "
            "the others. A query nearly orthogonal to the keys so far has a small answer, of which any form keeps "
            "fewer digits.",
            "Only the CPU routines named here; no bfloat16 or float16, which the solvers refuse.",
        ),
    )


def _pairs(conditions: Conditions | dict[str, tuple[float, ...]]) -> list[tuple[str, float]]:
    return [(dtype, cond) for dtype, conds in conditions.items() for cond in conds]
