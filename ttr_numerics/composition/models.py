"""Function classes at work: the value m_θ(x), the transpose of its derivative in θ, and the vector space of θ.

An optimiser sees nothing else of a class. For rows x (..., n, d) and errors e (..., n, d_v)

    value(θ, x) = m_θ(x);   pullback(θ, x, e) = Σ_i (∂m_θ(x_i)/∂θ)' e_i;   curvature(x)_i = ‖∂m(x_i)/∂θ‖².

So -∇½‖v - m_θ(x)‖² = pullback(θ, x, v - value(θ, x)), whatever the class.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple, Protocol

from ttr_numerics import exact
from ttr_numerics.arrays import Array, concat, namespace, zeros
from ttr_numerics.axes import initial_matrix
from ttr_numerics.choices import MLP, FeatureMap, FunctionClass, LayerNormLinear, Linear, Reproducing
from ttr_numerics.composition.tangents import slope

__all__ = ["Expansion", "MirrorModel", "Model", "Perceptron", "model"]


class Model(Protocol):
    """What an optimiser asks of a function class; θ is an array or a named tuple of arrays."""

    @property
    def channels(self) -> bool:
        """Whether each row of θ may be forgotten at a rate of its own."""

    def rows(self, x: Array) -> Array:
        """Queries or keys as the parameters meet them."""

    def start(self, q: Array, v: Array, given: Any) -> Any:
        """θ_0 for rows q: what was `given`, or the start of the class."""

    def still(self, q: Array, v: Array, given: Any) -> Any:
        """A direction: what was `given`, or zero."""

    def value(self, parameters: Any, x: Array) -> Array:
        """m_θ(x) (..., n, d_v)."""

    def read(self, parameters: Any, x: Array) -> Array:
        """What is given out at queries: m_θ(x), or the part of it that a layer reads."""

    def pullback(self, parameters: Any, x: Array, e: Array) -> Any:
        """Σ_i (∂m_θ(x_i)/∂θ)' e_i, a direction in the space of θ."""

    def scaled(self, factor: Array, direction: Any) -> Any:
        """factor (..., 1, 1 or d) times a direction or θ."""

    def plus(self, parameters: Any, direction: Any) -> Any:
        """θ + direction."""

    def curvature(self, x: Array) -> Array:
        """‖∂m(x_i)/∂θ‖² (..., n, 1), where it does not depend on θ."""


class Expansion(NamedTuple):
    """Σ_i κ(·, k_i) α_i: keys (..., n, d_k) and coefficients (..., n, d_v)."""

    k: Array
    coefficients: Array


@dataclass(frozen=True)
class LinearModel:
    """m_S(x) = φ(x) S with θ = S (..., D, d_v)."""

    phi: Any
    channels: bool = True

    def rows(self, x: Array) -> Array:
        return self.phi(x)

    def start(self, q: Array, v: Array, given: Array | None) -> Array:
        return initial_matrix(given, q, v)

    def still(self, q: Array, v: Array, given: Array | None) -> Array:
        return initial_matrix(given, q, v)

    def value(self, parameters: Array, x: Array) -> Array:
        return x @ parameters

    def read(self, parameters: Array, x: Array) -> Array:
        return x @ parameters

    def pullback(self, parameters: Array, x: Array, e: Array) -> Array:
        return namespace(x).matrix_transpose(x) @ e

    def scaled(self, factor: Array, direction: Array) -> Array:
        return namespace(factor).matrix_transpose(factor) * direction

    def plus(self, parameters: Array, direction: Array) -> Array:
        return parameters + direction

    def curvature(self, x: Array) -> Array:
        return namespace(x).sum(x * x, axis=-1, keepdims=True)


@dataclass(frozen=True)
class KernelModel:
    """m(x) = Σ_i κ(x, k_i) α_i, the gradient taken in the space of κ: Σ_i (∂m(x_i)/∂m)' e_i = Σ_i κ(·, x_i) e_i.

    θ is an `Expansion`, which every sum lengthens.
    """

    kernel: Any
    channels: bool = False

    def rows(self, x: Array) -> Array:
        return x

    def start(self, q: Array, v: Array, given: Expansion | None) -> Expansion:
        return Expansion(q[..., :0, :], v[..., :0, :]) if given is None else given

    def still(self, q: Array, v: Array, given: Expansion | None) -> Expansion:
        return self.start(q, v, given)

    def value(self, parameters: Expansion, x: Array) -> Array:
        if parameters.k.shape[-2] == 0:
            return zeros(x, (*x.shape[:-1], parameters.coefficients.shape[-1]))
        return self.kernel(x, parameters.k) @ parameters.coefficients

    def read(self, parameters: Expansion, x: Array) -> Array:
        return self.value(parameters, x)

    def pullback(self, parameters: Expansion, x: Array, e: Array) -> Expansion:
        return Expansion(x, e)

    def scaled(self, factor: Array, direction: Expansion) -> Expansion:
        return Expansion(direction.k, factor * direction.coefficients)

    def plus(self, parameters: Expansion, direction: Expansion) -> Expansion:
        return Expansion(*(concat([x, y], -2) for x, y in zip(parameters, direction, strict=True)))

    def curvature(self, x: Array) -> Array:
        own = [self.kernel(x[..., i : i + 1, :], x[..., i : i + 1, :]) for i in range(x.shape[-2])]
        return concat(own, -2)


