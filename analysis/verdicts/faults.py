"""The operators of the corpus by name.

`INSIDE` ones work on widened arrays, as code in a kernel does, `OUTSIDE` ones on what the caller gave.
"""

from collections.abc import Callable

from analysis.verdicts.calls import consuming, narrowed, striding, writing
from analysis.verdicts.operands import Run, added, bordered, counted, exchanged, mapped, rolled_heads, scaled, shifted
from analysis.verdicts.results import detached, final_state, gradient, remembering, spoiled, unsteady

__all__ = ["INSIDE", "OUTSIDE", "Run"]

INSIDE: dict[str, Callable[..., Run]] = {
    f.__name__: f
    for f in (
        *(scaled, mapped, shifted, exchanged, rolled_heads, counted, added, spoiled, unsteady, remembering),
        *(final_state, gradient, detached, bordered),
    )
}
OUTSIDE: dict[str, Callable[..., Run]] = {f.__name__: f for f in (writing, narrowed, striding, consuming)}
