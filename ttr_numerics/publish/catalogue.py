"""The catalogue as a table of the page."""

from ttr_numerics.pairs import catalogue
from ttr_numerics.report import Table

__all__ = ["catalogue_table"]


def catalogue_table() -> Table:
    """One row a layer: its name, its three choices, the regression it is, the one it approximates, its source."""
    columns = ("layer", "weights", "function class", "optimiser", "the regression it is", "approximates", "source")
    rows = [
        (f"`{row.name}`", *(str(choice) for choice in _choices(row)), row.identity, row.target, row.source)
        for row in catalogue()
    ]
    note = (
        f"The {len(rows)} layers of the library by their three choices. What a layer is, it is exactly, and tests hold "
        "it to that within rounding; what it approximates is measured, never asserted."
    )
    return Table("Catalogue", columns, rows, note)


def _choices(row: object) -> tuple[object, object, object]:
    choices = row.choices  # type: ignore[attr-defined]
    return choices.weights, choices.function_class, choices.optimiser
