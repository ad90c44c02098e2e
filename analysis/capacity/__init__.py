"""How many pairs does a memory hold, for each of the things "hold" can mean?

Of a matrix of d × d numbers: exact recall (the value itself comes back, to half the digits of float64), argmax recall
(among all n stored values the right one scores highest), list recall (it is among the best 5 %), and all n pairs at
once by argmax. Each has its own law, d, d²/(2 ln n), d² and d²/(8 ln n). Of memories that hold more than d × d
numbers: softmax attention with gain β, exponentially many in d, kernel ridge regression, as many as its ridge resolves,
and polynomial kernels. n unit keys and unit values
are stored in one pass and read back at their keys.
"""

from analysis.capacity.checks import exponent_table, statement_table, statement_words, statements, theorem_table
from analysis.capacity.constants import limit_table, power_table, universal_table, universal_words
from analysis.capacity.curves import recall_figure
from analysis.capacity.exponential import exponential_figure
from analysis.capacity.kernel_figure import kernels_figure
from analysis.capacity.kernel_table import kernels_table
from analysis.capacity.keys import end_table, keys_figures
from analysis.capacity.laws import at_half, laws_figure
from analysis.capacity.measured import STUDY
from analysis.capacity.notions import ARGMAX, EXACT, LEAST, LINEAR, LIST, MATRIX
from analysis.capacity.transitions import Rows, chosen
from analysis.libraries import by_library
from analysis.sources import left_out, without_value
from ttr_numerics.report import Section

__all__ = ["STUDY", "render"]


ASKED = ("part", "source", "layer", "values", "gain", "degree", "beta", "d", "n", "notion")


def render(rows: Rows) -> Section:
    """Figures and tables from stored rows alone: of whatever parts of the grid there are, by each array library."""
    return by_library(rows, _section, ASKED, "notion")


def _section(rows: Rows) -> Section:
    figures = keys_figures(rows)
    tables = end_table(rows)
    answer = ""
    if chosen(rows, part=MATRIX):
        found = statements(rows)
        answer = f"{_answer(rows)} {universal_words(rows).capitalize()}. {statement_words(found)}"
        figures = (recall_figure(rows), laws_figure(rows), exponential_figure(rows), *kernels_figure(rows), *figures)
        fitted = (power_table(rows), limit_table(rows), universal_table(rows), exponent_table(rows))
        tables = (*fitted, *kernels_table(rows), statement_table(found), theorem_table(rows), *tables)
    return Section(
        name="capacity",
        title="How many pairs a memory holds",
        question='How many pairs does a memory hold, for each of the things "hold" can mean?',
        answer=answer or figures[0].finding,
        compared="Layers with each other, with proved bounds, with conjectured constants, and with approximations of "
        "ours, each named as what it is; random with stored keys.",
        figures=figures,
        tables=tables,
        limits=(
            "The codebook is the n stored values, N = n: words that were never stored are not among the competitors.",
            "d = d_v for matrices, no feature maps; softmax attention is given values of 64 channels, so that few "
            "channels do not crowd its codebook.",
            "Queries are stored keys themselves: how far from a key one may ask is not measured.",
            "Up to 512 items of a draw are ranked; beyond 2^24 numbers a matrix there is one draw. From 2^19 numbers "
            "on keys and values are float32.",
            "Least squares and mesa beyond n = 4 d are solved by their moments. Mesa differs from least squares where "
            "its ridge of 1/4 is not far below n/d, and is asked for no list beyond the argmax capacity.",
            "Kernel ridge regression stores at most 4096 pairs: it factors an n × n matrix. Softmax attention is asked "
            "up to n = 8192, the kernel of degree 2 beyond d = 128 too, where their capacity by argmax is far larger.",
            "Signs of binary patterns: a sum of 0 has no sign and counts against recall.",
            "The delta rule sees each pair once; several passes would approach least squares.",
            *left_out(rows),
            *without_value(rows),
        ),
    )


def _answer(rows: Rows) -> str:
    ends = {key: at_half(rows, *key) for key in ((LEAST, EXACT), (LINEAR, ARGMAX), (LINEAR, LIST))}
    common = set.intersection(*({int(x) for x in d} for d, _ in ends.values()))
    if not common:
        return "On this part of the grid not every notion comes to one half."
    width = max(common)
    exact, first, listed = (int(n[list(d).index(width)]) for d, n in ends.values())
    return (
        f"At d = {width}: {exact} values exactly (least squares), about {first} pairs ranked first and {listed} in "
        "the best 5 % (half of them, linear attention). These are three laws, d, d²/(2 ln n) and d², and softmax "
        "attention with a gain in proportion to d follows a fourth, exponential in d."
    )
