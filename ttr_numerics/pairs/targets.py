"""Targets that families share: the regression a linear layer approximates, solved at the last position."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ttr_numerics import exact
from ttr_numerics.arrays import Array, namespace, zeros
from ttr_numerics.axes import Output
from ttr_numerics.exact.weights import Ageing
from ttr_numerics.pairs.pairing import LinearMap, Map, Target

__all__ = [
    "AGED",
    "AGED_KEYS",
    "ON_AGED_KEYS",
    "aged_keys_least_squares",
    "ages_at_the_end",
    "chunked_forms",
    "held_in",
    "weighted_least_squares",
]

AGED = "weighted least squares with γ_i = Π_{s>i} exp(log_decay_s) (per-channel gates: their channel mean)"

AGED_KEYS = (
    "least squares on aged keys, k_i Π_{s>i} exp(log_decay_s) channel by channel (for a scalar gate γ_i: weighted "
    "least squares with weights γ_i² and targets v_i/γ_i, so that old values are inflated; not the first target)"
)


def ages_at_the_end(k: Array, log_decay: Array | None = None) -> Array:
    """γ_i (..., T) at the last position, 1 without gates; a per-channel gate counts by its channel mean."""
    gate = zeros(k, k.shape[:-1]) if log_decay is None else log_decay
    if gate.ndim == k.ndim:
        gate = namespace(k).mean(gate, axis=-1)
    return exact.prefix_weights(gate + zeros(k, k.shape[:-1]))[..., -1, :]


def weighted_least_squares(k: Array, v: Array, log_decay: Array | None = None, **_: Any) -> LinearMap:
    """Weighted least squares at the last position with those weights."""
    return LinearMap(exact.least_norm(k, v, ages_at_the_end(k, log_decay)).S)


def aged_keys_least_squares(k: Array, v: Array, log_decay: Array | None = None, **_: Any) -> LinearMap:
    """Least squares of v on the keys as old as they are at the last position, per channel where the gate is."""
    return LinearMap(exact.least_norm(Ageing(log_decay, k).last(k), v).S)


ON_AGED_KEYS = (Target(AGED_KEYS, aged_keys_least_squares),)


def held_in(part: str) -> Callable[..., Map]:
    """The linear map that is one part of a state of several."""

    def memory(state: Any, **_: Any) -> LinearMap:
        return LinearMap(getattr(state, part))

    return memory


def chunked_forms(layer: Callable[..., Output]) -> tuple[Callable[..., Output], ...]:
    """The chunk-parallel form at a short and a long chunk: kernels use lengths between them."""
    return partial(layer, chunk=16), partial(layer, chunk=64)
