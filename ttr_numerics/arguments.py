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
    "ALPHA",
    "BANDWIDTH",
    "BASE",
    "BATCH",
    "BETA",
    "BONUS",
    "CENTRE",
    "CHANNEL_STATE",
    "CHANNEL_VALUES",
    "CURVATURE_BETA",
    "CURVATURE_LOG_DECAY",
    "DEGREE",
    "DELTA",
    "EPS",
    "EPSILON",
    "ERASE",
    "ETA",
    "FED",
    "FEEDBACK",
    "FIRST_RIDGE",
    "GAIN",
    "IMPLICIT_BETA",
    "IMPLICIT_CHANNEL_BETA",
    "INITIAL_STATE",
    "INVERSE_TEMPERATURE",
    "KEYS",
    "LOCAL_QUERIES",
    "LOG_BONUS",
    "LOG_DECAY",
    "LOG_FORGET",
    "LOG_INPUT",
    "LOG_KEYS",
    "LOG_MOMENTUM",
    "MIXTURE",
    "OPTIONAL_BETA",
    "OPTIONAL_WEIGHTS",
    "POSITIVE_KEYS",
    "POSITIVE_QUERIES",
    "POSITIVE_RIDGE",
    "POWER",
    "PROBE",
    "QUERIES",
    "READ",
    "RIDGE",
    "RIDGE_RATIO",
    "SCALAR_LOG_DECAY",
    "SCALAR_RIDGE",
    "SEVERAL_BETA",
    "SEVERAL_KEYS",
    "SEVERAL_VALUES",
    "SHIFT",
    "SINK",
    "START",
    "STEP",
    "STEPS",
    "SUPPORT_ORDER",
    "THRESHOLD",
    "THETA",
    "VALUES",
    "W_1",
    "W_2",
    "WINDOW",
    "WINDOW_BETA",
    "WRITE",
    "Argument",
    "Domain",
    "Shape",
]

Shape = tuple[str, ...]


class Domain(Enum):
    """Which entries are legal: the value is the sentence a refusal says."""

    REAL = "finite entries"
    LOG_GATE = "at most 0 (a natural logarithm)"
    LOG_WEIGHT = "below infinity (a natural logarithm)"
    NON_NEGATIVE = "at least 0"
    POSITIVE = "above 0"
    COUNT = "a whole number, at least 1"
    AT_LEAST_ONE = "at least 1"

    def outside(self, x: np.ndarray) -> np.ndarray:
        """Where entries are illegal; only a gate may be infinite (-inf, a reset)."""
        if self is Domain.LOG_GATE:
            return np.isnan(x) | (x > 0)
        if self is Domain.LOG_WEIGHT:
            return np.isnan(x) | (x == np.inf)
        legal = {
            Domain.REAL: np.ones(x.shape, dtype=bool),
            Domain.NON_NEGATIVE: x >= 0,
            Domain.POSITIVE: x > 0,
            Domain.COUNT: (x >= 1) & (x == np.floor(x)),
            Domain.AT_LEAST_ONE: x >= 1,
        }[self]
        return ~(np.isfinite(x) & legal)


@dataclass(frozen=True)
class Argument:
    """One named array: the `shapes` it may have after the batch axes, its domain, what it means.

    `draw(rng, shape)` gives a generic float64 array (or number) of a full shape: a case every layer is stable on.
    What is `in_state` is carried by the state: it is given at the first token, and not with an initial state.
    """

    name: str
    shapes: tuple[Shape, ...]
    domain: Domain
    meaning: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any]
    in_state: bool = False

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


def _small_steps(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.05, 0.3, shape)


def _gains(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 1.5, shape)


def _thresholds(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0.5, 2.0, shape)


