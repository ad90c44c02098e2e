"""What a layer of the catalogue, or a composition of three choices, wants to be called with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ttr_numerics.arguments import KEYS, QUERIES, VALUES, Argument
from ttr_numerics.axes import Output
from ttr_numerics.composition import Regression
from ttr_numerics.pairs import Pairing, catalogue, pairing

__all__ = ["Called", "called"]


@dataclass(frozen=True)
class Called:
    """`function` of q, k, v, the named arrays `takes`, and where it is `causal` an initial_state."""

    function: Callable[..., Output]
    takes: tuple[Argument, ...]
    queries: Argument = QUERIES
    keys: Argument = KEYS
    values: Argument = VALUES
    causal: bool = True


def called(layer: str | Regression, optional: Iterable[str]) -> Called:
    """The call of a catalogue name with those `optional` arrays, or of a `ttr_numerics.regression(...)`."""
    if isinstance(layer, Regression):
        return _composition(layer, tuple(optional))
    row = pairing(layer)
    allowed = {x.name: x for x in row.may_take if x.name != "initial_state"}
    for name in optional:
        if name not in allowed:
            raise ValueError(f"optional: expected some of {', '.join(allowed) or 'no names'} for {layer}, got {name}")
    takes = (*row.takes, *(allowed[name] for name in optional))
    # The longest chunks: a time loop in torch costs a tape entry a token.
    function = row.forms[-1] if row.forms else row.layer
    return Called(function, takes, row.queries, row.keys, row.values, row.causal)


def _composition(layer: Regression, optional: tuple[str, ...]) -> Called:
    """Arrays as the catalogue's row of the same choices declares them, else the first row with an array of the name."""
    if optional:
        raise ValueError(f"optional: expected no names, as the choices say what they take, got {', '.join(optional)}")
    known: dict[str, Argument] = {}
    rows: list[Pairing] = [*map(pairing, layer.names), *catalogue()]
    for x in (x for row in rows for x in (*row.takes, *row.may_take)):
        known.setdefault(x.name, x)
    takes = tuple(known[name] for name in layer.arrays)
    axes: dict[str, Any] = {}
    if layer.names:
        axes = {"queries": rows[0].queries, "keys": rows[0].keys, "values": rows[0].values}
    return Called(layer, takes, **axes)
