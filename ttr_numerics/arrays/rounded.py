"""Arithmetic of a stated precision as an array namespace, so that a layer's own code measures its rounding error.

Values are float64; after every operation the result is rounded by a `Rounding`: to nearest in a number format, or
by an independent random relative error of at most u (a *stochastic replica*). A contraction of n products is
charged the error of summing them one by one, averaged over all n! orders; its accumulator may be finer than the
operands. Reference: Parker, Monte Carlo Arithmetic, 1997; Higham and Mary, SIAM J. Sci. Comput. 41 (2019) A2815.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np

from ttr_numerics.arrays.factor import solve_triangular_numpy

__all__ = ["Nearest", "RoundedArray", "Rounding", "Shortened", "Stochastic", "rounded"]


class Rounding(Protocol):
    """How one stored value is rounded, and how a sum of n terms is."""

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` as stored."""

    def function(self, argument: np.ndarray, value: np.ndarray) -> np.ndarray:
        """`value` of an elementary function as a library computes and stores it."""

    def contract(self, total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
        """A computed sum of n terms, given its exact value and the sum of the squared terms."""

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """`x` after an accumulated error whose standard deviation is `scale` accumulator roundoffs."""


class Nearest:
    """Round to nearest in a gfloat format, with exact accumulation."""

    def __init__(self, format_info: Any) -> None:
        self.format_info = format_info

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` correctly rounded."""
        import gfloat

        return gfloat.round_ndarray(self.format_info, x)

    def function(self, argument: np.ndarray, value: np.ndarray) -> np.ndarray:
        """The correctly rounded value."""
        return self.store(value)

    def contract(self, total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
        """The exact sum, rounded once."""
        return self.store(total)

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The exact factorisation, rounded once."""
        return self.store(x)


class Shortened(Nearest):
    """Round to nearest with `bits` fewer bits than float64, in its exponent range, with exact accumulation.

    x - (x - c) rounded for c = (2^bits + 1) x. Reference: Dekker, Numer. Math. 18 (1971) 224, section 5 (Veltkamp).
    """

    def __init__(self, bits: int) -> None:
        self.multiplier = 2.0**bits + 1

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` rounded; what is infinite, or would overflow on the way, stays what it is."""
        with np.errstate(over="ignore", invalid="ignore"):
            c = self.multiplier * x
            return np.where(np.isfinite(c), c - (c - x), x)


class Stochastic:
    """Each stored value gets a relative error uniform in [-u, u]; sums accumulate with unit roundoff u_sum ≤ u."""

    POOL = 1 << 22
    BLOCK = 1 << 15  # entries perturbed at a time: temporaries stay in cache

    def __init__(self, u: float, u_sum: float, rng: np.random.Generator) -> None:
        self.u, self.u_sum, self.rng = u, u_sum, rng
        self.pool = _pool(self.POOL)
        self.renew()

    def renew(self) -> None:
        """Give library functions new errors: for the next group of replicas."""
        self.key = self.rng.integers(1 << 62, dtype=np.uint64)

    def draws(self, n: int) -> np.ndarray:
        """n ≤ BLOCK numbers uniform in [-1, 1]."""
        start = int(self.rng.integers(self.POOL - n))
        return self.pool[start : start + n]

    def store(self, x: np.ndarray) -> np.ndarray:
        """x (1 + δ); an infinity stays what it is."""
        return _blockwise(self._store, self.BLOCK, x)

    def _store(self, x: np.ndarray) -> np.ndarray:
        return x + np.where(np.isinf(x), 0.0, self.u * x) * self.draws(x.size)

    def function(self, argument: np.ndarray, value: np.ndarray) -> np.ndarray:
        """A library function within one roundoff and its stored result: 2u, the same error for the same argument.

        A gate that is constant over time gets a constant error, which accumulates in step with the tokens. Errors
        come from a hash of the argument's bits and of the place on the first axis, where replicas lie.
        """
        place = np.arange(len(argument), dtype=np.uint64) + self.key
        keys = np.broadcast_to(place.reshape(-1, *(1,) * (argument.ndim - 1)), argument.shape)
        return _blockwise(self._function, self.BLOCK, argument, value, keys)

    def _function(self, argument: np.ndarray, value: np.ndarray, key: np.ndarray) -> np.ndarray:
        mixed = (argument.view(np.uint64) ^ key) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
        return value + (2 * self.u * value) * uniform

    def contract(self, total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
        """The sum with the variance of recursive summation in a random order, then stored.

        Partial sum m of a random order has E π_m² = (m/n)² c² + m(n-m)/(n(n-1)) (s - c²/n) for total c and squares
        s; summed over m = 2..n, with the n products' own roundings s, each times the variance u²/3 of one rounding.
        """
        if n < 2:
            return self.store(total)

        def summed(total: np.ndarray, squares: np.ndarray) -> np.ndarray:
            c2 = total * total
            spread = np.maximum(squares - c2 / n, 0.0)
            ordered = c2 * ((n + 1) * (2 * n + 1) / (6 * n) - 1 / n**2)
            variance = ordered + spread * ((n + 1) / 6 - 1 / n) + squares
            return self._store(total + (self.u_sum * np.sqrt(variance)) * self.draws(total.size))

        return _blockwise(summed, self.BLOCK, total, squares)

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """x + u_sum scale δ."""
        return _blockwise(lambda x, scale: x + (self.u_sum * scale) * self.draws(x.size), self.BLOCK, x, scale)


@cache
def _pool(size: int) -> np.ndarray:
    """Numbers uniform in [-1, 1], one table a process, read from a random place for every block: no fresh draws."""
    return np.random.default_rng(size).uniform(-1.0, 1.0, size)


def _blockwise(f: Callable[..., np.ndarray], block: int, *arrays: np.ndarray) -> np.ndarray:
    """f on flat pieces of equally shaped arrays, put together again."""
    flat = [np.ascontiguousarray(x).reshape(-1) for x in arrays]
    if flat[0].size <= block:
        return f(*flat).reshape(arrays[0].shape)
    result = np.empty(flat[0].size)
    for start in range(0, result.size, block):
        piece = slice(start, start + block)
        result[piece] = f(*(x[piece] for x in flat))
    return result.reshape(arrays[0].shape)


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

    def _stored(self, x: np.ndarray, exact: np.ndarray | bool) -> "RoundedArray":
        stored = self.rounding.store(x)
        return self._new(np.where(exact, x, stored) if np.any(exact) else stored)

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
        return self._stored(self.x + y, (self.x == 0) | (y == 0))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "RoundedArray":
        return self + (-other)

    def __rsub__(self, other: Any) -> "RoundedArray":
        return (-self) + other

    def __pow__(self, power: int) -> "RoundedArray":
        return self._stored(self.x**power, False)

    def __mul__(self, other: Any) -> "RoundedArray":
        y = _plain(other)
        return self._stored(self.x * y, (np.abs(self.x) == 1) | (np.abs(y) == 1))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "RoundedArray":
        y = _plain(other)
        return self._stored(self.x / y, np.abs(y) == 1)

    def __rtruediv__(self, other: Any) -> "RoundedArray":
        return self._stored(_plain(other) / self.x, np.abs(self.x) == 1)

    def __matmul__(self, other: "RoundedArray") -> "RoundedArray":
        x, y, n = self.x, other.x, self.x.shape[-1]
        if n == 1:
            return self._new(self.rounding.store(x @ y))
        (x, unit_x), (y, unit_y) = _in_units(x), _in_units(y)
        return self._new(self.rounding.contract(x @ y, (x * x) @ (y * y), n) * (unit_x * unit_y))

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

    def exp(self, x: RoundedArray) -> RoundedArray:
        """exp as a library computes it; exp(0) = 1 is exact."""
        value = np.exp(x.x)
        return RoundedArray(np.where(x.x == 0, value, self.rounding.function(x.x, value)), self.rounding)

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
        total, squares = (np.sum(y, axis=axis, keepdims=keepdims) for y in (x.x, x.x * x.x))
        return RoundedArray(self.rounding.contract(total, squares, x.x.shape[axis]), self.rounding)

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


def _in_units(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each matrix of a stack in units of a power of two near its largest entry, so that squares stay in range."""
    largest = np.max(np.abs(x), axis=(-2, -1), keepdims=True, initial=0.0)
    unit = np.exp2(np.frexp(np.where((largest > 0) & np.isfinite(largest), largest, 1.0))[1])
    return x / unit, unit


def _plain(x: Any) -> Any:
    return x.x if isinstance(x, RoundedArray) else x


def _unwrapped(x: Any) -> Any:
    return [_plain(y) for y in x] if isinstance(x, list | tuple) else _plain(x)
