"""Arithmetic of a stated precision as an array namespace, so that a layer's own code measures its rounding error.

Values are float64; after every operation the result is rounded by a `Rounding`: to nearest in a number format, or
by an independent random relative error of at most u (a *stochastic replica*). A contraction of n products is
charged the error of summing them one by one, averaged over all n! orders; its accumulator may be finer than the
operands. Reference: Parker, Monte Carlo Arithmetic, 1997; Higham and Mary, SIAM J. Sci. Comput. 41 (2019) A2815.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ttr_numerics.arrays.arithmetic import Nearest, Rounding, Shortened, Stochastic
from ttr_numerics.arrays.factor import solve_triangular_numpy
from ttr_numerics.arrays.roles import Role
from ttr_numerics.arrays.sums import Products, Summands

__all__ = ["Nearest", "RoundedArray", "Rounding", "Shortened", "Stochastic", "rounded"]


class RoundedArray:
    """A float64 array whose every operation is rounded. Comparisons and shapes are NumPy's."""

    __slots__ = ("rounding", "x")
    __array_ufunc__ = None  # NumPy must leave mixed expressions to the operators below
    __array_priority__ = 100
    device = "cpu"

    def __init__(self, x: np.ndarray, rounding: Rounding) -> None:
        self.x, self.rounding = x, rounding

    def __array_namespace__(self, api_version: str | None = None) -> "Namespace":
        return Namespace(self.rounding)

    shape = property(lambda self: self.x.shape)
    ndim = property(lambda self: self.x.ndim)
    dtype = property(lambda self: self.x.dtype)

    def _new(self, x: np.ndarray) -> "RoundedArray":
        return RoundedArray(x, self.rounding)

    def _stored(self, x: np.ndarray, exact: Callable[[], np.ndarray | bool]) -> "RoundedArray":
        return self._new(self.rounding.store_unless(exact, x))

    def __getitem__(self, index: Any) -> "RoundedArray":
        return self._new(self.x[index])

    def __setitem__(self, index: Any, value: "RoundedArray") -> None:
        self.x[index] = value.x

    def __float__(self) -> float:
        return float(self.x)

    def __neg__(self) -> "RoundedArray":
        return self._new(-self.x)

    def __add__(self, other: Any) -> "RoundedArray":
        y = _plain(other)
        return self._stored(self.x + y, lambda: _either(_zeros, self.x, y))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "RoundedArray":
        return self + (-other)

    def __rsub__(self, other: Any) -> "RoundedArray":
        return (-self) + other

    def __pow__(self, power: int) -> "RoundedArray":
        return self._new(self.rounding.store(self.x**power))

    def __mul__(self, other: Any) -> "RoundedArray":
        y = _plain(other)
        return self._stored(self.x * y, lambda: _either(_units, self.x, y))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "RoundedArray":
        y = _plain(other)
        return self._stored(self.x / y, lambda: _units(y))

    def __rtruediv__(self, other: Any) -> "RoundedArray":
        return self._stored(_plain(other) / self.x, lambda: _units(self.x))

    def __matmul__(self, other: "RoundedArray") -> "RoundedArray":
        x, y = (self.rounding.role(Role.OPERANDS, z) for z in (self.x, other.x))
        return self._new(self.rounding.contract(Products(x, y)))

    def as_state(self, tokens: int) -> "RoundedArray":
        """As stored between tokens, after `tokens` of them."""
        return self._new(self.rounding.role(Role.STATE, self.x, tokens))

    def as_residual(self) -> "RoundedArray":
        """As a residual is stored."""
        return self._new(self.rounding.role(Role.RESIDUAL, self.x))

    def __eq__(self, other: Any) -> Any:
        return self.x == _plain(other)

    def __ne__(self, other: Any) -> Any:
        return self.x != _plain(other)

    __hash__ = None  # type: ignore[assignment]  # as of every array

    def __lt__(self, other: Any) -> Any:
        return self.x < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self.x <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.x > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.x >= _plain(other)


