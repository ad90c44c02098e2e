"""From what a projection gives, any real number, into the domain of a named array."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ttr_numerics.arguments import (
    BETA,
    ERASE,
    ETA,
    FED,
    FEEDBACK,
    MIXTURE,
    OPTIONAL_BETA,
    OPTIONAL_WEIGHTS,
    PROBE,
    READ,
    SEVERAL_BETA,
    THETA,
    WINDOW_BETA,
    WRITE,
    Argument,
    Domain,
)
from ttr_numerics.arguments import (
    STEP as RELATIVE_STEP,
)
from ttr_numerics.border import l2_normalized

__all__ = ["AT_LEAST_ONE", "GATE", "IDENTITY", "POSITIVE", "STEP", "UNIT", "Map", "map_into"]

_EPSILON = 1e-6  # under the root of a norm, as in transformers and flash-linear-attention


@dataclass(frozen=True)
class Map:
    """`forward` into the domain, and `inverse` of what lies inside it: where learning starts."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    inverse: Callable[[torch.Tensor], torch.Tensor]


def _unit(x: torch.Tensor) -> torch.Tensor:
    return l2_normalized(x, epsilon=_EPSILON)


def _as_it_is(x: torch.Tensor) -> torch.Tensor:
    return x


def _log_expm1(y: torch.Tensor) -> torch.Tensor:
    """log(e^y - 1), y > 0, the inverse of softplus."""
    return y + torch.log(-torch.expm1(-y))


def _logit_of_log(y: torch.Tensor) -> torch.Tensor:
    """log(p/(1 - p)) for p = e^y, y < 0, the inverse of log σ."""
    return y - torch.log(-torch.expm1(y))


def _above_one(x: torch.Tensor) -> torch.Tensor:
    return 1 + torch.nn.functional.softplus(x)


def _from_above_one(y: torch.Tensor) -> torch.Tensor:
    return _log_expm1(y - 1)


def _half_unit(x: torch.Tensor) -> torch.Tensor:
    return _unit(x) / 2


IDENTITY = Map(_as_it_is, _as_it_is)
STEP = Map(torch.sigmoid, torch.logit)
"""σ(x), in (0, 1): a step size, a gate that is no logarithm, a weight."""
GATE = Map(torch.nn.functional.logsigmoid, _logit_of_log)
"""log σ(x), below 0: a logarithm of a gate."""
POSITIVE = Map(torch.nn.functional.softplus, _log_expm1)
"""softplus(x), above 0."""
AT_LEAST_ONE = Map(_above_one, _from_above_one)
"""1 + softplus(x)."""
UNIT = Map(_unit, _as_it_is)
"""x/‖x‖, row by row."""
_HALF_UNIT = Map(_half_unit, _as_it_is)

# By meaning, where the domain leaves open more than is stable.
_BY_MEANING = {
    **dict.fromkeys((BETA, SEVERAL_BETA, WINDOW_BETA, ETA, THETA, RELATIVE_STEP, ERASE, WRITE, MIXTURE), STEP),
    **dict.fromkeys((OPTIONAL_BETA, OPTIONAL_WEIGHTS), STEP),
    **dict.fromkeys((FEEDBACK, READ, PROBE), UNIT),
    FED: _HALF_UNIT,
}
_BY_DOMAIN = {
    Domain.REAL: IDENTITY,
    Domain.LOG_WEIGHT: IDENTITY,
    Domain.LOG_GATE: GATE,
    Domain.NON_NEGATIVE: POSITIVE,
    Domain.POSITIVE: POSITIVE,
    Domain.AT_LEAST_ONE: AT_LEAST_ONE,
}


def map_into(x: Argument) -> Map:
    """The map for the named array: by its meaning, else by its domain. Raises ValueError for a count."""
    if x in _BY_MEANING:
        return _BY_MEANING[x]
    if x.domain not in _BY_DOMAIN:
        raise ValueError(f"{x.name}: expected an array that can be learned, got {x.domain.value}")
    return _BY_DOMAIN[x.domain]
