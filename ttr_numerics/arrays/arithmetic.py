"""The arithmetics of `RoundedArray`: to nearest in a format, or with random errors of its size.

Reference: Parker, Monte Carlo Arithmetic, 1997; Higham and Mary, SIAM J. Sci. Comput. 41 (2019) A2815.
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from ttr_numerics.arrays.nearest import is_short, to_nearest
from ttr_numerics.arrays.roles import Role
from ttr_numerics.arrays.sums import Terms

__all__ = ["Nearest", "Rounding", "Serial", "Shortened", "Stochastic"]


class Rounding(Protocol):
    """How one stored value is rounded, by a relative error of about `u`, and how a sum of n terms is."""

    u: float

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` as stored."""

    def store_unless(self, exact: Callable[[], np.ndarray | bool], x: np.ndarray) -> np.ndarray:
        """`x` as stored, and `x` itself where the operation was `exact` (asked if rounding would not show it)."""

    def role(self, role: Role, x: np.ndarray, times: int = 1) -> np.ndarray:
        """`x` as stored in its role, `times` times over; `x` itself where that is no coarser."""

    def function(self, argument: np.ndarray, value: np.ndarray, role: Role | None = None) -> np.ndarray:
        """`value` of an elementary function as a library computes and stores it, in a role if it has one."""

    def contract(self, terms: Terms) -> np.ndarray:
        """The computed sum of the terms."""

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """`x` after an accumulated error whose standard deviation is `scale` accumulator roundoffs."""


