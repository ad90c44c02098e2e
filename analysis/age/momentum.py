"""Memories that correct with momentum: a heavy ball, and Titans' linear memory."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age.subject import DECAY, EXACT, Subject, every_token, log_gates
from ttr_numerics.measure import bounds

__all__ = ["SUBJECTS"]

MOMENTUM, THETA = 0.6, 0.1


def _accelerated(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {"beta": every_token(K, 2 * THETA), "log_momentum": log_gates(K, MOMENTUM)}


def _titans(K: np.ndarray, V: np.ndarray) -> dict[str, Any]:
    return {
        "theta": every_token(K, THETA),
        "log_momentum": log_gates(K, MOMENTUM),
        "log_decay": log_gates(K, DECAY),
    }


def _momentum(n: int, d: int, decay: float) -> np.ndarray:
    return bounds.coupled_age_errors(n, d, [bounds.momentum_write(2 * THETA, MOMENTUM, decay)])[:, 0]


SUBJECTS = (
    Subject(
        "delta rule with momentum",
        "momentum_delta_rule",
        "β = 0.2, momentum 0.6",
        EXACT,
        _accelerated,
        partial(_momentum, decay=1.0),
    ),
    Subject(
        "Titans, linear", "titans", "θ = 0.1, momentum 0.6, leak 0.95", EXACT, _titans, partial(_momentum, decay=DECAY)
    ),
)