def _layer(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(shape[-2])


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _unit_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def _positive(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.exponential(1.0, shape)


def _half_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 0.5 * _unit_rows(rng, shape)


QUERIES = Argument("q", (("T", "d_k"),), Domain.REAL, "queries", _normal)
KEYS = Argument("k", (("T", "d_k"),), Domain.REAL, "keys", _unit_rows)
POSITIVE_QUERIES = Argument("q", (("T", "d_k"),), Domain.REAL, "features of queries, at least 0 for a mean", _positive)
POSITIVE_KEYS = Argument("k", (("T", "d_k"),), Domain.REAL, "features of keys, at least 0 for a mean", _positive)
VALUES = Argument("v", (("T", "d_v"),), Domain.REAL, "values", _normal)
INITIAL_STATE = Argument("initial_state", (("d_k", "d_v"),), Domain.REAL, "the state S_0", _normal)
LOG_DECAY = Argument(
    "log_decay", (("T",), ("T", "d_k")), Domain.LOG_GATE, "natural logarithm of the gate, -inf a reset", _gates
)
SCALAR_LOG_DECAY = Argument("log_decay", (("T",),), Domain.LOG_GATE, LOG_DECAY.meaning, _gates)
BETA = Argument("beta", (("T",),), Domain.REAL, "step size", _steps)
OPTIONAL_BETA = Argument("beta", (("T",),), Domain.NON_NEGATIVE, "weight of the token's squared error", _steps)
ERASE = Argument("erase", (("T", "d_k"),), Domain.REAL, "gate of each key channel that is erased", _steps)
WRITE = Argument("write", (("T", "d_v"),), Domain.REAL, "gate of each value channel that is written", _steps)
FEEDBACK = Argument("p", (("T", "d_k"),), Domain.REAL, "row whose error is fed back", _unit_rows)
RIDGE = Argument("ridge", ((), ("d_k",)), Domain.NON_NEGATIVE, "ridge λ, or its diagonal", lambda rng, shape: 0.25)
SCALAR_RIDGE = Argument("ridge", ((),), Domain.NON_NEGATIVE, "ridge λ", RIDGE.draw)
DEGREE = Argument("degree", ((),), Domain.COUNT, "degree of the local polynomial", lambda rng, shape: 2)
LOCAL_QUERIES = Argument("q", (("T", "d_k"),), Domain.REAL, "queries, where the keys are", _unit_rows)
PROBE = Argument("probe", (("T", "d_k"),), Domain.REAL, "rows along which values and keys covary", _unit_rows)
ETA = Argument("eta", (("T",),), Domain.REAL, "step size", lambda rng, shape: rng.uniform(0.02, 0.1, shape))
BATCH = Argument("batch", ((),), Domain.COUNT, "tokens of a mini-batch", lambda rng, shape: 4)
GAIN = Argument("gain", (("d_v",),), Domain.REAL, "gain of a layer norm", _gains)
SHIFT = Argument("shift", (("d_v",),), Domain.REAL, "shift of a layer norm", _normal)
THETA = Argument("theta", (("T",),), Domain.REAL, "half the step size", _small_steps)
BANDWIDTH = Argument("bandwidth", ((),), Domain.POSITIVE, "radius of the kernel's support", lambda rng, shape: 8.0)
SUPPORT_ORDER = Argument("order", ((),), Domain.COUNT, "power of the compact kernel", lambda rng, shape: 2)
THRESHOLD = Argument("threshold", ((),), Domain.REAL, "q·k below which a key has no weight", lambda rng, shape: -8.0)
ALPHA = Argument("alpha", ((),), Domain.POSITIVE, "order of the entropy, above 1 and at most 2", lambda rng, shape: 1.5)
INVERSE_TEMPERATURE = Argument("beta", ((),), Domain.POSITIVE, "inverse temperature", lambda rng, shape: 1.5)
SINK = Argument("sink", ((),), Domain.REAL, "logit of the sink", lambda rng, shape: 0.5)
WINDOW = Argument("window", ((),), Domain.COUNT, "tokens of the window", lambda rng, shape: 4)
WINDOW_BETA = Argument("beta", (("T",),), Domain.REAL, "step size", _small_steps)
OPTIONAL_WEIGHTS = Argument("weights", (("T",),), Domain.NON_NEGATIVE, OPTIONAL_BETA.meaning, _steps)
DELTA = Argument("delta", (("T",),), Domain.POSITIVE, "error beyond which the loss is linear", _thresholds)
POWER = Argument("p", ((),), Domain.AT_LEAST_ONE, "power of the loss", lambda rng, shape: 1.5)
LOG_MOMENTUM = Argument(
    "log_momentum",
    (("T",),),
    Domain.LOG_GATE,
    "natural logarithm of the momentum",
    lambda rng, shape: -_gains(rng, shape),
)
POSITIVE_RIDGE = Argument("ridge", RIDGE.shapes, Domain.POSITIVE, RIDGE.meaning, RIDGE.draw)
FIRST_RIDGE = Argument("ridge", RIDGE.shapes, Domain.POSITIVE, RIDGE.meaning, RIDGE.draw, in_state=True)
RIDGE_RATIO = Argument("ridge_ratio", ((),), Domain.POSITIVE, "ridge over norm of the moments", lambda rng, shape: 0.1)
MIXTURE = Argument("alpha", (("T",),), Domain.REAL, "share of the solution in what is read", _steps)
START = Argument("start", (("T", "d_k"),), Domain.REAL, "rows that the iteration starts from", _normal)
STEPS = Argument("steps", ((),), Domain.COUNT, "steps of the iteration", lambda rng, shape: 3)
SEVERAL_KEYS = Argument("k", (("T", "n", "d_k"),), Domain.REAL, "n keys a token", _unit_rows)
SEVERAL_VALUES = Argument("v", (("T", "n", "d_v"),), Domain.REAL, "n values a token", _normal)
SEVERAL_BETA = Argument("beta", (("T", "n"),), Domain.REAL, "step sizes of a token", _steps)
IMPLICIT_BETA = Argument("beta", (("T",),), Domain.NON_NEGATIVE, "step size of an implicit step", _steps)
IMPLICIT_CHANNEL_BETA = Argument("beta", (("T", "d_v"),), Domain.NON_NEGATIVE, "step size per value channel", _steps)
STEP = Argument("step", (("T",),), Domain.REAL, "step relative to the squared length of the key", _steps)
EPS = Argument("eps", ((),), Domain.NON_NEGATIVE, "added to what is divided by or logged", lambda rng, shape: 1e-3)
READ = Argument("a", (("T", "d_k"),), Domain.REAL, "row that reads the undecayed state", _unit_rows)
FED = Argument("b", (("T", "d_k"),), Domain.REAL, "row that writes what was read", _half_rows)
CURVATURE_BETA = Argument("curvature_beta", (("T",),), Domain.NON_NEGATIVE, "weight of a squared key", _steps)
CURVATURE_LOG_DECAY = Argument("curvature_log_decay", (("T",),), Domain.LOG_GATE, "forgetting of squared keys", _gates)
BASE = Argument("base", ((),), Domain.AT_LEAST_ONE, "largest multiplier", lambda rng, shape: 2.0)
CENTRE = Argument("centre", ((),), Domain.REAL, "log curvature of multiplier 1", lambda rng, shape: -1.0)
CHANNEL_VALUES = Argument("v", (("T", "d_k"),), Domain.REAL, "values, one a key channel", _normal)
CHANNEL_STATE = Argument("initial_state", (("d_k",),), Domain.REAL, "the state h_0", _normal)
LOG_KEYS = Argument("k", (("T", "d_k"),), Domain.REAL, "logarithm of each token's weight, by channel", _normal)
BONUS = Argument("bonus", (("d_k",),), Domain.REAL, "weight of the newest token, by channel", _normal)
LOG_BONUS = Argument("bonus", (("d_k",),), Domain.REAL, "added to the newest token's log weight, by channel", _normal)
LOG_INPUT = Argument("log_input", (("T",),), Domain.LOG_WEIGHT, "natural logarithm of the input gate", _normal)
LOG_FORGET = Argument("log_forget", (("T",),), Domain.LOG_GATE, "natural logarithm of the forget gate", _gates)
EPSILON = Argument("epsilon", ((),), Domain.POSITIVE, "what a layer norm adds to the variance", lambda rng, shape: 1.0)
W_1 = Argument("W_1", (("d_k", "d_h"),), Domain.REAL, "first layer before the first token", _layer, in_state=True)
W_2 = Argument("W_2", (("d_h", "d_v"),), Domain.REAL, "second layer before the first token", _layer, in_state=True)
