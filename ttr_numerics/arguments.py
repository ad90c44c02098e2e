"""The named arrays layers take: shape, domain and meaning of each, and how a generic one is drawn.

Shapes are written in the axes of `axes`, after the batch axes: ("T", "d_k") is (..., T, d_k), () a number. A layer
whose keys or values have other axes (several a token, as many channels as keys) declares them in the same words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

__all__ = [
    "BETA",
    "INITIAL_STATE",
    "KEYS",
    "LOG_DECAY",
    "OPTIONAL_BETA",
    "QUERIES",
    "RIDGE",
    "SCALAR_LOG_DECAY",
    "VALUES",
    "Argument",
    "Domain",
    "Shape",
]

Shape = tuple[str, ...]


class Domain(Enum):
    """Which entries are legal: the value is the sentence a refusal says."""

    REAL = "finite entries"
    LOG_GATE = "at most 0 (a natural logarithm)"
    NON_NEGATIVE = "at least 0"
    POSITIVE = "above 0"
    COUNT = "a whole number, at least 1"

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Where entries are illegal; only a gate may be infinite (-inf, a reset)."""
        if self is Domain.LOG_GATE:
            return np.isnan(x) | (x > 0)
        legal = {
            Domain.REAL: np.ones(x.shape, dtype=bool),
            Domain.NON_NEGATIVE: x >= 0,
            Domain.POSITIVE: x > 0,
            Domain.COUNT: (x >= 1) & (x == np.floor(x)),
        }[self]
        return ~(np.isfinite(x) & legal)


@dataclass(frozen=True)
class Argument:
    """One named array: the `shapes` it may have after the batch axes, its domain, what it means.

    `draw(rng, shape)` gives a generic float64 array (or number) of a full shape: a case every layer is stable on.
    """

    name: str
    shapes: tuple[Shape, ...]
    domain: Domain
    meaning: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any]

    def sizes(self, axes: Mapping[str, int]) -> list[tuple[int, ...]]:
        """Its shapes with lengths for the names of `axes`."""
        return [tuple(axes[name] for name in shape) for shape in self.shapes]

    @property
    def is_number(self) -> bool:
        """Whether it may be given as a plain number."""
        return () in self.shapes


def _gates(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return -rng.exponential(0.05, shape)


def _steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.1, 1.0, shape)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _unit_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


QUERIES = Argument("q", (("T", "d_k"),), Domain.REAL, "queries", _normal)
KEYS = Argument("k", (("T", "d_k"),), Domain.REAL, "keys", _unit_rows)
VALUES = Argument("v", (("T", "d_v"),), Domain.REAL, "values", _normal)
INITIAL_STATE = Argument("initial_state", (("d_k", "d_v"),), Domain.REAL, "the state S_0", _normal)
LOG_DECAY = Argument(
    "log_decay", (("T",), ("T", "d_k")), Domain.LOG_GATE, "natural logarithm of the gate, -inf a reset", _gates
)
SCALAR_LOG_DECAY = Argument("log_decay", (("T",),), Domain.LOG_GATE, LOG_DECAY.meaning, _gates)
BETA = Argument("beta", (("T",),), Domain.REAL, "step size", _steps)
OPTIONAL_BETA = Argument("beta", (("T",),), Domain.NON_NEGATIVE, "weight of the token's squared error", _steps)
RIDGE = Argument("ridge", ((), ("d_k",)), Domain.NON_NEGATIVE, "ridge λ, or its diagonal", lambda rng, shape: 0.25)
