"""Rules of one pass: what an optimiser does with the gradient of the newest association's loss.

    stochastic gradient:  θ = θ̄ - β w ∇ℓ                        normalised:  β = step/(c + eps)
    implicit:             θ = argmin w ℓ + ‖θ - θ̄‖²/(2β)        influence:   ℓ a loss of the error other than ½‖e‖²

with c = ‖∂m(k)/∂θ‖². On a class that is linear in θ the implicit step is a gradient step of size β w/(1 + β w c): put
its stationarity condition into itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import singledispatch
from typing import Any

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.choices import (
    ExponentiatedGradient,
    HeavyBall,
    Implicit,
    InfluenceGradient,
    Leak,
    NormalisedGradient,
    Optimiser,
    StochasticGradient,
)
from ttr_numerics.composition.models import Model

__all__ = ["Rule", "rule"]

Rows = Mapping[str, Any]


def _error(z: Array, y: Array, rows: Rows) -> Array:
    return y - z


@dataclass(frozen=True)
class Rule:
    """One step: θ moves by size(model, x, rows) times the pullback of influence(m_θ(x), y, rows).

    `arrays` are the rows it asks for, one a token; `leak` and `momentum` as in `choices`; `steps` associations a token
    (None: as many as the data have), `batch` tokens that share the point of their gradients.
    """

    arrays: tuple[str, ...]
    size: Callable[[Model, Array, Rows], Array]
    influence: Callable[[Array, Array, Rows], Array] = _error
    leak: Leak = Leak.NONE
    momentum: HeavyBall | None = None
    steps: int | None = 1
    batch: int = 1


@singledispatch
def rule(optimiser: Optimiser) -> Rule:
    """The rule of an optimiser of one pass, or a TypeError."""
    raise TypeError(f"optimiser: expected one of one pass, got {optimiser}")


@rule.register
def _(optimiser: StochasticGradient) -> Rule:
    return Rule(("beta",), _given_step, _error, optimiser.leak, optimiser.momentum, optimiser.steps, optimiser.batch)


@rule.register
def _(optimiser: Implicit) -> Rule:
    return Rule(("beta",), _implicit_step, _error, optimiser.leak, optimiser.momentum)


@rule.register
def _(optimiser: NormalisedGradient) -> Rule:
    return Rule(("step", "eps"), _normalised_step, _error, Leak.BEFORE_ERROR)


@rule.register
def _(optimiser: InfluenceGradient) -> Rule:
    names = tuple(f.name for f in fields(optimiser.loss))

    def influence(z: Array, y: Array, rows: Rows) -> Array:
        return optimiser.loss(*(rows[name] for name in names)).influence(z, y)

    return Rule(("beta", *names), _given_step, influence, Leak.AFTER_ERROR)


@rule.register
def _(optimiser: ExponentiatedGradient) -> Rule:
    return Rule(("beta",), _given_step, _error, Leak.AFTER_ERROR)


def _given_step(model: Model, x: Array, rows: Rows) -> Array:
    return rows["beta"] * rows["weight"]


def _implicit_step(model: Model, x: Array, rows: Rows) -> Array:
    step = rows["beta"] * rows["weight"]
    return step / (1 + step * model.curvature(x))


def _normalised_step(model: Model, x: Array, rows: Rows) -> Array:
    """0 at a zero key, which has nothing to divide by."""
    xp, curvature = namespace(x), model.curvature(x)
    empty = curvature == 0
    size = xp.where(empty, xp.ones_like(curvature), curvature + rows["eps"])
    return xp.where(empty, xp.zeros_like(curvature), rows["step"] * rows["weight"] / size)