@dataclass(frozen=True)
class LayerNormModel(LinearModel):
    """m_S(x) = gain (z - z̄)/√(var z + ε) + shift at z = x S; what is read is z."""

    gain: Any = None
    shift: Any = None
    epsilon: float = 0.0

    def value(self, parameters: Array, x: Array) -> Array:
        unit, _ = self._unit(x @ parameters)
        return self.gain[..., None, :] * unit + self.shift[..., None, :]

    def pullback(self, parameters: Array, x: Array, e: Array) -> Array:
        """e ∂LN/∂z = (g - ḡ - ẑ mean(ẑ g))/σ, g = gain e, into the pullback of z."""
        unit, sigma = self._unit(x @ parameters)
        g = self.gain[..., None, :] * e
        return super().pullback(parameters, x, (g - _mean(g) - unit * _mean(unit * g)) / sigma)

    def _unit(self, z: Array) -> tuple[Array, Array]:
        centred = z - _mean(z)
        sigma = namespace(z).sqrt(_mean(centred * centred) + self.epsilon)
        return centred / sigma, sigma


@dataclass(frozen=True)
class MirrorModel(LinearModel):
    """m_A(x) = x S, S = softmax(A) over the key channels; a step in A is the gradient by S: descent in entropy."""

    def value(self, parameters: Array, x: Array) -> Array:
        return x @ exact.Softmax()(parameters)

    def read(self, parameters: Array, x: Array) -> Array:
        return self.value(parameters, x)


class Perceptron(NamedTuple):
    """Weights W_1 (..., d_k, d_h) and W_2 (..., d_h, d_v), or a direction in their space."""

    W_1: Array
    W_2: Array


@dataclass(frozen=True)
class PerceptronModel:
    """m_W(x) = a(x W_1) W_2 from the weights that the data give; the slope of a from a's own code."""

    activation: Any
    first: Any
    channels: bool = False

    def rows(self, x: Array) -> Array:
        return x

    def start(self, q: Array, v: Array, given: Perceptron | None) -> Perceptron:
        return self.first if given is None else given

    def still(self, q: Array, v: Array, given: Perceptron | None) -> Perceptron:
        return Perceptron(*(namespace(W).zeros_like(W) for W in self.first)) if given is None else given

    def value(self, parameters: Perceptron, x: Array) -> Array:
        return self.activation(x @ parameters.W_1) @ parameters.W_2

    def read(self, parameters: Perceptron, x: Array) -> Array:
        return self.value(parameters, x)

    def pullback(self, parameters: Perceptron, x: Array, e: Array) -> Perceptron:
        transposed, hidden = namespace(x).matrix_transpose, x @ parameters.W_1
        back = (e @ transposed(parameters.W_2)) * slope(self.activation, hidden)
        return Perceptron(transposed(x) @ back, transposed(self.activation(hidden)) @ e)

    def scaled(self, factor: Array, direction: Perceptron) -> Perceptron:
        return Perceptron(*(factor * W for W in direction))

    def plus(self, parameters: Perceptron, direction: Perceptron) -> Perceptron:
        return Perceptron(*(W + D for W, D in zip(parameters, direction, strict=True)))

    def curvature(self, x: Array) -> Array:
        raise TypeError("MLP: its derivative depends on its weights")


@singledispatch
def model(function_class: FunctionClass, arrays: Any) -> Model:
    """The class at work. LocalPolynomial has no θ that lives from one query to the next, and no model."""
    raise TypeError(f"function_class: expected one with parameters, got {function_class}")


@model.register
def _(function_class: Linear, arrays: Any) -> Model:
    return LinearModel(_itself)


@model.register
def _(function_class: FeatureMap, arrays: Any) -> Model:
    return LinearModel(function_class.phi)


@model.register
def _(function_class: LayerNormLinear, arrays: Any) -> Model:
    return LayerNormModel(_itself, gain=arrays["gain"], shift=arrays["shift"], epsilon=arrays["epsilon"])


@model.register
def _(function_class: MLP, arrays: Any) -> Model:
    return PerceptronModel(function_class.activation, Perceptron(arrays["W_1"], arrays["W_2"]))


@model.register
def _(function_class: Reproducing, arrays: Any) -> Model:
    return KernelModel(function_class.kernel)


def _mean(x: Array) -> Array:
    return namespace(x).sum(x, axis=-1, keepdims=True) / x.shape[-1]


def _itself(x: Array) -> Array:
    return x