class Limits(NamedTuple):
    """What code may ask of a format: here its unit roundoff u, and float64's range."""

    u: float

    @property
    def eps(self) -> float:
        """The spacing at 1."""
        return 2 * self.u

    @property
    def smallest_normal(self) -> float:
        """Such that times eps it is float64's smallest number above zero."""
        return float(np.finfo(np.float64).smallest_subnormal) / self.eps

    @property
    def bits(self) -> int:
        """Of the numbers that carry the values."""
        return 64


class Namespace:
    """The array API on rounded arrays: arithmetic is rounded, selection and reshaping are exact."""

    __name__ = "rounded"
    inf = np.inf

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Namespace) and other.rounding is self.rounding

    def __hash__(self) -> int:
        return id(self.rounding)

    def __getattr__(self, name: str) -> Any:
        """Functions that select, reshape or create are exact and NumPy's own."""
        if name.startswith(("_", "own_")):
            raise AttributeError(name)
        function = getattr(np, name)
        if name not in _EXACT:
            return function

        def exact(*arguments: Any, **keywords: Any) -> Any:
            keywords.pop("device", None)
            result = np.asarray(function(*(_unwrapped(a) for a in arguments), **keywords))
            return RoundedArray(result, self.rounding) if result.dtype == np.float64 else result

        return exact

    def finfo(self, dtype: Any) -> "Limits":
        """The roundoff of this arithmetic, by which iterations stop; the range is float64's."""
        return Limits(self.rounding.u)

    def exp(self, x: RoundedArray) -> RoundedArray:
        """exp as a library computes it; exp(0) = 1 is exact."""
        value = np.exp(x.x)
        return RoundedArray(np.where(x.x == 0, value, self.rounding.function(x.x, value, Role.GATE)), self.rounding)

    def expm1(self, x: RoundedArray) -> RoundedArray:
        """exp(x) - 1 as a library computes it; a hard reset's -1 is exact."""
        value = np.expm1(x.x)
        return RoundedArray(np.where(value == -1, value, self.rounding.function(x.x, value)), self.rounding)

    def log(self, x: RoundedArray) -> RoundedArray:
        """log as a library computes it; log(1) = 0 is exact."""
        value = np.log(x.x)
        return RoundedArray(np.where(x.x == 1, value, self.rounding.function(x.x, value)), self.rounding)

    def tanh(self, x: RoundedArray) -> RoundedArray:
        """tanh as a library computes it; tanh(0) = 0 and the ±1 of a large argument are exact."""
        value = np.tanh(x.x)
        return RoundedArray(np.where(np.abs(value) == 1, value, self.rounding.function(x.x, value)), self.rounding)

    def sqrt(self, x: RoundedArray) -> RoundedArray:
        """The rounded square root."""
        return RoundedArray(self.rounding.store(np.sqrt(x.x)), self.rounding)

    def sum(self, x: RoundedArray, axis: int = -1, keepdims: bool = False) -> RoundedArray:
        """Summation in a random order."""
        return RoundedArray(self.rounding.contract(Summands(x.x, axis, keepdims)), self.rounding)

    def vecdot(self, x: RoundedArray, y: RoundedArray) -> RoundedArray:
        """Σ x_i y_i over the last axis."""
        return self.sum(x * y)

    def cumulative_sum(self, x: RoundedArray, axis: int = -1) -> RoundedArray:
        """Running sums, each stored; their accumulation is charged as one rounding of the result."""
        return RoundedArray(self.rounding.store(np.cumulative_sum(x.x, axis=axis)), self.rounding)

    @property
    def linalg(self) -> "Factorisations":
        """The factorisations of the array API that the solvers ask for."""
        return Factorisations(self.rounding)

    def own_cholesky(self, a: RoundedArray) -> RoundedArray:
        """The factor of A + E with |E_ij| of √n accumulator roundoffs times √(a_ii a_jj) (Higham, theorem 10.3)."""
        n = a.x.shape[-1]
        root = np.sqrt(np.diagonal(a.x, axis1=-2, axis2=-1))
        noisy = self.rounding.factor(a.x, np.sqrt(n / 3) * root[..., :, None] * root[..., None, :])
        return RoundedArray(np.linalg.cholesky((noisy + noisy.mT) / 2), self.rounding)

    def own_solve_triangular(self, factor: RoundedArray, b: RoundedArray, transpose: bool) -> RoundedArray:
        """The solution with L + E in place of L, |E| of √n accumulator roundoffs times |L| (Higham, theorem 8.5)."""
        n = factor.x.shape[-1]
        noisy = self.rounding.factor(factor.x, np.sqrt(n / 3) * np.abs(factor.x))
        return RoundedArray(self.rounding.store(solve_triangular_numpy(noisy, b.x, transpose)), self.rounding)


