"""The page: how much of its state a layer uses, in words computed from stored rows."""

from scipy import stats

from analysis.rows import chosen
from analysis.state_in_use.fit_figure import fit_figure
from analysis.state_in_use.fitting import LEAST, RIDGE
from analysis.state_in_use.memories import ATTENTION
from analysis.state_in_use.rows import Rows, part
from analysis.state_in_use.state_figures import RANDOM, profile_figure, recall_figure, sweep_figure
from analysis.state_in_use.tables import bound_table, check_table, fit_table, read_out_table
from ttr_numerics.report import Section

__all__ = ["render"]


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    return Section(
        name="state_in_use",
        title="How much of its state a layer uses",
        question="How much of its state does a layer use, and does what it uses say what it recalls and what it has "
        "learned?",
        answer=_answer(rows),
        compared="The rank and the entropic rank of what passes through the state, exact because the layers are linear "
        "in v, with the pairs the same memory recalls; and for a noisy linear map the errors of one fit at the pairs "
        "it "
        "has stored and at queries it has not seen.",
        figures=(profile_figure(rows), recall_figure(rows), sweep_figure(rows), fit_figure(rows)),
        tables=(read_out_table(rows), bound_table(rows), fit_table(rows), check_table(rows)),
        limits=(
            "The rank is of the definition of effective state size in arXiv 2504.19561; its cutoff (rounding) and the "
            "entropy of the singular values are our reading of it.",
            "Linear in v only: a layer whose state is not (Titans with a deep memory, mLSTM's denominator is, TTT-MLP "
            "is not) has no operator.",
            "One setting of gates for all tokens; trained gates depend on the token.",
            "Stored keys are scaled to unit norm; attention has logits √d cos, not the model's own temperature.",
        ),
    )


def _answer(rows: Rows) -> str:
    outs = [row for row in chosen(part(rows, "read-out"), source=RANDOM, cond=1.0) if row["memory"] in (None, 64)]
    d = outs[0]["d_k"]
    n = max(row["pairs"] for row in outs if row["pairs"] <= 4 * d)
    at = [row for row in chosen(outs, pairs=n) if row["size"] == d]
    matrix = [row for row in chosen(outs, pairs=n) if row["layer"] not in ATTENTION]
    recalled = [row["recalled"] * n for row in at]
    fits = part(rows, "fit")
    noise = max(row["noise"] for row in fits)
    full = {(r["layer"], r["asked"]): r["median"] for r in chosen(fits, noise=noise, n=fits[0]["d"])}
    above = sum(row["above"] for row in part(rows, "profile")) + sum(row["below"] for row in part(rows, "read-out"))
    everything = [row for row in chosen(part(rows, "read-out"), source=RANDOM, pairs=n) if row["size"] == d]
    order = stats.spearmanr([r["entropic"] for r in everything], [r["recalled"] for r in everything]).statistic
    return (
        f"All of it: of {len(matrix)} read-outs of {n} pairs by layers with a matrix state, d = {d}, {len(at)} have "
        f"the full rank {d}, and no operator or read-out breaks its bound ({above} violations). But of that same rank "
        f"they bring back between {min(recalled):.0f} and {max(recalled):.0f} of {n} pairs by argmax: the rank bounds "
        f"exact recall (what is left is at least 1 - "
        f"rank/n) "
        f"and says nothing of argmax recall, which the entropic size orders better (Spearman {order:.2f} over "
        f"{len(everything)} memories of rank {d}, all gates). Recall and generalisation part where the state is just "
        f"full: at n = d with noise {noise:g} least norm stores with error {full[LEAST, 'stored']:.2f} and answers "
        f"unseen "
        f"queries with {full[LEAST, 'unseen']:.0f}, ridge with {full[RIDGE, 'stored']:.2f} and "
        f"{full[RIDGE, 'unseen']:.2f} (medians)."
    )
