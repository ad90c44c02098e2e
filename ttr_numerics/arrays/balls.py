"""Ball arithmetic, so that a layer's own code encloses its exact answer.

Every entry is a ball [m ± r] that contains the exact number, and every operation gives one that contains the exact
result; inputs are floats, hence exact. A question that balls do not decide (is x < y?) is not guessed: it raises
`UndecidedError`, and more bits may decide it. `dtype` is object as that of symbols, and with it comes their way through
the solvers: without tests of size against a roundoff. Functions are in `arrays.ball_functions`.
Reference: Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 66
(2017) 1281.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics.arrays.arb import Exact, NoEnclosureError, UndecidedError, flint_library, spend

__all__ = ["BallArray", "as_balls", "balls", "each", "solved"]

LONG = 4  # smallest side of a product from which flint's own is the faster


class BallArray:
    """An array of balls: arithmetic encloses, and a comparison is one that holds, or fails, for certain."""

    __slots__ = ("x",)
    __array_ufunc__ = None  # NumPy must leave mixed expressions to the operators below
    __array_priority__ = 100
    device = "cpu"
    dtype = np.dtype(object)

    def __init__(self, x: np.ndarray) -> None:
        spend(x.size)
        self.x = x

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        from ttr_numerics.arrays import ball_functions

        return ball_functions

    shape = property(lambda self: self.x.shape)
    ndim = property(lambda self: self.x.ndim)
    size = property(lambda self: self.x.size)

    def __getitem__(self, index: Any) -> "BallArray":
        return BallArray(_object(self.x[index]))

    def __setitem__(self, index: Any, value: "BallArray") -> None:
        self.x[index] = value.x

    def __float__(self) -> float:
        raise NoEnclosureError("its code asks for a number as a float")

    def __bool__(self) -> bool:
        raise NoEnclosureError("its code asks whether an array is true")

    def __neg__(self) -> "BallArray":
        return BallArray(_object(-self.x))

    def __abs__(self) -> "BallArray":
        return BallArray(_object(abs(self.x)))

    def __add__(self, other: Any) -> "BallArray":
        return BallArray(_object(self.x + _entries(other)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "BallArray":
        return BallArray(_object(self.x - _entries(other)))

    def __rsub__(self, other: Any) -> "BallArray":
        return BallArray(_object(_entries(other) - self.x))

    def __mul__(self, other: Any) -> "BallArray":
        return BallArray(_object(self.x * _entries(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "BallArray":
        return BallArray(_object(self.x / _entries(other)))

    def __rtruediv__(self, other: Any) -> "BallArray":
        return BallArray(_object(_entries(other) / self.x))

    def __pow__(self, power: Any) -> "BallArray":
        return BallArray(_object(self.x ** (power if isinstance(power, int) else _entries(power))))

    def __matmul__(self, other: "BallArray") -> "BallArray":
        return BallArray(_product(self.x, other.x))

    def __eq__(self, other: Any) -> Any:
        return _decided(operator.eq, operator.ne, self, other)

    def __ne__(self, other: Any) -> Any:
        return _decided(operator.ne, operator.eq, self, other)

    __hash__ = None  # type: ignore[assignment]  # as of every array

    def __lt__(self, other: Any) -> Any:
        return _decided(operator.lt, operator.ge, self, other)

    def __le__(self, other: Any) -> Any:
        return _decided(operator.le, operator.gt, self, other)

    def __gt__(self, other: Any) -> Any:
        return _decided(operator.gt, operator.le, self, other)

    def __ge__(self, other: Any) -> Any:
        return _decided(operator.ge, operator.lt, self, other)


def balls(x: Any) -> BallArray:
    """Floats as balls of radius 0."""
    return BallArray(_entries(np.asarray(x, dtype=np.float64)))


def as_balls(x: Any) -> Any:
    """An argument for balls: arrays as balls, numbers as `Exact`, in tuples and frozen objects too."""
    if isinstance(x, np.ndarray):
        return balls(x)
    if isinstance(x, float):
        return Exact(x)
    if isinstance(x, tuple):
        parts = [as_balls(y) for y in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    if is_dataclass(x) and not isinstance(x, type):
        return replace(x, **{f.name: as_balls(getattr(x, f.name)) for f in fields(x)})
    return x


def each(function: Callable[..., Any], *arrays: BallArray) -> BallArray:
    """`function` of every entry; arrays broadcast."""
    return BallArray(_object(np.frompyfunc(function, len(arrays), 1)(*(x.x for x in arrays))))


def solved(A: BallArray, B: BallArray) -> BallArray:
    """X with A X = B, A (..., n, n): flint's solve, preconditioned by an approximate inverse.

    Undecided where A may be singular. Reference: Hansen and Smith, SIAM J. Numer. Anal. 4 (1967) 1.
    """
    matrix, batch = flint_library().arb_mat, np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    a, b = (np.broadcast_to(z.x, (*batch, *z.shape[-2:])) for z in (A, B))
    spend(a.size * (a.shape[-1] + b.shape[-1]))
    X = np.empty(b.shape, dtype=object)
    for i in np.ndindex(batch):
        try:
            X[i] = matrix(a[i].tolist()).solve(matrix(b[i].tolist()), algorithm="precond").tolist()
        except ZeroDivisionError as error:
            raise UndecidedError("a matrix that is singular, or not told from a singular one") from error
    return BallArray(X)


def _entries(x: Any) -> Any:
    """What NumPy's operators on object arrays take."""
    if isinstance(x, BallArray):
        return x.x
    if isinstance(x, int | float):
        return flint_library().arb(float(x) if isinstance(x, float) else x)
    if isinstance(x, np.ndarray | np.generic) and x.dtype != object:
        return _object(np.frompyfunc(flint_library().arb, 1, 1)(x.astype(np.float64).astype(object)))
    return x


def _object(x: Any) -> np.ndarray:
    """An object array, of any number of axes: NumPy hands out bare objects where there are none."""
    return x if isinstance(x, np.ndarray) else np.asarray(x, dtype=object)


def _decided(holds: Callable[..., Any], fails: Callable[..., Any], a: BallArray, b: Any) -> np.ndarray:
    """Where the relation holds for certain, if it fails for certain everywhere else."""
    x, y = a.x, _entries(b)
    true, false = (np.asarray(np.frompyfunc(relation, 2, 1)(x, y), dtype=bool) for relation in (holds, fails))
    if not np.all(true | false):
        raise UndecidedError("a comparison of balls that overlap")
    return true


def _product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Matrix products of stacks."""
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    if x.shape[-1] == 0:
        return balls(np.zeros((*batch, x.shape[-2], y.shape[-1]))).x
    spend(math.prod((*batch, *x.shape[-2:], y.shape[-1])))
    if min(*x.shape[-2:], y.shape[-1]) < LONG:
        return _object(np.matmul(x, y))
    matrix = flint_library().arb_mat
    x, y = (np.broadcast_to(z, (*batch, *z.shape[-2:])) for z in (x, y))
    result = np.empty((*batch, x.shape[-2], y.shape[-1]), dtype=object)
    for i in np.ndindex(batch):
        result[i] = (matrix(x[i].tolist()) * matrix(y[i].tolist())).tolist()
    return result
