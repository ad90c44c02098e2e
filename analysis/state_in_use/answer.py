"""The page: how much of its state a layer uses, in words computed from stored rows."""

from analysis.rows import Rows, chosen, values
from analysis.sources import left_out, stored_names
from analysis.state_in_use.fit_figure import fit_figure
from analysis.state_in_use.fitting import LEAST, RIDGE
from analysis.state_in_use.layers_figure import layers_figure, layers_table
from analysis.state_in_use.measured import MEMORY, RANDOM
from analysis.state_in_use.memories import ATTENTION, GATED, UNGATED
from analysis.state_in_use.recall_figure import recall_figure
from analysis.state_in_use.rows import Row, at_four_loads, rank_correlation
from analysis.state_in_use.state_figures import profile_figure, sweep_figure
from analysis.state_in_use.tables import bound_table, check_table, fit_table, read_out_table
from analysis.words import span
from ttr_numerics.report import Section

__all__ = ["render"]

HARDLY = 0.5  # a rank correlation below it orders hardly


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone."""
    return Section(
        name="state_in_use",
        title="How much of its state a layer uses",
        question="How much of its state does a layer use, and does what it uses say what it recalls and what it has "
        "learned?",
        answer=_answer(rows),
        compared="The rank and the entropic rank of what passes through the state, exact because the layers are "
        "linear in v, with the pairs the same memory recalls; and for a noisy linear map the errors of one fit at the "
        "pairs it has stored and at queries it has not seen.",
        figures=(profile_figure(rows), layers_figure(rows), recall_figure(rows), sweep_figure(rows), fit_figure(rows)),
        tables=(layers_table(rows), read_out_table(rows), bound_table(rows), fit_table(rows), check_table(rows)),
        limits=(
            "The rank is of the definition of effective state size in arXiv 2504.19561; its cutoff (rounding) and the "
            "entropy of the singular values are our reading of it.",
            "Linear in v only: f(v₁ + 2v₂) = f(v₁) + 2f(v₂) is checked of every layer before it is measured, and one "
            "where it fails is refused. mLSTM is linear in v, because keys and gates alone make its denominator. "
            "Clipped and lp delta rules, TTT-Linear under layer norm, TTT-MLP and Titans with a deep memory are not, "
            "and have no operator.",
            "Linear in v and not run: kernel ridge and local regression, normalised linear attention, and RWKV-4, "
            "RG-LRU and HGRN, whose operator differs by value channel. Kaczmarz is a gated delta rule on unit keys.",
            f"Loads, gates and spectra are swept for {len((*UNGATED, *GATED))} layers; the others stand at one setting "
            "each, which need not be their best.",
            "One setting of gates for all tokens; trained gates depend on the token.",
            "Stored keys are scaled to unit norm; attention has logits √d cos, not the model's own temperature.",
            "One text a model, and the heads of a layer are not independent: bars over heads say how alike they are.",
            *left_out(rows),
        ),
    )


def _answer(rows: Rows) -> str:
    outs = [row for row in chosen(rows, part="read-out", source=RANDOM, cond=1.0) if row["memory"] in (None, MEMORY)]
    matrix = [row for row in at_four_loads(outs) if row["layer"] not in ATTENTION]
    d, n = matrix[0]["d_k"], matrix[0]["pairs"]
    full = chosen(matrix, size=d)
    recalled = [row["recalled"] * n for row in full]
    above = sum(row["above"] for row in chosen(rows, part="profile"))
    below = sum(row["below"] for row in chosen(rows, part="read-out"))
    return (
        f"All of it: of {len(matrix)} read-outs of {n} pairs by layers with a matrix state, d = {d}, {len(full)} have "
        f"the full rank {d}, and no operator or read-out breaks its bound ({above + below} violations). But of that "
        f"same rank they bring back between {min(recalled):.0f} and {max(recalled):.0f} of {n} pairs by argmax: the "
        "rank bounds exact recall (what is left is at least 1 - rank/n) and says nothing of argmax recall. "
        f"{_order(rows, matrix)} {_parting(rows)}"
    )


def _order(rows: Rows, matrix: list[Row]) -> str:
    """How far the entropic size orders argmax recall: along the gates of a layer, between layers, on stored keys."""
    n = matrix[0]["pairs"]
    swept = [row for row in chosen(rows, part="read-out", source=RANDOM, cond=1.0, pairs=n) if row["memory"]]
    swept = list({(row["layer"], row["memory"]): row for row in swept if row["layer"] not in ATTENTION}.values())
    along = [
        found for name in values(swept, "layer") if (found := rank_correlation(chosen(swept, layer=name))) is not None
    ]
    text = f"The entropic size orders it along the gates of one layer (Spearman {span(along)})" if along else ""
    between = rank_correlation(matrix)
    if between is not None:
        so = "but hardly" if between < HARDLY else "and"
        text += f", {so} between the {len(matrix)} layers on random keys ({between:.2f}){_on_stored(rows)}"
    return f"{text}." if text else ""


def _on_stored(rows: Rows) -> str:
    found = []
    for name in stored_names(rows):
        own = [row for row in chosen(rows, part="read-out", source=name) if row["layer"] not in ATTENTION]
        found.append(rank_correlation(at_four_loads(own)) if own else None)
    kept = [value for value in found if value is not None]
    return f"; on stored keys that is {span(kept)}" if kept else ""


def _parting(rows: Rows) -> str:
    """Stored pairs and unseen queries where n = d."""
    fits = chosen(rows, part="fit")
    noise, d = max(row["noise"] for row in fits), fits[0]["d"]
    full = {(row["layer"], row["asked"]): row["median"] for row in chosen(fits, noise=noise, n=d)}
    return (
        f"Recall and generalisation part where the state is just full: at n = d with noise {noise:g} least norm stores "
        f"with error {full[LEAST, 'stored']:.2f} and answers unseen queries with {full[LEAST, 'unseen']:.0f}, ridge "
        f"with {full[RIDGE, 'stored']:.2f} and {full[RIDGE, 'unseen']:.2f} (medians)."
    )
