"""Who is compared: three choices each, and the grid of what they leave open."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics import features
from ttr_numerics.choices import (
    ConjugateGradient,
    Exact,
    FeatureMap,
    Geometric,
    GradientStep,
    HeavyBall,
    Implicit,
    Leak,
    Linear,
    LocalPolynomial,
    QueryKernel,
    Reproducing,
    Sample,
    StochasticGradient,
    Uniform,
    Window,
)
from ttr_numerics.exact.kernels import Exponential, Polynomial

__all__ = ["CONTENDERS", "LABELS", "Contender", "Settings"]

Settings = Mapping[str, float]


def _one(s: Settings) -> float:
    return 1.0


def _exponential(s: Settings) -> float:
    return float(np.exp(s["norm"] ** 2))


def _taylor(s: Settings) -> float:
    return 1 + s["norm"] ** 2 + s["norm"] ** 4 / 2


@dataclass(frozen=True)
class Contender:
    """Three choices, the grid of what they leave open, and κ(k, k), the unit of its steps and ridges."""

    label: str
    choices: Callable[[Settings], tuple[Any, Any, Any]]
    grid: Mapping[str, tuple[float, ...]]
    unit: Callable[[Settings], float] = field(default=_one)

    def settings(self) -> list[dict[str, float]]:
        """Every point of the grid."""
        return [dict(zip(self.grid, point, strict=True)) for point in product(*self.grid.values())]


Grid = dict[str, tuple[float, ...]]
STEP: Grid = {"step": (0.03, 0.1, 0.3, 1.0)}
GATE: Grid = {"gate": (2.0**-10, 2.0**-8, 2.0**-6, 2.0**-4)}  # nats forgotten a token
RIDGE: Grid = {"ridge": (0.003, 0.03, 0.3)}
LOCAL_RIDGE: Grid = {"ridge": (0.03, 0.3, 3.0)}
WINDOW: Grid = {"window": (32.0, 64.0)}  # tokens
SHARP: Grid = {"norm": (1.0, 2.0, 4.0, 8.0)}  # of the keys: exp(k·k') of two of them lies within exp(±norm²)
MILD: Grid = {"norm": (1.0, 2.0, 4.0)}
LEAKY, NEAR, SPACE = StochasticGradient(leak=Leak.BEFORE_ERROR), QueryKernel(Exponential()), Reproducing(Exponential())
BALL = Implicit(leak=Leak.BEFORE_ERROR, momentum=HeavyBall())
CONTENDERS = (
    Contender(
        "linear attention, scaled", lambda s: (Uniform(), Linear(), GradientStep()), {"scale": (0.003, 0.01, 0.03, 0.1)}
    ),
    Contender("gated delta rule", lambda s: (Uniform(), Linear(), LEAKY), STEP | GATE),
    Contender("mesa", lambda s: (Sample("beta") * Geometric(), Linear(), Exact()), {"ridge": (0.03, 0.3, 3.0)} | GATE),
    Contender("softmax in a window", lambda s: (NEAR * Window(), LocalPolynomial(0), Exact()), SHARP | WINDOW),
    Contender("softmax", lambda s: (NEAR, LocalPolynomial(0), Exact()), SHARP),
    Contender("forgetting attention", lambda s: (NEAR * Geometric(), LocalPolynomial(0), Exact()), SHARP | GATE),
    Contender("kernel ridge", lambda s: (Uniform(), SPACE, Exact()), SHARP | RIDGE, _exponential),
    Contender("local linear", lambda s: (NEAR, LocalPolynomial(1), Exact()), SHARP | LOCAL_RIDGE, _exponential),
    Contender(
        "delta rule in exp. space", lambda s: (Uniform(), SPACE, StochasticGradient()), SHARP | STEP, _exponential
    ),
    Contender("gated delta rule in exp. space", lambda s: (Uniform(), SPACE, LEAKY), SHARP | STEP | GATE, _exponential),
    Contender(
        "gated delta rule in Taylor space",
        lambda s: (Uniform(), Reproducing(Polynomial()), LEAKY),
        SHARP | STEP | {"gate": (2.0**-10,)},
        _taylor,
    ),
    Contender("kernel ridge in a window", lambda s: (Window(), SPACE, Exact()), MILD | RIDGE | WINDOW, _exponential),
    Contender(
        "local linear in a window",
        lambda s: (NEAR * Window(), LocalPolynomial(1), Exact()),
        MILD | LOCAL_RIDGE | WINDOW,
        _exponential,
    ),
    Contender(
        "4 CG steps on ELU features, gated",
        lambda s: (Geometric(), FeatureMap(features.elu_plus_one), ConjugateGradient(4)),
        {"norm": (1.0,), "ridge": (0.03, 0.3, 3.0)} | GATE,
    ),
    Contender(
        "implicit heavy ball, gated",
        lambda s: (Uniform(), Linear(), BALL),
        STEP | {"inertia": (0.1, 0.3, 0.7)} | GATE,
    ),
)


LABELS = tuple(contender.label for contender in CONTENDERS)
