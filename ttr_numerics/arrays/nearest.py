"""Correct rounding of float64 numbers to a narrower binary format, ties to even."""

from typing import Any

import numpy as np

__all__ = ["is_short", "to_nearest"]

_SIGNIFICAND = 53
_SINGLE = (24, 127)  # precision and bias of float32, which the hardware rounds to


def to_nearest(x: np.ndarray, format_info: Any) -> np.ndarray:
    """`x` (float64) rounded to the format of gfloat, as float64: what `gfloat.round_ndarray` gives, in fewer passes.

    Adding half a spacing less one, and one more where the last bit kept is odd, to the bits themselves carries into the
    exponent as it must. Below the normal range spacings are constant: adding and taking off 1.5 · 2^52 of them rounds.
    """
    lost = _SIGNIFICAND - format_info.precision
    if lost <= 0:
        return x
    if (format_info.precision, format_info.bias) == _SINGLE:
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(np.float32).astype(np.float64)
    x = np.ascontiguousarray(x, dtype=np.float64)
    bits = x.view(np.int64)
    half, mask = np.int64((1 << (lost - 1)) - 1), np.int64(-1 << lost)
    rounded = ((bits + half + ((bits >> np.int64(lost)) & np.int64(1))) & mask).view(np.float64)
    size = np.abs(x)
    smallest, largest = 2.0 ** (1 - format_info.bias), float(format_info.max)
    unusual = (size < smallest) | ~(np.abs(rounded) <= largest)
    if not np.any(unusual):
        return rounded
    grid = 1.5 * 2.0 ** (52 + 1 - format_info.bias - (format_info.precision - 1))
    with np.errstate(invalid="ignore"):
        small = np.copysign(np.abs((x + grid) - grid), x)
    beyond = np.where(np.isnan(x), x, np.copysign(np.inf, x))
    return np.where(size < smallest, small, np.where(np.abs(rounded) <= largest, rounded, beyond))


def is_short(x: np.ndarray, u: float) -> np.ndarray:
    """Where the significand of `x` (float64) has no more bits than the format of unit roundoff `u` = 2^-p."""
    lost = _SIGNIFICAND + round(np.log2(u))
    return (np.ascontiguousarray(x).view(np.int64) & np.int64((1 << lost) - 1)) == 0
