"""Table: every layer on every stored source, young and old pairs, beside isotropic keys."""

from typing import Any

from analysis.age.comparisons import deviation_given_keys, moves, of_age, places
from analysis.age.stored_curves import age_words
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.report import Table

__all__ = ["stored_tables"]

COLUMNS = (
    "keys", "layer", "young", "its standard error", "young, random values", "young, isotropic", "old",
    "its standard error, old", "old, random values", "old, isotropic", "place when old", "place, isotropic",
    "worst deviation, standard errors",
)  # fmt: skip


def stored_tables(rows: Rows) -> tuple[Table, ...]:
    """No table where no keys were asked."""
    if not rows:
        return ()
    lines = [line for source in values(rows, "source") for line in _lines(rows, source)]
    note = (
        f"Errors ‖o - v‖² of unit values; young: {age_words(rows, False)} since the pair was written, old: "
        f"{age_words(rows, True)} (of two stored keys each for the gated delta product). Places are by the error of "
        f"old pairs, 1 the least{_moved(rows)}. The deviation is that of the errors with random values from their "
        "exact mean on these keys, the worst of all ages; robust rules are not linear in the values and have none. "
        "Layers that treat value channels together have an isotropic error only where values have as many channels as "
        f"keys.{quantised(rows)}"
    )
    return (Table("Stored keys: young and old pairs of every layer", COLUMNS, lines, note),)


def _moved(rows: Rows) -> str:
    """Which layer changes its place most on each source."""
    said = [f"{x.layer} on {x.source}, from {x.isotropic} to {x.stored}" for x in moves(rows)]
    return f"; most moved from isotropic to stored keys: {'; '.join(said)}" if said else ""


def _lines(rows: Rows, source: str) -> list[tuple[Any, ...]]:
    moved = {move.layer: (move.stored, move.isotropic) for move in places(rows, source)}
    lines = []
    for young, old in zip(of_age(rows, source, False), of_age(rows, source, True), strict=True):
        layer = young["layer"]
        known = [row for row in chosen(rows, source=source, layer=layer) if row["given_keys"] is not None]
        worst = max((abs(deviation_given_keys(row)) for row in known), default=None)
        errors = [row[name] for row in (young, old) for name in ("value", "error", "random", "isotropic")]
        lines.append((source, layer, *errors, *moved.get(layer, (None, None)), worst))
    return lines
