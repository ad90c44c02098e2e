"""Sums as an arithmetic rounds them: their exact value, the sizes of their terms, and the terms one by one."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

__all__ = ["Products", "Summands", "Terms"]

Scaled = tuple[np.ndarray, np.ndarray | None]  # a sum of squares, and the unit of which they are squares (None: 1)


class Terms(Protocol):
    """The n terms of every entry of an array of sums."""

    n: int

    def total(self) -> np.ndarray:
        """The sums themselves."""

    def squares(self) -> Scaled:
        """Σ x_i²."""

    def squares_at_most(self) -> Scaled:
        """A bound on Σ x_i² that costs less, n times as large at most."""

    def one_by_one(self) -> Iterator[np.ndarray]:
        """The terms x_1, ..., x_n."""


class Products:
    """The terms x_ti y_ij of x @ y: x (..., m, n), y (..., n, p)."""

    MOST, LEAST = 50, -60  # binary exponents of squares, and of sums of products of squares, held in float32

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.x, self.y, self.n = x, y, x.shape[-1]

    def total(self) -> np.ndarray:
        """x @ y."""
        return self.x @ self.y

    def squares(self) -> Scaled:
        """Σ x²y²: in float32, where nothing of it leaves that range, twice as fast.

        They size an error, so seven digits are enough. Squares below 2^MOST that underflow cost a sum of at least
        2^LEAST at most n 2^(MOST - 149). Else in float64, in units of a power of two for each matrix.
        """
        with np.errstate(over="ignore", under="ignore"):
            x, y = (np.square(z, dtype=np.float32, casting="same_kind") for z in (self.x, self.y))
            if np.max(x, initial=0.0) < 2.0**self.MOST and np.max(y, initial=0.0) < 2.0**self.MOST:
                sums = x @ y
                if np.min(sums, initial=np.inf) > 2.0**self.LEAST:
                    return sums, None
        (x, unit_x), (y, unit_y) = _in_units(self.x), _in_units(self.y)
        return (x * x) @ (y * y), unit_x * unit_y

    def squares_at_most(self) -> Scaled:
        """‖x_t‖² ‖y_j‖² ≥ Σ x²y², by norms of rows and columns."""
        (x, unit_x), (y, unit_y) = _in_units(self.x), _in_units(self.y)
        rows, columns = np.vecdot(x, x)[..., :, None], np.einsum("...ij,...ij->...j", y, y)[..., None, :]
        return rows * columns, unit_x * unit_y

    def one_by_one(self) -> Iterator[np.ndarray]:
        """The products of column i of x and row i of y."""
        return (self.x[..., :, i, None] * self.y[..., None, i, :] for i in range(self.n))


class Summands:
    """The entries of x along an axis."""

    def __init__(self, x: np.ndarray, axis: int, keepdims: bool) -> None:
        self.x, self.axis, self.keepdims, self.n = x, axis % x.ndim, keepdims, x.shape[axis]

    def total(self) -> np.ndarray:
        """Σ x."""
        return np.sum(self.x, axis=self.axis, keepdims=self.keepdims)

    def squares(self) -> Scaled:
        """Σ x²."""
        return np.sum(self.x * self.x, axis=self.axis, keepdims=self.keepdims), None

    def squares_at_most(self) -> Scaled:
        """Σ x² itself, which is cheap."""
        return self.squares()

    def one_by_one(self) -> Iterator[np.ndarray]:
        """The slices of x."""
        return iter(np.moveaxis(np.expand_dims(self.x, self.axis) if self.keepdims else self.x, self._from, 0))

    @property
    def _from(self) -> int:
        return self.axis + 1 if self.keepdims else self.axis


def _in_units(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each matrix of a stack in units of a power of two near its largest entry, so that squares stay in range."""
    largest = np.max(np.abs(x), axis=(-2, -1), keepdims=True, initial=0.0)
    unit = np.exp2(np.frexp(np.where((largest > 0) & np.isfinite(largest), largest, 1.0))[1])
    return x / unit, unit
