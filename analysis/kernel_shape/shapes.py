"""Feature maps brought to the same feature dimension D: the channels each needs, and the gains it is tried at."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import numpy as np

from ttr_numerics import features

__all__ = ["FACTORS", "SHAPES", "Shape", "shape_named"]

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
ONE = "a single feature, the largest"
Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Shape:
    """`channels(D)` inputs make D features; `drawn(rng, D)` is the map. Inputs are unit rows times a gain.

    The gains tried are `factors` times channels**`of_norm`: entries of size 1 at factor 1. Maps that are homogeneous,
    or normalise their input, do not depend on it and have one. `limit`: what features of unit length tend to as it
    grows.
    """

    name: str
    channels: Callable[[int], int]
    drawn: Callable[[np.random.Generator, int], Map]
    factors: tuple[float, ...] = (1.0,)
    of_norm: float = 0.5
    limit: str = ""

    def gains(self, D: int) -> tuple[float, ...]:
        """The gains to try at feature dimension D."""
        return tuple(float(f * self.channels(D) ** self.of_norm) for f in self.factors)


def shape_named(name: str) -> Shape:
    """The one of SHAPES with that name."""
    return next(shape for shape in SHAPES if shape.name == name)


def _as_is(map_: Map) -> Callable[[np.random.Generator, int], Map]:
    return lambda rng, D: map_


def _triangle(D: int) -> int:
    """m with m(m+1)/2 = D."""
    m = (isqrt(8 * D + 1) - 1) // 2
    if m * (m + 1) // 2 != D:
        raise ValueError(f"D: expected a triangular number, so that second-order maps have it exactly, got {D}")
    return m


def _half(D: int) -> int:
    if D % 2:
        raise ValueError(f"D: expected an even number, for maps that double the channels, got {D}")
    return D // 2


def _hedgehog(rng: np.random.Generator, D: int) -> Map:
    return features.Hedgehog(np.eye(_half(D)))


def _favor(rng: np.random.Generator, D: int) -> Map:
    """Without the factor exp(-‖x‖²/2), one constant for rows of one length: at gain 32 it leaves float64."""
    W = features.orthogonal_gaussian(rng, D, D)
    return lambda x: features.Favor(W, -float(np.max(np.sum(x * x, axis=-1), initial=0.0)) / 2)(x)


def _rebased(rng: np.random.Generator, D: int) -> Map:
    """As it is initialised: a layer norm without gain or shift, then squares and products."""
    m = _triangle(D)
    return features.ReBased(np.ones(m), np.zeros(m))


SHAPES = (
    Shape("identity", lambda D: D, _as_is(lambda x: x)),
    Shape("ReLU", lambda D: D, _as_is(features.relu)),
    Shape("ELU + 1", lambda D: D, _as_is(features.elu_plus_one), FACTORS, limit="ReLU"),
    Shape("DPFP, ν = 1", _half, _as_is(features.dpfp)),
    Shape("Hedgehog", _half, _hedgehog, FACTORS, limit=ONE),
    Shape("FAVOR+", lambda D: D, _favor, FACTORS, of_norm=0.0, limit=ONE),
    Shape("quadratic", _triangle, _as_is(features.quadratic)),
    Shape("Taylor", lambda D: _triangle(D) - 1, _as_is(features.taylor), FACTORS, limit="quadratic"),
    Shape("ReBased", _triangle, _rebased),
)
