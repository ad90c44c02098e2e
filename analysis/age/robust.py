"""Robust delta rules: the error is clipped, or raised to a power, before it is written."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age.subject import DECAY, LIMIT, Subject, every_token, log_gates
from ttr_numerics.measure import bounds

__all__ = ["SUBJECTS"]

BETA, DELTA, ENTRY, POWER, POWER_STEP = 0.5, 0.8, 0.15, 1.5, 0.2


def _huber(K: np.ndarray, V: np.ndarray, delta: float) -> dict[str, Any]:
    return {"beta": every_token(K, BETA), "delta": every_token(K, delta), "log_decay": log_gates(K, DECAY)}


def _power(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"beta": every_token(K, POWER_STEP), "p": POWER, "log_decay": log_gates(K, DECAY)}


def _shortened(n: int, d: int) -> np.ndarray:
    return bounds.robust_age_errors(n, d, bounds.shortening_influence(DELTA), BETA, DECAY)


def _clipped(n: int, d: int) -> np.ndarray:
    influence = bounds.entrywise_influence(lambda x: np.clip(x, -ENTRY, ENTRY), d)
    return bounds.robust_age_errors(n, d, influence, BETA, DECAY)


def _raised(n: int, d: int) -> np.ndarray:
    influence = bounds.entrywise_influence(lambda x: np.sign(x) * np.abs(x) ** (POWER - 1), d)
    return bounds.robust_age_errors(n, d, influence, POWER_STEP, DECAY)


SUBJECTS = (
    Subject(
        "Huber delta rule",
        "huber_delta_rule",
        "α = 0.95, β = 1/2, errors shortened to 0.8",
        LIMIT,
        partial(_huber, delta=DELTA),
        _shortened,
        solver=None,
        square=True,
    ),
    Subject(
        "entrywise Huber delta rule",
        "entrywise_huber_delta_rule",
        "α = 0.95, β = 1/2, entries clipped at 0.15",
        LIMIT,
        partial(_huber, delta=ENTRY),
        _clipped,
        solver=None,
        square=True,
    ),
    Subject(
        "lp delta rule",
        "lp_delta_rule",
        "α = 0.95, β = 0.2, p = 3/2",
        LIMIT,
        _power,
        _raised,
        solver=None,
        square=True,
    ),
)
