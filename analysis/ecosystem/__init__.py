"""Do public implementations hold what they promise, in every regime and by every law of the audit?

Each function is called in a process of its own, in its own convention, by the probes of `ttr audit`. What a probe calls
wrong is read up in the source and named for what it is: a defect, with a reproduction that needs nothing of ours, a
restriction, or another convention. It takes public packages along: measured only when named.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from analysis.ecosystem.answer import render

__all__ = ["SEED", "measure", "render"]

SEED = 0


def measure(progress: Callable[..., Iterable[Any]]) -> list[dict[str, Any]]:
    """A row a function and format, and one a reproduction. The packages are imported here, and not to render."""
    return importlib.import_module("analysis.ecosystem.measured").measure(progress)
