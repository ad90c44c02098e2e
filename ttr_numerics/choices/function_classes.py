"""Function classes: which maps m from keys to values may be fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["FeatureMap", "FunctionClass", "LayerNormLinear", "Linear", "LocalPolynomial", "MLP", "Reproducing"]


@dataclass(frozen=True)
class FunctionClass:
    """A set of functions m: R^{d_k} → R^{d_v}."""


@dataclass(frozen=True)
class Linear(FunctionClass):
    """m(k) = k S."""

    def __str__(self) -> str:
        return "linear"


@dataclass(frozen=True)
class LayerNormLinear(FunctionClass):
    """m(k) = LN(k S), gain and shift given with the data."""

    def __str__(self) -> str:
        return "layer norm of a linear map"


@dataclass(frozen=True)
class FeatureMap(FunctionClass):
    """m(k) = φ(k) S with a fixed map φ (one of `features`, or any function of rows)."""

    phi: Callable[..., Any]

    def __str__(self) -> str:
        return f"linear in {getattr(self.phi, '__name__', type(self.phi).__name__)}(k)"


@dataclass(frozen=True)
class Reproducing(FunctionClass):
    """m(k) = Σ_i κ(k, k_i) α_i: the reproducing kernel space of `kernel` (one of `exact.kernels`)."""

    kernel: Any

    def __str__(self) -> str:
        return f"reproducing kernel space of {type(self.kernel).__name__}"


@dataclass(frozen=True)
class LocalPolynomial(FunctionClass):
    """m(k) = polynomial of the degree in k - q_t, fitted at every query; 0 a constant, None given with the data."""

    degree: int | None

    def __str__(self) -> str:
        named = {None: "local polynomial of a degree given with the data", 0: "local constant", 1: "local linear"}
        return named.get(self.degree, f"local polynomial of degree {self.degree}")


@dataclass(frozen=True)
class MLP(FunctionClass):
    """m(k) = act(k W_1) W_2, two layers, started at weights given with the data."""

    activation: Callable[..., Any]

    def __str__(self) -> str:
        return f"two-layer {self.activation.__name__} perceptron"
