"""The page: how far each layer is from its regression, in words computed from stored rows."""

from analysis.libraries import by_library
from analysis.recall_error.figures import distance_figure, random_figure, real_figure
from analysis.recall_error.measured import DISTANCE
from analysis.recall_error.readings import DELTA, DELTA_BEST, GLA_SCALED, LA_SCALED, LS, MESA, SOFTMAX
from analysis.recall_error.rows import Row, Rows, by_metric, error_of, most_pairs, row_of
from analysis.recall_error.tables import real_table, reference_table
from analysis.rows import values
from analysis.sources import left_out, stored_names
from ttr_numerics.report import Section
from ttr_numerics.report.notation import number

__all__ = ["render"]


ASKED = ("source", "n", "d", "layer", "metric")


def render(rows: Rows) -> Section:
    """Tables and figures from stored rows alone; of each array library that computed them."""
    return by_library(rows, _section, ASKED, "metric")


def _section(rows: Rows) -> Section:
    sources, real = values(rows, "source"), stored_names(rows)
    return Section(
        name="recall_error",
        title="How far each layer is from its regression",
        question="How far is each layer from the regression it stands for, as more associations are stored?",
        answer=_answer(rows, real),
        compared="Each layer's outputs, read from its final state at every stored key, with the stored values and "
        "with the exact solution of its own problem: least squares (weighted by the gate for gated layers), ridge "
        "regression for the Mesa layer, the Gaussian kernel smoother for softmax attention.",
        figures=(random_figure(rows), real_figure(rows, real), distance_figure(rows, sources)),
        tables=(real_table(rows, real), reference_table(rows)),
        limits=(
            "Keys are scaled to unit norm everywhere: at the norms of captured keys a delta rule with β = 1 diverges.",
            "Queries are the stored keys; other queries are asked in `state_in_use` and `key_covariance`.",
            "The best scale and, on real keys, the best β are fitted to the very pairs they are judged on.",
            "Heads of one layer on one text are not independent samples: their standard error describes the spread of "
            "these heads, not of models or texts.",
            *left_out(rows),
        ),
    )


def _answer(rows: Rows, real: list[str]) -> str:
    source, n = real[0], most_pairs(rows, real[0])
    at = {
        layer: row_of(rows, source, layer, n) for layer in (LS, LA_SCALED, GLA_SCALED, DELTA, DELTA_BEST, MESA, SOFTMAX)
    }
    left = {layer: _words(row) for layer, row in at.items()}
    off = max(row["largest"] for row in by_metric(rows, DISTANCE) if row["layer"] in (MESA, SOFTMAX))
    return (
        f"On {n} tokens of {source}, mean and standard error over heads, least squares leaves {left[LS]} of the "
        f"squared values unexplained; linear "
        f"attention at its best scale {left[LA_SCALED]}, gated linear attention {left[GLA_SCALED]}, the delta rule "
        f"{left[DELTA]} ({left[DELTA_BEST]} with its best constant step): they never undo the correlation of the keys, "
        f"or not in one pass. The Mesa layer ({left[MESA]}) and softmax attention ({left[SOFTMAX]}) are their "
        f"regressions, to {number(off)} in squares, which is rounding; their error is that of ridge regression and of "
        "kernel smoothing."
    )


def _words(row: Row) -> str:
    error = error_of(row)
    return f"{row['value']:.2f}" if error is None else f"{row['value']:.2f} ± {error:.2f}"
