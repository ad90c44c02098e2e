"""Number formats by name: unit roundoff, smallest normal number, and rounding to them on NumPy arrays."""

from dataclasses import dataclass
from typing import Any

import gfloat.formats as formats
import numpy as np

from ttr_numerics.arrays.rounded import Nearest, Stochastic

__all__ = ["FORMATS", "MAGNIFIED", "MAGNIFIED_BITS", "Format", "format_named"]

MAGNIFIED_BITS = 4
MAGNIFIED = 2**MAGNIFIED_BITS  # errors of float64 replicas in units of float64's own


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with `precision` significant bits and smallest normal number 2^min_exponent.

    `accumulator` is the format in which matrix units sum products of this one.
    """

    name: str
    precision: int
    min_exponent: int
    accumulator: str
    info: Any

    @property
    def u(self) -> float:
        """Unit roundoff 2^-precision."""
        return 2.0**-self.precision

    @property
    def tiny(self) -> float:
        """Smallest normal number."""
        return 2.0**self.min_exponent

    @property
    def floor(self) -> float:
        """What one operation may lose to underflow: the smallest normal number where units flush to zero.

        float16 underflows gradually on every unit, so it loses half a subnormal spacing: 2^-25.
        """
        return self.tiny * self.u if self.min_exponent > -100 else self.tiny

    @property
    def largest(self) -> float:
        """Largest finite number."""
        return float(self.info.max)

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """`x` (float64) correctly rounded to this format, as float64."""
        return x if self.precision >= 53 else Nearest(self.info).store(np.asarray(x, dtype=np.float64))

    def replicas(self, rng: np.random.Generator) -> Stochastic:
        """Random errors of this format, sums accumulated in its accumulator; float64's are `MAGNIFIED` times as large.

        They are added in float64, which cannot hold an error of u|x| in a float64 x: half a spacing is u times the
        power of two below |x|, so that an error next to a power of two would always be rounded away. The error of an
        output is linear in the errors made to first order, so it is as many times as large; terms of second order are
        overstated. An error uniform in ±16 m u, rounded to spacings of 2u for a significand m in [1, 2), keeps its
        variance to 1 part in 16² m².
        """
        size = MAGNIFIED if self.precision >= 53 else 1
        return Stochastic(size * self.u, size * FORMATS[self.accumulator].u, rng)


FORMATS = {
    f.name: f
    for f in (
        Format("float64", 53, -1022, "float64", formats.format_info_binary64),
        Format("float32", 24, -126, "float32", formats.format_info_binary32),
        Format("float16", 11, -14, "float32", formats.format_info_binary16),
        Format("bfloat16", 8, -126, "float32", formats.format_info_bfloat16),
    )
}


def format_named(name: str) -> Format:
    """The format called `name`, or a ValueError that lists them."""
    if name not in FORMATS:
        raise ValueError(f"dtype: expected one of {', '.join(FORMATS)}, got {name}")
    return FORMATS[name]
