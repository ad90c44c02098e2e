"""The exact optimiser: argmin over the class of ½Σ_{i≤t} γ_i^(t)‖v_i - m(k_i)‖² + ½λ‖m‖² at every t, by `exact`.

A solver that answers all prefixes at once is called once; weights that it does not know are solved position by
position. Nothing here knows a layer, or a step.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from ttr_numerics import exact
from ttr_numerics.arrays import Array, concat, namespace
from ttr_numerics.axes import Cache, Output
from ttr_numerics.choices import FeatureMap, FunctionClass, Linear, LocalPolynomial, Reproducing
from ttr_numerics.composition.models import model
from ttr_numerics.composition.weighting import Given, Weighting, logarithm, position_by_position

__all__ = ["scalar_weights", "solved"]


@singledispatch
def solved(function_class: FunctionClass, given: Given) -> Output:
    """The argmin of the class at every position, read at q; the array `ridge` is λ, absent the limit λ → 0."""
    raise ValueError(
        f"function_class: expected a linear, kernel or local polynomial one, whose argmin is a linear solve, "
        f"got {function_class}"
    )


@solved.register(Linear)
@solved.register(FeatureMap)
def _(function_class: FunctionClass, given: Given) -> Output:
    features, ridge = model(function_class, given.arrays).rows, given.arrays.get("ridge")
    relative = ridge is None and "ridge_ratio" in given.arrays
    if given.weighting.recursive and ridge is not None:
        rows, start = (features(given.q), features(given.k), given.v), given.initial_state
        return exact.ridge_prefixes(*rows, ridge=ridge, initial_state=start, **scalar_weights(given))

    def fit(q: Array, cache: exact.WeightedCache) -> Array:
        K, weights = features(cache.k), namespace(q).exp(given.weighting.logs(q, cache))
        penalty = _ridge_of(K, weights, given.arrays["ridge_ratio"]) if relative else ridge
        least = exact.least_norm(K, cache.v, weights) if penalty is None else exact.ridge(K, cache.v, penalty, weights)
        return features(q) @ least.S

    return position_by_position(given, fit)


def _ridge_of(K: Array, weights: Array, ratio: Any) -> Array:
    """ratio ‖K'ΓK‖_F for every key channel (..., d)."""
    xp = namespace(K)
    H = xp.matrix_transpose(K) @ (weights[..., None] * K)
    return xp.zeros_like(K[..., 0, :]) + ratio * xp.sqrt(xp.sum(H * H, axis=(-2, -1)))[..., None]


def scalar_weights(given: Given) -> dict[str, Array]:
    """The `log_decay` and `weights` (..., T) that the solvers of linear classes take, where there are any."""
    gate, weight = given.weighting.gates(given.q, given.arrays)
    aged = {"log_decay": gate[..., 0]} if given.weighting.ages else {}
    return aged | ({"weights": weight[..., 0]} if given.weighting.samples or given.weighting.logs_given else {})


@solved.register
def _(function_class: Reproducing, given: Given) -> Output:
    ridge = given.arrays.get("ridge", 0.0)
    if given.weighting == Weighting():
        named = {"kernel": function_class.kernel, "ridge": ridge, "initial_state": given.initial_state}
        return exact.kernel_ridge_prefixes(given.q, given.k, given.v, **named)
    kernel = _Scaled(function_class.kernel)

    def fit(q: Array, cache: exact.WeightedCache) -> Array:
        root = namespace(q).exp(given.weighting.logs(q, cache) / 2)[..., None]
        keys, values = concat([cache.k, root], -1), root * cache.v
        query = concat([q, namespace(q).ones_like(q[..., :1])], -1)
        older = Cache(keys[..., :-1, :], values[..., :-1, :])
        newest = keys[..., -1:, :], values[..., -1:, :]
        return exact.kernel_ridge_prefixes(query, *newest, kernel=kernel, ridge=ridge, initial_state=older).o

    return position_by_position(given, fit)


@dataclass(frozen=True)
class _Scaled:
    """κ̃((x, a), (y, b)) = a κ(x, y) b: kernel ridge with rows √γ_i is kernel ridge with sample weights γ_i."""

    kernel: Any

    def __call__(self, X: Array, Y: Array) -> Array:
        xp = namespace(X)
        return X[..., -1:] * self.kernel(X[..., :-1], Y[..., :-1]) * xp.matrix_transpose(Y[..., -1:])


@solved.register
def _(function_class: LocalPolynomial, given: Given) -> Output:
    weighting, kernel, rows = given.weighting, given.weighting.kernel, (given.q, given.k, given.v)
    degree = given.arrays["degree"] if function_class.degree is None else function_class.degree
    signed = _without_logarithm(weighting)
    if signed and degree == 0 and weighting == Weighting(kernels=weighting.kernels):
        return exact.signed_smoother_prefixes(*rows, kernel=signed[0], initial_state=given.initial_state)
    constant = degree == 0
    named = {} if constant else {"degree": degree, "ridge": given.arrays.get("ridge", 0.0)}
    prefixes = exact.kernel_smoother_prefixes if constant else exact.local_polynomial_prefixes
    everywhere = exact.kernel_smoother if constant else exact.local_polynomial
    if weighting.lasting:
        logs = logarithm(weighting.gates(given.q, given.arrays)[1])[..., 0]
        return prefixes(*rows, kernel=kernel, log_weights=logs, initial_state=given.initial_state, **named)

    def fit(q: Array, cache: exact.WeightedCache) -> Array:
        return everywhere(q, cache.k, cache.v, kernel=kernel, log_weights=cache.log_weights, **named)

    return position_by_position(given, fit)


def _without_logarithm(weighting: Weighting) -> list[Any]:
    """Kernels of either sign, which are known by their values alone."""
    return [factor.kernel for factor in weighting.kernels if not hasattr(factor.kernel, "log")]
