"""Accuracy by the sizes of the task in a table, and what of them explains it."""

from analysis.mqar.memories import AT_EVERY_TOKEN, DECAY, DELTA, LINEAR, RIDGE
from analysis.mqar.rows import Rows, chosen, distinct, explained
from analysis.mqar.sequences import VOCABULARY
from ttr_numerics.report import Table

__all__ = ["fillers", "ratios", "sizes_table"]

WORDS = VOCABULARY // 2


def fillers(rows: Rows) -> list[str]:
    """The names of the fillers in the rows."""
    return [str(name) for name in distinct(rows, "filler")]


def ratios(rows: Rows) -> Table:
    """What explains the accuracies, at every width and over all of them."""
    cells = []
    for d in distinct(chosen(rows, part="load"), "d"):
        for layer in (LINEAR, RIDGE, DELTA):
            own = chosen(chosen(rows, part="load"), d=d, by="load", layer=layer)
            aged = chosen(chosen(rows, part="load"), d=d, by="age", layer=layer)
            age = explained(aged, "octave") if aged else None
            cells.append((d, layer, explained(own, "octave"), age, explained(own, "length"), explained(own, "pairs")))
    return Table(
        "What explains accuracy with random filler: share of its variance (η²)",
        ("d", "layer", "stored bigrams, by octave", "age, by octave", "length", "pairs"),
        cells,
        "Over groups of questions of equal length, pairs and octave; sampling noise included, so that nothing explains "
        "all. The delta rule's second number is over groups by age.",
    )


def sizes_table(rows: Rows) -> Table:
    """Accuracy by d and pairs at one length."""
    sizes = chosen(chosen(rows, part="sizes"), convolution="keys shifted")
    length = max(distinct(sizes, "length"), key=lambda T: len(distinct(chosen(sizes, length=T), "d")))
    cells = []
    for filler in fillers(sizes):
        for d in distinct(sizes, "d"):
            for pairs in distinct(sizes, "pairs"):
                own = {row["layer"]: row for row in chosen(sizes, filler=filler, d=d, pairs=pairs, length=length)}
                if own:
                    stored = next(iter(own.values()))["stored"]
                    cells.append((filler, d, pairs, stored, *(own[layer]["value"] for layer in AT_EVERY_TOKEN)))
    return Table(
        f"Accuracy in sequences of {length} tokens, one convolution and one layer, nothing trained",
        ("filler", "d", "pairs", "bigrams stored", *AT_EVERY_TOKEN),
        cells,
        f"Means over the questions; the right one of {WORDS} values must score highest. Gates are {DECAY:g} a token.",
    )
