"""Whether two outputs that a law makes equal are: bit for bit, which asks for no tolerance, or to rounding."""

from collections.abc import Callable

import numpy as np

from ttr_numerics.probes.probe import within

__all__ = ["agree", "how"]


def agree(x: np.ndarray, y: np.ndarray, allowed: Callable[[], np.ndarray]) -> tuple[bool, float, tuple[int, ...]]:
    """Whether rows of x and y are equal or within `allowed()` (..., T), the worst ratio and the first row beyond.

    The tolerance costs more than all the calls: it is derived only where bits differ.
    """
    return (True, 0.0, ()) if np.array_equal(x, y) else within(x, y, allowed())


def how(x: np.ndarray, y: np.ndarray) -> str:
    """Equal in which sense, for a sentence."""
    return "bit for bit" if np.array_equal(x, y) else "to rounding"
