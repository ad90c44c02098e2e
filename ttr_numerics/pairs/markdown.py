"""The catalogue as a Markdown table: what README shows is this text, and a test compares them."""

from collections.abc import Sequence

from ttr_numerics.pairs.pairing import Pairing

__all__ = ["as_markdown"]

_COLUMNS = ("layer", "weights", "function class", "optimiser", "the regression it is")


def as_markdown(rows: Sequence[Pairing]) -> str:
    """One line a layer: its name, its three choices, its identity."""
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    for row in rows:
        choices = row.choices
        cells = (f"`{row.name}`", choices.weights, choices.function_class, choices.optimiser, row.identity)
        lines.append(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)