class Factorisations:
    """QR and inverse of A + E, a column of E of √(n/3) accumulator roundoffs times that column's root mean square."""

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def diagonal(self, a: RoundedArray) -> RoundedArray:
        """The diagonal itself."""
        return RoundedArray(np.linalg.diagonal(a.x), self.rounding)

    def trace(self, a: RoundedArray) -> RoundedArray:
        """The sum of the diagonal."""
        return Namespace(self.rounding).sum(self.diagonal(a))

    def qr(self, a: RoundedArray) -> Any:
        """Q and R."""
        Q, R = np.linalg.qr(self._noisy(a.x))
        return RoundedArray(Q, self.rounding), RoundedArray(R, self.rounding)

    def eigh(self, a: RoundedArray) -> Any:
        """Eigenvalues and eigenvectors, E symmetric and of the size of the whole of A."""
        size = np.sqrt(a.x.shape[-1] / 3) * np.sqrt(np.mean(a.x * a.x, axis=(-2, -1), keepdims=True))
        noisy = self.rounding.factor(a.x, size + 0 * a.x)
        values, vectors = np.linalg.eigh((noisy + noisy.mT) / 2)
        return RoundedArray(values, self.rounding), RoundedArray(self.rounding.store(vectors), self.rounding)

    def inv(self, a: RoundedArray) -> RoundedArray:
        """The inverse."""
        return RoundedArray(np.linalg.inv(self._noisy(a.x)), self.rounding)

    def _noisy(self, a: np.ndarray) -> np.ndarray:
        column = np.sqrt(np.mean(a * a, axis=-2, keepdims=True))
        return self.rounding.factor(a, np.sqrt(a.shape[-1] / 3) * column + 0 * a)


_EXACT = frozenset(
    (
        *("abs", "all", "any", "arange", "argsort", "asarray", "astype", "broadcast_to", "concat", "empty_like", "eye"),
        *("flip", "full_like", "isfinite", "matrix_transpose", "max", "maximum", "min", "moveaxis", "ones"),
        *("ones_like", "permute_dims", "reshape", "roll", "sign", "sort", "stack", "take_along_axis", "tril", "triu"),
        *("where", "zeros", "zeros_like"),
    )
)


def rounded(x: np.ndarray, rounding: Rounding) -> RoundedArray:
    """`x` as an array of the given arithmetic; the values themselves are taken as stored."""
    return RoundedArray(np.asarray(x, dtype=np.float64), rounding)


def _either(which: Callable[[Any], np.ndarray | bool], x: np.ndarray, y: Any) -> np.ndarray | bool:
    """Where `which` holds of x or of y."""
    of_x, of_y = which(x), which(y)
    if of_x is False or of_y is False:
        return of_y if of_x is False else of_x
    return of_x | of_y


def _zeros(x: Any) -> np.ndarray | bool:
    """Where x is 0: False if nowhere."""
    return False if np.all(x) else np.equal(x, 0)


def _units(x: Any) -> np.ndarray | bool:
    """Where x is 1 or -1: False if nowhere."""
    found = np.equal(np.abs(x), 1)
    return found if np.any(found) else False


def _plain(x: Any) -> Any:
    return x.x if isinstance(x, RoundedArray) else x


def _unwrapped(x: Any) -> Any:
    return [_plain(y) for y in x] if isinstance(x, list | tuple) else _plain(x)
