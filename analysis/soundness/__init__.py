"""Does the derived tolerance accuse sound code, and does it let faults pass?

Sound runs are other forms of each layer of the catalogue, in every format, in every quick regime that applies to it:
another library, other chunk lengths, another order of summation, float32 inside of 16-bit arrays. Faults are graded:
one array changed by a relative ε, at one token or at all, ε log-uniform. A layer run one precision lower has to fail
somewhere. Every regime draws its cases anew from the seed.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from analysis.soundness.answer import render

__all__ = ["SEED", "measure", "render"]

SEED = 20265


def measure(progress: Callable[..., Iterable[Any]]) -> list[dict[str, Any]]:
    """Rows of three kinds: a layer, format and regime; a layer and format one precision lower."""
    return importlib.import_module("analysis.soundness.measured").measure(progress)
