"""Trained on multi-query associative recall: do one short convolution and one test-time regression layer suffice?

And what the layer's three choices change, how far depth replaces the convolution, and what training does to the keys.
A small causal language model is trained on sequences of key-value pairs and asked for the value of every key.
"""

from collections.abc import Sequence
from typing import Any

from analysis.mqar_trained import cells
from analysis.mqar_trained.figures import figures
from analysis.mqar_trained.findings import second_values, suffices
from analysis.mqar_trained.measured import STUDY
from analysis.mqar_trained.runs import settings
from analysis.mqar_trained.tables import tables
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """The section, from stored rows alone."""
    of = settings(rows)
    quarter, half = cells.SHORTER
    return Section(
        name="mqar_trained",
        title="Associative recall, trained",
        question=STUDY.question,
        answer=f"{suffices(of)} {second_values(of)}".strip(),
        compared="Small causal language models that differ in the layer, its depth and its convolution alone: same "
        "sizes, same data, same optimiser. Every embedding, projection, gate, step, ridge and gain is learned.",
        figures=figures(of),
        tables=tables(of),
        limits=(
            f"Small: {cells.VOCABULARY} words, {cells.LENGTH} tokens, width {cells.WIDTH}, one head, no feed-forward "
            f"part, {cells.STEPS} steps of Adam on {cells.BATCH} sequences, float32. A layer that fails here has not "
            "been shown to fail with more steps, words or width.",
            f"Learning rates {' and '.join(f'{rate:g}' for rate in cells.RATES)} alone; the choice after "
            f"{cells.TRIAL} steps may fall before a model has begun to learn.",
            f"Lists begin short: a quarter of the pairs until step {quarter}, half until step {half}. In trials that "
            "are not kept here, full lists from the first step left many a start at guessing among the listed values.",
            "Repetitions are few and spread widely wherever learning is a matter of a sudden step: bars are their "
            "range, no interval of confidence.",
            "Queries, keys and values all pass a convolution each; the keys' alone would do for a bigram memory.",
            "Blanks are neutral, so that the load is the list alone; of its bigrams those that start at a value need "
            "not be stored, and a trained layer may leave them out, which layers on fixed keys cannot.",
        ),
    )
