"""The catalogue: every layer, its three choices, and the regression it is or approximates. One family a file.

Two relations are kept apart. The *identity* is the problem a layer solves exactly: an exact solver with the same
output to rounding, asserted by the tests. The *target* is the regression it approximates: measured, never asserted.
"""

from ttr_numerics.pairs import additive, first_order, local, nonlinear, nonparametric, recurrent, second_order
from ttr_numerics.pairs.pairing import Call, Pairing, Target

__all__ = ["Call", "Pairing", "Target", "catalogue", "pairing"]


def catalogue() -> tuple[Pairing, ...]:
    """All pairings, in the order of the table.

    >>> [row.name for row in catalogue()][:1]
    ['linear_attention']
    """
    families = (additive, recurrent, first_order, nonlinear, second_order, nonparametric, local)
    return tuple(row for family in families for row in family.TABLE)


def pairing(name: str) -> Pairing:
    """The row of the layer called `name`, or a ValueError listing the names."""
    for row in catalogue():
        if row.name == name:
            return row
    raise ValueError(f"layer: expected one of {', '.join(row.name for row in catalogue())}, got {name}")
