"""Do public implementations compute what the catalogue says, to rounding in their own arithmetic?

Each peer gets the layer's own arguments in its own convention and is held against the float64 layer on the same
rounded inputs, by the tolerance derived for its arithmetic: outputs, and the last state where it returns one. Where it
is another operator, the variant that it is stands beside it, and is held to the same tolerance. It takes public
packages along: measured only when named.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from analysis.peers.answer import render

__all__ = ["SEED", "measure", "render"]

SEED = 0


def measure(progress: Callable[..., Iterable[Any]]) -> list[dict[str, Any]]:
    """One row a peer and format, and one a layer without a peer. The packages are imported here, and not to render."""
    return importlib.import_module("analysis.peers.measured").measure(progress)
