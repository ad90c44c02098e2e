"""Forward-mode derivatives: the slope of any elementwise function that is written for the array API.

A dual array x + ε ẋ, ε² = 0, goes through the function's own code; its tangent comes out as the derivative times ẋ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ttr_numerics.arrays import Array, namespace

__all__ = ["slope"]


def slope(function: Callable[[Array], Array], x: Array) -> Array:
    """f'(x) entry by entry, for f made of + - * / and exp, log, sqrt, tanh."""
    return function(Dual(x, namespace(x).ones_like(x))).tangent


@dataclass(frozen=True)
class Dual:
    """x + ε ẋ with the arithmetic of ε² = 0."""

    value: Array
    tangent: Array

    device = None

    def __array_namespace__(self, api_version: str | None = None) -> "DualNamespace":
        return DualNamespace(namespace(self.value))

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def __getitem__(self, index: Any) -> "Dual":
        return Dual(self.value[index], self.tangent[index])

    def __neg__(self) -> "Dual":
        return Dual(-self.value, -self.tangent)

    def __add__(self, other: Any) -> "Dual":
        y = _dual(other)
        return Dual(self.value + y.value, self.tangent + y.tangent)

    def __sub__(self, other: Any) -> "Dual":
        return self + -_dual(other)

    def __mul__(self, other: Any) -> "Dual":
        y = _dual(other)
        return Dual(self.value * y.value, self.tangent * y.value + self.value * y.tangent)

    def __truediv__(self, other: Any) -> "Dual":
        y = _dual(other)
        ratio = self.value / y.value
        return Dual(ratio, (self.tangent - ratio * y.tangent) / y.value)

    def __radd__(self, other: Any) -> "Dual":
        return self + other

    def __rsub__(self, other: Any) -> "Dual":
        return _dual(other) - self

    def __rmul__(self, other: Any) -> "Dual":
        return self * other

    def __rtruediv__(self, other: Any) -> "Dual":
        return _dual(other) / self


@dataclass(frozen=True)
class DualNamespace:
    """The elementary functions on dual arrays, over the namespace of their values."""

    xp: Any

    __name__ = "dual"

    @property
    def pi(self) -> float:
        return float(self.xp.pi)

    def ones_like(self, x: Dual) -> Dual:
        return Dual(self.xp.ones_like(x.value), self.xp.zeros_like(x.value))

    def zeros_like(self, x: Dual) -> Dual:
        return Dual(self.xp.zeros_like(x.value), self.xp.zeros_like(x.value))

    def exp(self, x: Dual) -> Dual:
        value = self.xp.exp(x.value)
        return Dual(value, value * x.tangent)

    def log(self, x: Dual) -> Dual:
        return Dual(self.xp.log(x.value), x.tangent / x.value)

    def sqrt(self, x: Dual) -> Dual:
        value = self.xp.sqrt(x.value)
        return Dual(value, x.tangent / (2 * value))

    def tanh(self, x: Dual) -> Dual:
        value = self.xp.tanh(x.value)
        return Dual(value, (1 - value * value) * x.tangent)


def _dual(x: Any) -> Dual:
    """x itself, or a constant."""
    return x if isinstance(x, Dual) else Dual(x, 0.0)
