"""What does each number format cost: how many steps an iteration needs and what error it reaches, what a stored state
forgets, when recursive least squares diverges, and when gates overflow?

`iterations` on `systems`: conjugate gradients and Chebyshev steps, drawn by `steps`, tables by `step_tables`.
`storage`: a state in bfloat16, by `states`. `recursion`: recursive least squares and its unsound writing, by
`divergence`. `gates`: products of gates in a block, by `blocks`.
"""

from collections.abc import Sequence
from typing import Any

from analysis.precision import blocks, divergence, states, step_tables, steps
from analysis.precision.measured import STUDY
from analysis.sources import left_out
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Figures and tables from stored rows alone."""
    keys = step_tables.keys_table(rows)
    return Section(
        name="precision",
        title="What a number format costs",
        question=STUDY.question,
        answer=f"{steps.steps_answer(rows)} {states.state_answer(rows)} {divergence.recursion_answer(rows)}",
        compared="Iterations with solutions refined beyond float64, and with their bounds; stored states with "
        "float64; forms of one recursion with each other; blocks of gates with float64 token by token.",
        figures=(
            steps.steps_figure(rows),
            states.state_figure(rows),
            divergence.divergence_figure(rows),
            blocks.gates_figure(rows),
        ),
        tables=(
            step_tables.steps_table(rows),
            step_tables.rule_table(rows),
            step_tables.bounds_table(rows),
            *([keys] if keys else []),
            step_tables.kalmanet_table(rows),
            states.state_table(rows),
            divergence.divergence_table(rows),
            divergence.overflow_table(rows),
            blocks.overflow_gate_table(rows),
        ),
        limits=(
            "16-bit formats are emulated: every operation rounded to nearest, sums exact and rounded once, as with an "
            "accumulator much wider than the format. A kernel that sums in 16 bits does worse.",
            "Random eigenvectors: H rounded to 16 bits is perturbed in all directions alike.",
            "No training: what an error of a forward pass does to gradients over many steps is not asked.",
            "Which solver keeps how many digits at which condition number, dtype by dtype, is the report on "
            "conditioning.",
            *left_out(rows),
        ),
    )
