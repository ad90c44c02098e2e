"""The page from stored rows alone: what is there of five figures, and the tables that carry them."""

from collections.abc import Callable

from analysis.mqar import latest, list_recall, load, own_keys, repetition, sizes
from analysis.mqar.checks import broken, convolution_table, table
from analysis.rows import Rows, chosen
from analysis.sources import left_out, without_value
from ttr_numerics.report import Figure, Section, Table

__all__ = ["render"]

# A figure is drawn where all of its parts were measured.
FIGURES: tuple[tuple[tuple[str, ...], Callable[[Rows], Figure]], ...] = (
    (("sizes", "load"), load.figure),
    (("sizes", "list"), list_recall.figure),
    (("reassigned",), latest.figure),
    (("passes", "kaczmarz"), repetition.figure),
    (("stored",), own_keys.figure),
)


def render(rows: Rows) -> Section:
    """Five figures and five tables, those whose parts are in the rows."""
    drawn = [figure(rows) for parts, figure in FIGURES if all(chosen(rows, part=part) for part in parts)]
    return Section(
        name="mqar",
        title="Associative recall without training",
        question="What does associative recall ask of a layer: with a short convolution or without, on long "
        "sequences, of keys that are given new values, and of lists that are shown again?",
        answer=_answer(rows),
        compared="Additive, gated, delta, ridge and softmax layers, unchanged from the library, on fixed random "
        "embeddings; closed forms and bounds with the measurement; ids after a convolution with the list of vectors.",
        figures=tuple(drawn),
        tables=_tables(rows),
        limits=(
            "Nothing is trained: keys and values are embeddings on the sphere, steps and gates are constants. What "
            "training adds is the question of mqar_trained.",
            "Gates are constants: they fade all pairs alike, which no argmax sees. Neutral filler has the embedding 0; "
            "under a vector of its own it would be stored like any other token.",
            "The convolution is a pure shift of the keys, k_t = x_(t-1); a learned one would mix tokens.",
            "The argmax formula is an approximation (Gaussian noise, rivals independent given the output), "
            "compared, not asserted.",
            "The generator is ours. Its design is zoology's (multiquery_ar, and stacked_mqar for the continuous form), "
            "written a second time from its description and compared in law by tests/tasks/test_zoology_design.py; "
            "other than there, a key's place does not depend on where it stood in the list.",
            "Stored keys are asked for as they were written: query and key are the same vector.",
            *left_out(rows),
            *without_value(rows),
        ),
    )


def _answer(rows: Rows) -> str:
    words = []
    bare = chosen(chosen(rows, part="sizes"), convolution="none")
    if bare:
        words.append(
            "Without a convolution every layer guesses: none answers more than "
            f"{max(row['value'] for row in bare):.3f} of the questions. With one, a single layer recalls the bigrams "
            "it stored, and what limits it is how many there are, or how old, never the length itself."
        )
    if chosen(rows, part="reassigned"):
        words.append(
            "Of contradictory values, layers without order answer the mean, exact regression among them; delta rules "
            "answer the last while little is written between, gates while much is."
        )
    if chosen(rows, part="passes"):
        words.append("Shown again, the delta rule nears least squares as long as the keys are independent (n ≤ d).")
    if chosen(rows, part="list") or chosen(rows, part="reassigned") or chosen(rows, part="kaczmarz"):
        count, total, chance = broken(rows)
        words.append(
            f"Of {total} comparisons with what is exact or proved {count} are beyond three standard errors; "
            f"{chance:.1f} would be by chance."
        )
    if not words and chosen(rows, part="stored"):
        return own_keys.figure(rows).finding
    return " ".join(words) or "Only part of the grid was measured."


def _tables(rows: Rows) -> tuple[Table, ...]:
    tables = []
    if chosen(chosen(rows, part="sizes"), convolution="keys shifted"):
        tables += [sizes.sizes_table(rows), convolution_table(rows)]
    if chosen(rows, part="load"):
        tables.append(sizes.ratios(rows))
    if repetition.standard_errors(rows):
        tables.append(repetition.reference_table(rows))
    tables.append(table(rows))
    return tuple(each for each in tables if each.rows)
