"""What the certified solvers take: floats of any library, exactly as they stand."""

from typing import Any

from ttr_numerics.arrays import to_numpy
from ttr_numerics.arrays.balls import as_balls

__all__ = ["exactly"]


def exactly(x: Any) -> Any:
    """Balls of radius 0 for an array of any library, an exact number for a number; None stays None."""
    return as_balls(to_numpy(x) if hasattr(x, "dtype") else x)
