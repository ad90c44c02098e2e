"""Weights γ_i^(t): which associations count at position t, and how much. Products are written with `*`."""

from dataclasses import dataclass
from typing import Any

__all__ = [
    "Geometric",
    "Lagged",
    "LogSample",
    "Product",
    "QueryKernel",
    "Sample",
    "Sink",
    "Tsallis",
    "Uniform",
    "UnitNorm",
    "Weights",
    "Window",
]


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
    """γ_i^(t) = Π_{i<s≤t} exp(log_decay_s), `array` = log_decay given with the data; constant gates are a rate."""

    array: str = "log_decay"

    def __str__(self) -> str:
        return f"geometric in age, from {self.array}"


@dataclass(frozen=True)
class Lagged(Weights):
    """γ_i^(t) = Π_{i<s<t} exp(log_decay_s) before token t, whose own weight is `newest`, given with the data."""

    newest: str = "bonus"

    def __str__(self) -> str:
        return f"geometric in age before the newest token, which counts by {self.newest}"


@dataclass(frozen=True)
class UnitNorm(Weights):
    """γ_i^(t) = (1 - a_i^p)^(1/p) Π_{i<s≤t} a_s, a = exp(log_decay): over an endless past the p-norm is 1."""

    p: int

    def __str__(self) -> str:
        return f"geometric in age, from log_decay, with {'sum' if self.p == 1 else f'{self.p}-norm'} 1"


@dataclass(frozen=True)
class LogSample(Weights):
    """γ_i = exp of an array given with the data, one logarithm a token."""

    array: str

    def __str__(self) -> str:
        return f"exp({self.array}_i)"


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
class Sink(Weights):
    """One more association (0, 0) of weight exp(sink), the array or number `sink` given with the data."""

    def __str__(self) -> str:
        return "a pair (0, 0) of weight exp(sink)"


@dataclass(frozen=True)
class Tsallis(Weights):
    """γ^(t) = argmax_{γ ∈ Δ} Σ γ_i q_t·k_i + H_α(γ), H_α the Tsallis entropy, `alpha` given with the data."""

    def __str__(self) -> str:
        return "of maximal Tsallis entropy at the query, from alpha"


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
