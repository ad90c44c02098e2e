"""The same numbers in other storage: strided, turned, inside a larger buffer, expanded, read backwards.

What an array holds does not depend on how it lies in memory; a kernel that reads memory as if it did is wrong.
"""

from enum import Enum
from math import prod
from typing import NamedTuple

import numpy as np

from ttr_numerics.arrays import Array, namespace, zeros

__all__ = ["Stored", "View", "as_view"]

FILLED = 7  # what lies between the numbers


class View(Enum):
    """How an array lies in memory; the value is what a sentence says of it."""

    SPREAD = "every second entry of a row twice as long"
    INSIDE = "rows inside longer ones, as of a fused projection"
    SHIFTED = "one entry into a buffer, off its alignment"
    TURNED = "the transpose of what is stored"
    HEADS_INSIDE = "heads and time exchanged in memory"
    EXPANDED = "one batch entry read as many, with stride 0"
    REVERSED = "read backwards, with a negative stride (NumPy)"


class Stored(NamedTuple):
    """`values` to be handed over in the storage `view`."""

    values: np.ndarray
    view: View


def as_view(x: Array, view: View) -> Array:
    """The entries of `x` (at least three axes, the batch first) in other storage; `x` is NumPy's or torch's."""
    *leading, n = x.shape
    if view is View.EXPANDED:
        return namespace(x).broadcast_to(x[:1], x.shape)
    if view is View.REVERSED:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if view is View.SHIFTED:
        buffer = zeros(x, (prod(x.shape) + 1,))
        return _filled(buffer[1:].reshape(x.shape), x)
    if view is View.TURNED:
        return _filled(_exchanged(zeros(x, _swapped(x.shape, -1)), -1), x)
    if view is View.HEADS_INSIDE:
        return _filled(_exchanged(zeros(x, _swapped(x.shape, 2)), 2), x)
    longer = zeros(x, (*leading, 2 * n if view is View.SPREAD else n + 5))
    longer[...] = FILLED
    return _filled(longer[..., ::2] if view is View.SPREAD else longer[..., 3 : 3 + n], x)


def _filled(view: Array, x: Array) -> Array:
    view[...] = x
    return view


def _swapped(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """`shape` with the lengths of `axis` and the axis before it exchanged."""
    order = list(shape)
    order[axis], order[axis - 1] = order[axis - 1], order[axis]
    return tuple(order)


def _exchanged(x: Array, axis: int) -> Array:
    order = list(range(x.ndim))
    order[axis], order[axis - 1] = order[axis - 1], order[axis]
    return namespace(x).permute_dims(x, tuple(order))
