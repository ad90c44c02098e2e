"""Which judge tells faulty implementations from sound ones, on the same cases?

Kinds of fault are data; layer, format, library, form, sizes, site and seed are drawn. Each case stands beside its sound
twin, the same construction without the fault, and both go before every judge: the rules in use get one generic output
and the float64 truth of the same rounded inputs, `check` gets that output, the audits call the function. It takes torch
along and some minutes: measured only when named.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from analysis.verdicts.answer import render

__all__ = ["SEED", "measure", "render"]

SEED = 0
DRAWS = 1


def measure(progress: Callable[..., Iterable[Any]]) -> list[dict[str, Any]]:
    """One row a case and judge. The judged code and its libraries are imported here, and not to render."""
    return importlib.import_module("analysis.verdicts.measured").measure(progress, SEED, DRAWS)
