"""Weights at work: γ_i^(t) = w_i · Π_{i<s≤t} exp(log_decay_s) · 1{t - i < length} · κ(q_t, k_i).

The first two factors make the loss a recursion, J_t = exp(log_decay_t) J_{t-1} + w_t ℓ_t: whatever is linear in J needs
a state of fixed size. A window and a kernel in the query do not; then keys, values and log weights are kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Output, per_token
from ttr_numerics.choices import Geometric, LogSample, QueryKernel, Sample, Uniform, Weights, Window
from ttr_numerics.choices.weights import Product
from ttr_numerics.exact import WeightedCache
from ttr_numerics.recurrence import sequential

__all__ = ["Arrays", "Given", "KernelProduct", "Weighting", "position_by_position", "weighting"]

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class KernelProduct:
    """κ = Π κ_j by the sum of logarithms; of no kernels it is 1."""

    kernels: tuple[Any, ...]

    def log(self, X: Array, Y: Array) -> Array:
        """log κ (..., n, m)."""
        logs = namespace(X).zeros_like(X[..., :, None, 0] * Y[..., None, :, 0])
        for kernel in self.kernels:
            logs = logs + kernel.log(X, Y)
        return logs


@dataclass(frozen=True)
class Weighting:
    """The factors of a product of weights, by kind."""

    samples: tuple[Sample, ...] = ()
    ages: tuple[Geometric, ...] = ()
    windows: tuple[Window, ...] = ()
    kernels: tuple[QueryKernel, ...] = ()
    logs_given: tuple[LogSample, ...] = ()

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that the factors need."""
        given: tuple[Sample | Geometric | LogSample, ...] = (*self.samples, *self.ages, *self.logs_given)
        return (*(f.array for f in given), *("window" for w in self.windows if w.length is None))

    @property
    def recursive(self) -> bool:
        """Whether J_t follows from J_{t-1} and the newest association."""
        return not self.windows and not self.kernels

    @property
    def lasting(self) -> bool:
        """Whether γ_i^(t) depends on t through the query alone."""
        return not self.windows and not self.ages

    def gates(self, q: Array, arrays: Arrays, channels: bool = False) -> tuple[Array, Array]:
        """log_decay (..., T, 1), or (..., T, d) where `channels` are allowed, and w (..., T, 1); 0 and 1 by default."""
        xp = namespace(q)
        gate, weight = xp.zeros_like(q[..., :1]), xp.ones_like(q[..., :1])
        for sample in self.samples:
            weight = weight * per_token(sample.array, arrays[sample.array], q)
        for age in self.ages:
            gate = gate + per_token(age.array, arrays[age.array], q, channels=channels)
        for log in self.logs_given:
            weight = weight * xp.exp(per_token(log.array, arrays[log.array], q))
        return gate, weight

    def length(self, arrays: Arrays) -> float:
        """How many of the last tokens count."""
        return min((int(w.length or arrays["window"]) for w in self.windows), default=inf)

    def nothing(self, k: Array, v: Array) -> WeightedCache:
        """The memory before the first token."""
        return WeightedCache(k[..., :0, :], v[..., :0, :], k[..., :0, 0])

    def remembered(
        self, cache: WeightedCache, k: Array, v: Array, gate: Array, weight: Array, arrays: Arrays
    ) -> WeightedCache:
        """The memory a token later: log weights aged, the newest rows added, of a window only what it still holds."""
        logs = concat([cache.log_weights + gate[..., 0], logarithm(weight)[..., 0]], -1)
        keys, values = concat([cache.k, k], -2), concat([cache.v, v], -2)
        first = int(max(0, logs.shape[-1] - self.length(arrays)))
        return WeightedCache(keys[..., first:, :], values[..., first:, :], logs[..., first:])

    def logs(self, q: Array, cache: WeightedCache) -> Array:
        """log γ_i^(t) (..., n) of all that is remembered, at one query (..., 1, d_k)."""
        return cache.log_weights + self.kernel.log(q, cache.k)[..., 0, :]

    @property
    def kernel(self) -> "KernelProduct":
        """The product of the kernels in the query."""
        return KernelProduct(tuple(factor.kernel for factor in self.kernels))


@dataclass(frozen=True)
class Given:
    """What a fit is made from: weights, q (..., T, d_k), k (..., T, d_k) or (..., T, n, d_k), v, arrays, a state."""

    weighting: Weighting
    q: Array
    k: Array
    v: Array
    arrays: Arrays
    initial_state: Any = None


def weighting(weights: Weights) -> Weighting:
    """The factors of `weights`, or a ValueError naming one that has no formula here."""
    factors: tuple[Weights, ...] = weights.factors if isinstance(weights, Product) else (weights,)
    for factor in factors:
        if not isinstance(factor, (Uniform, Sample, Geometric, Window, QueryKernel, LogSample)):
            raise ValueError(
                f"weights: expected products of Sample, LogSample, Geometric, Window and QueryKernel, got {factor}"
            )
    return Weighting(
        tuple(f for f in factors if isinstance(f, Sample)),
        tuple(f for f in factors if isinstance(f, Geometric)),
        tuple(f for f in factors if isinstance(f, Window)),
        tuple(f for f in factors if isinstance(f, QueryKernel)),
        tuple(f for f in factors if isinstance(f, LogSample)),
    )


def logarithm(x: Array) -> Array:
    """log x, -inf at 0."""
    xp = namespace(x)
    return xp.where(x > 0, xp.log(xp.where(x > 0, x, xp.ones_like(x))), -xp.inf * xp.ones_like(x))


def position_by_position(given: Given, answer: Callable[[Array, WeightedCache], Array]) -> Output:
    """o_t = answer(q_t, what is remembered at t), for weights under which J_t does not follow from J_{t-1}."""
    weighting = given.weighting

    def step(cache: WeightedCache, q: Array, k: Array, v: Array, gate: Array, weight: Array) -> Any:
        cache = weighting.remembered(cache, k, v, gate, weight, given.arrays)
        return cache, answer(q, cache)

    start = weighting.nothing(given.k, given.v) if given.initial_state is None else given.initial_state
    return sequential(step, start, given.q, given.k, given.v, *weighting.gates(given.q, given.arrays))
