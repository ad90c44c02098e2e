"""Optimisers that need a sum over all associations, Σ_i γ_i^(t) s(k_i, v_i), and read their answer off it.

    gradient step:       s = (∂m_θ0(k)/∂θ)' (v - m_θ0(k)), so that the sum is -∇J_t(θ_0);   θ_t = θ_0 + size · sum
    solves of (H + Λ) x = q:   s = (k k', k v'), the sums are the moments H_t and G_t;     o_t = x' G_t

Weights that make the loss a recursion make the sum one, with a state of fixed size. Otherwise the sum is formed anew.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Protocol

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Output
from ttr_numerics.choices import Chebyshev, ConjugateGradient, GradientStep, Newton, NormalisedGradientStep, Optimiser
from ttr_numerics.composition.models import Model
from ttr_numerics.composition.solves import MomentSum
from ttr_numerics.composition.weighting import Arrays, Given, position_by_position
from ttr_numerics.exact import WeightedCache
from ttr_numerics.recurrence import sequential

__all__ = ["accumulated"]


class Sum(Protocol):
    """A statistic s, the vector space of its sums, and how an answer is read off one."""

    @property
    def channels(self) -> bool:
        """Whether each row of a sum may be forgotten at a rate of its own."""

    def start(self, q: Array, v: Array, given: Any) -> Any:
        """The sum before the first token: `given`, or zero."""

    def of(self, x: Array, v: Array, weight: Array) -> Any:
        """Σ_i w_i s(x_i, v_i) over rows x (..., n, d), v (..., n, d_v), weight (..., n, 1)."""

    def scaled(self, factor: Array, total: Any) -> Any:
        """factor (..., 1, 1 or d) times a sum."""

    def plus(self, total: Any, more: Any) -> Any:
        """The sum of two sums."""

    def read(self, total: Any, q: Array) -> Array:
        """The answer at one query (..., 1, d)."""


def accumulated(optimiser: Optimiser, model: Model, given: Given) -> Output:
    """o_t read off the sum over tokens 1..t, for q, k (..., T, d_k) and v (..., T, d_v)."""
    weighting, rows, keys, v = given.weighting, model.rows(given.q), model.rows(given.k), given.v
    statistic = statistic_of(optimiser, model, rows, v, given.arrays)

    def step(total: Any, q: Array, k: Array, v: Array, gate: Array, weight: Array) -> tuple[Any, Array]:
        aged = statistic.scaled(namespace(gate).exp(gate), total)
        total = statistic.plus(aged, statistic.of(k, v, weight))
        return total, statistic.read(total, q)

    def anew(q: Array, cache: WeightedCache) -> Array:
        weights = namespace(q).exp(weighting.logs(q, cache))[..., None]
        return statistic.read(statistic.of(model.rows(cache.k), cache.v, weights), model.rows(q))

    if not weighting.recursive:
        return position_by_position(given, anew)
    gates = weighting.gates(rows, given.arrays, channels=statistic.channels)
    return sequential(step, statistic.start(rows, v, given.initial_state), rows, keys, v, *gates)


@singledispatch
def statistic_of(optimiser: Optimiser, model: Model, q: Array, v: Array, arrays: Arrays) -> Sum:
    """The sum that the optimiser needs; q holds rows as the parameters meet them."""
    raise TypeError(f"optimiser: expected one that reads a sum, got {optimiser}")


@statistic_of.register
def _(optimiser: GradientStep, model: Model, q: Array, v: Array, arrays: Arrays) -> Sum:
    return _Gradient(model, model.start(q, v, None), optimiser.size)


@statistic_of.register
def _(optimiser: NormalisedGradientStep, model: Model, q: Array, v: Array, arrays: Arrays) -> Sum:
    return _Normalised(model, model.start(q, _with_one(v), None), 1.0)


@statistic_of.register(Newton)
@statistic_of.register(ConjugateGradient)
@statistic_of.register(Chebyshev)
def _(optimiser: Optimiser, model: Model, q: Array, v: Array, arrays: Arrays) -> Sum:
    return MomentSum(optimiser, arrays)


@dataclass(frozen=True)
class _Gradient:
    """-size ∇J_t(θ_0): a direction in the space of θ, read at θ_0 plus it."""

    model: Model
    origin: Any
    size: float

    @property
    def channels(self) -> bool:
        return self.model.channels

    def start(self, q: Array, v: Array, given: Any) -> Any:
        return self.model.still(q, v, given)

    def of(self, x: Array, v: Array, weight: Array) -> Any:
        error = v - self.model.value(self.origin, x)
        return self.model.pullback(self.origin, x, self.size * (weight * error))

    def scaled(self, factor: Array, total: Any) -> Any:
        return self.model.scaled(factor, total)

    def plus(self, total: Any, more: Any) -> Any:
        return self.model.plus(total, more)

    def read(self, total: Any, q: Array) -> Array:
        return self.model.read(self.model.plus(self.origin, total), q)


@dataclass(frozen=True)
class _Normalised(_Gradient):
    """The same for values and the value 1 side by side, read as the one over the other where that exceeds 1 in size."""

    def start(self, q: Array, v: Array, given: Any) -> Any:
        return self.model.still(q, _with_one(v), given)

    def of(self, x: Array, v: Array, weight: Array) -> Any:
        return super().of(x, _with_one(v), weight)

    def read(self, total: Any, q: Array) -> Array:
        both = super().read(total, q)
        size = namespace(both).abs(both[..., -1:])
        return both[..., :-1] / namespace(both).maximum(size, namespace(both).ones_like(size))


def _with_one(v: Array) -> Array:
    return concat([v, namespace(v).ones_like(v[..., :1])], -1)
