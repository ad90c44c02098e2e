"""Weights γ_i^(t): which associations count at position t, and how much. Products are written with `*`."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Geometric", "Product", "QueryKernel", "Sample", "Uniform", "Weights", "Window"]


@dataclass(frozen=True)
class Weights:
    """A rule for γ_i^(t) ≥ 0, i ≤ t."""

    def __mul__(self, other: "Weights") -> "Weights":
        return Product.of(self, other)


@dataclass(frozen=True)
class Uniform(Weights):
    """γ_i = 1: every association counts alike."""

    def __str__(self) -> str:
        return "uniform"


@dataclass(frozen=True)
class Geometric(Weights):
    """γ_i^(t) = Π_{i<s≤t} exp(log_decay_s), the array `log_decay` given with the data; constant gates are a rate."""

    def __str__(self) -> str:
        return "geometric in age, from log_decay"


@dataclass(frozen=True)
class Sample(Weights):
    """γ_i from an array given with the data, one weight a token (`beta` unless another name is said)."""

    array: str = "beta"

    def __str__(self) -> str:
        return f"{self.array}_i"


@dataclass(frozen=True)
class Window(Weights):
    """γ_i^(t) = 1{t - i < length}: the last `length` tokens; None takes `window` given with the data."""

    length: int | None = None

    def __str__(self) -> str:
        return f"the last {self.length or 'window'} tokens"


@dataclass(frozen=True)
class QueryKernel(Weights):
    """γ_i^(t) = κ(q_t, k_i): associations near the query count most. `kernel` is one of `exact.kernels`."""

    kernel: Any

    def __str__(self) -> str:
        return f"{type(self.kernel).__name__} kernel at the query"


@dataclass(frozen=True)
class Product(Weights):
    """γ = γ¹ γ² ...: factors in an order of their own, so that a * b = b * a."""

    factors: tuple[Weights, ...]

    @classmethod
    def of(cls, *weights: Weights) -> Weights:
        """The product, flattened; `Uniform` is its one."""
        flat = [f for w in weights for f in (w.factors if isinstance(w, Product) else (w,)) if f != Uniform()]
        if len(flat) < 2:
            return flat[0] if flat else Uniform()
        return cls(tuple(sorted(flat, key=repr)))

    def __str__(self) -> str:
        return " times ".join(map(str, self.factors))
