"""What do the norms of keys do to softmax attention, how far do the sample weights they stand for explain it, and what
gain does attention need once keys are normalised?

`readings`: softmax, its exact partner, and readings that differ in what norms may do. `spread`: keys whose norms
spread, and stored keys. `gain`: unit keys. Drawn by `figures` and `key_figure`, tables by `tables`.
"""

from collections.abc import Sequence
from typing import Any

from analysis.qk_norm import figures, key_figure, tables
from analysis.qk_norm.measured import STUDY
from analysis.sources import left_out
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Figures and tables from stored rows alone."""
    keys, listed = key_figure.keys_figure(rows), tables.keys_table(rows)
    return Section(
        name="qk_norm",
        title="Key norms are sample weights",
        question=STUDY.question,
        answer=f"{tables.claims_answer(rows)} {figures.spread_answer(rows)} {figures.gain_answer(rows)}",
        compared="Softmax attention with Nadaraya-Watson regression of the same keys, weighted and not; with "
        "attention over unit keys; and the recall of unit keys with its bounds.",
        figures=(figures.spread_figure(rows), figures.gain_figure(rows), *([keys] if keys else [])),
        tables=(
            tables.claims_table(rows),
            tables.spread_table(rows),
            tables.needed_table(rows),
            *([listed] if listed else []),
        ),
        limits=(
            "Every key is visible to every query; causal attention has the same identity at every position.",
            "One gain for all keys and heads, no learned weight per channel as some models have beside QK-norm.",
            "Nothing is trained: whether a model learns to use key norms as weights on purpose is not asked, and the "
            "weights of stored keys may be wanted.",
            "One text a model, and the heads of a layer are not independent: counts over heads describe those.",
            "Stored values are scaled to unit norm, so that the error counts every token alike.",
            *left_out(rows),
        ),
    )
