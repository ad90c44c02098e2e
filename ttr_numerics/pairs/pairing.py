"""One row of the catalogue."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.arguments import KEYS, QUERIES, VALUES, Argument
from ttr_numerics.arrays import Array
from ttr_numerics.axes import Output
from ttr_numerics.choices import Choices
from ttr_numerics.derivations import Derivation

__all__ = ["Call", "LinearMap", "Map", "Pairing", "Target"]

Map = Callable[[Array], Array]  # rows (..., n, d_k) to what is predicted there (..., n, d_v)


@dataclass(frozen=True)
class LinearMap:
    """m(x) = x S, S (..., d_k, d_v)."""

    S: Array

    def __call__(self, x: Array) -> Array:
        """m of every row of x."""
        return x @ self.S


def _matrix(state: Array, **_: Any) -> Map:
    return LinearMap(state)


@dataclass(frozen=True)
class Call:
    """A published layer that is the row's layer on certain arrays: `name`, `how` to call it, and the `source`."""

    name: str
    how: str
    source: str

    def __str__(self) -> str:
        return f"{self.name}: {self.how} ({self.source})"


@dataclass(frozen=True)
class Target:
    """Another defensible target: the `problem` in words, and `fit` as that of `Pairing`."""

    problem: str
    fit: Callable[..., Map]

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True)
class Pairing:
    """`layer` and `partner` take q, k, v and the same named arrays and return `Output`.

    `takes` and `may_take` are the named arrays, required and optional. `forms` are other sound algorithms for the
    layer. `fit(k, v, **arrays)` gives the target's map m at the last position, None where the target is the identity
    itself or no function of the keys alone; `other_targets` are the ones as defensible; `memory(state, **arrays)` is
    the map that the layer's final state holds, to be compared with them at the keys. `calls` are the published layers
    that are this one on certain arrays. `lengths` are those axes of an example that are not as long as usual.
    """

    layer: Callable[..., Output]
    choices: Choices
    identity: str
    partner: Callable[..., Output]
    target: str
    fit: Callable[..., Map] | None
    domain: str
    source: str
    derivation: Callable[[], Derivation]
    takes: tuple[Argument, ...] = ()
    may_take: tuple[Argument, ...] = ()
    forms: tuple[Callable[..., Output], ...] = ()
    queries: Argument = QUERIES
    keys: Argument = KEYS
    values: Argument = VALUES
    memory: Callable[..., Map] = _matrix
    causal: bool = True
    lengths: tuple[tuple[str, int], ...] = ()
    other_targets: tuple[Target, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def name(self) -> str:
        """The layer's public name."""
        return self.layer.__name__

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the required arrays beside q, k, v."""
        return tuple(x.name for x in self.takes)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the optional arrays."""
        return tuple(x.name for x in self.may_take)

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Every named array, k and v among them."""
        return (self.keys, self.values, *self.takes, *self.may_take)

    def example(
        self,
        rng: np.random.Generator,
        batch: tuple[int, ...] = (2,),
        optional: bool = False,
        channels: bool = False,
        **axes: int,
    ) -> dict[str, Any]:
        """Generic float64 arguments, for axes such as T=48, d_k=8, d_v=8, n=2.

        Each array has the first of its shapes, with `channels` the last; optional arrays only if asked for.
        """
        sizes = {"T": 48, "d_k": 8, "d_v": 8, "d_h": 6, "n": 2} | dict(self.lengths) | axes
        drawn: dict[str, Any] = {}
        for x in (self.queries, self.keys, self.values, *self.takes, *(self.may_take if optional else ())):
            shape = x.sizes(sizes)[-1 if channels else 0]
            drawn[x.name] = x.draw(rng, (*batch, *shape) if shape else ())
        return drawn