class Nearest:
    """Round to nearest in a gfloat format, sums accumulated exactly; `roles` have coarser formats of their own."""

    def __init__(self, format_info: Any, roles: Mapping[Role, Any] = MappingProxyType({})) -> None:
        self.format_info, self.roles, self.u = format_info, roles, 2.0**-format_info.precision

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` correctly rounded."""
        return to_nearest(x, self.format_info)

    def store_unless(self, exact: Callable[[], np.ndarray | bool], x: np.ndarray) -> np.ndarray:
        """`x` correctly rounded, which leaves what is exact as it is."""
        return self.store(x)

    def role(self, role: Role, x: np.ndarray, times: int = 1) -> np.ndarray:
        """`x` correctly rounded to the format of its role; again changes nothing."""
        return to_nearest(x, self.roles[role]) if role in self.roles else x

    def function(self, argument: np.ndarray, value: np.ndarray, role: Role | None = None) -> np.ndarray:
        """The correctly rounded value."""
        return self.role(role, self.store(value)) if role else self.store(value)

    def contract(self, terms: Terms) -> np.ndarray:
        """The exact sum, rounded once."""
        return self.store(terms.total())

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The exact factorisation, rounded once."""
        return self.store(x)


class Shortened(Nearest):
    """Round to nearest with `bits` fewer bits than float64, in its exponent range, with exact accumulation.

    x - (x - c) rounded for c = (2^bits + 1) x. Reference: Dekker, Numer. Math. 18 (1971) 224, section 5 (Veltkamp).
    """

    def __init__(self, bits: int) -> None:
        self.multiplier, self.roles, self.u = 2.0**bits + 1, {}, 2.0 ** (bits - 53)

    def store(self, x: np.ndarray) -> np.ndarray:
        """`x` rounded; what is infinite, or would overflow on the way, stays what it is."""
        with np.errstate(over="ignore", invalid="ignore"):
            c = self.multiplier * x
            return np.where(np.isfinite(c), c - (c - x), x)


class Serial:
    """Another arithmetic with every sum of more than `FEW` terms taken term by term, s ← s + x_i y_i, each s stored.

    Equal terms are then rounded alike for many partial sums in a row, which no other order does as badly.
    """

    FEW = 128

    def __init__(self, arithmetic: Nearest) -> None:
        self.store, self.store_unless = arithmetic.store, arithmetic.store_unless
        self.role, self.function, self.factor = arithmetic.role, arithmetic.function, arithmetic.factor
        self.u = arithmetic.u

    def contract(self, terms: Terms) -> np.ndarray:
        """The sum of the terms, stored one by one and added in their order."""
        if terms.n <= self.FEW:
            return self.store(terms.total())
        partial = 0.0 * terms.total()
        for term in terms.one_by_one():
            partial = self.store(partial + self.store(term))
        return partial


class Stochastic:
    """Each stored value gets a relative error uniform in [-u, u]; sums accumulate with unit roundoff u_sum.

    `roles` have larger unit roundoffs of their own, 2^-p each: there a value of at most p bits is exact.
    """

    POOL = 1 << 21
    BLOCK = 1 << 15  # entries perturbed at a time: temporaries stay in cache
    FINER = 1 << 15  # accumulator roundoffs in one of storage, as float32's in bfloat16's

    def __init__(
        self, u: float, u_sum: float, rng: np.random.Generator, roles: Mapping[Role, float] = MappingProxyType({})
    ) -> None:
        self.u, self.u_sum, self.rng, self.roles = u, u_sum, rng, roles
        self.renew()

    def renew(self) -> None:
        """Give library functions new errors: for the next group of replicas."""
        self.key = self.rng.integers(1 << 62, dtype=np.uint64)

    def draws(self, n: int) -> np.ndarray:
        """n ≤ BLOCK numbers uniform in [-1, 1]."""
        return self._piece(_pool(self.POOL), n)

    def _piece(self, table: np.ndarray, n: int) -> np.ndarray:
        start = int(self.rng.random() * (self.POOL - n))
        return table[start : start + n]

    def store(self, x: np.ndarray) -> np.ndarray:
        """x (1 + δ); an infinity stays what it is."""
        return _blockwise(self._stored, self.POOL >> 2 if self.u > _FINE else self.BLOCK, x)

    def _stored(self, x: np.ndarray) -> np.ndarray:
        if self.u > _FINE:
            return x * self._piece(_factors(self.POOL, self.u), x.size)
        error = np.where(np.isinf(x), 0.0, self.u * x)
        error *= self.draws(x.size)
        error += x
        return error

    def store_unless(self, exact: Callable[[], np.ndarray | bool], x: np.ndarray) -> np.ndarray:
        """x (1 + δ), and x where `exact`."""
        stored, kept = self.store(x), exact()
        if kept is not False:
            np.copyto(stored, x, where=kept)
        return stored

    def role(self, role: Role, x: np.ndarray, times: int = 1) -> np.ndarray:
        """x (1 + √times δ) with δ of the role; a value that its format holds exactly stays what it is."""
        if role not in self.roles:
            return x
        u = self.roles[role]

        def stored(x: np.ndarray) -> np.ndarray:
            exact = np.isinf(x) | is_short(x, u)
            return x + np.where(exact, 0.0, (np.sqrt(times) * u) * x) * self.draws(x.size)

        return _blockwise(stored, self.BLOCK, x)

    def function(self, argument: np.ndarray, value: np.ndarray, role: Role | None = None) -> np.ndarray:
        """A library function within one roundoff and its stored result: 2u, the same error for the same argument.

        A gate that is constant over time gets a constant error, which accumulates in step with the tokens. Errors
        come from a hash of the argument's bits and of the place on the first axis, where replicas lie.
        """
        size = 2 * self.u + (self.roles.get(role, 0.0) if role else 0.0)
        place = np.arange(len(argument), dtype=np.uint64) + self.key
        keys = np.broadcast_to(place.reshape(-1, *(1,) * (argument.ndim - 1)), argument.shape)

        def erroneous(argument: np.ndarray, value: np.ndarray, key: np.ndarray) -> np.ndarray:
            mixed = (argument.view(np.uint64) ^ key) * np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
            return value + (size * value) * uniform

        return _blockwise(erroneous, self.BLOCK, argument, value, keys)

    def contract(self, terms: Terms) -> np.ndarray:
        """The sum with the variance of recursive summation in a random order, then stored.

        Partial sum m of a random order has E π_m² = (m/n)² c² + m(n-m)/(n(n-1)) (s - c²/n) for total c and squares
        s; summed over m = 2..n, with the n products' own roundings s, each times the variance u²/3 of one rounding:
        ((n+1)(2n+1)/6n - 1/n² - (n+1)/6n + 1/n²) c² + ((n+1)/6 - 1/n + 1) s.
        Where what is stored is coarser than the accumulator by FINER or more, s may be a bound: it is as good as not
        seen unless the sum cancels by as much.
        """
        total, n = terms.total(), terms.n
        if n < 2:
            return self.store(total)
        of_total, of_squares, u_sum = (n + 1) / 3, (n + 1) / 6 - 1 / n + 1, self.u_sum

        def summed(total: np.ndarray, squares: np.ndarray) -> np.ndarray:
            deviation = total * total
            deviation *= of_total
            deviation += of_squares * squares
            np.sqrt(deviation, out=deviation)
            deviation *= u_sum
            deviation *= self.draws(total.size)
            deviation += total
            return self._stored(deviation)

        squares, unit = terms.squares_at_most() if self.u > self.FINER * u_sum else terms.squares()
        if unit is None:
            return _blockwise(summed, self.BLOCK, total, squares)
        return _blockwise(summed, self.BLOCK, total / unit, squares) * unit

    def factor(self, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """x + u_sum scale δ."""
        return _blockwise(lambda x, scale: x + (self.u_sum * scale) * self.draws(x.size), self.BLOCK, x, scale)


_FINE = 2.0**-40  # unit roundoffs below which 1 + u δ, a float64, is too coarse a factor


@cache
def _pool(size: int) -> np.ndarray:
    """Numbers uniform in [-1, 1], one table a process, read from a random place for every block: no fresh draws."""
    return np.random.default_rng(size).uniform(-1.0, 1.0, size)


@lru_cache(4)
def _factors(size: int, u: float) -> np.ndarray:
    """1 + u δ with δ of the pool: an infinity and a zero stay what they are."""
    return 1.0 + u * _pool(size)


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
