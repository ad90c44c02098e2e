"""Memories that solve, and memories that average: ridge regression with forgetting, softmax with windows and gates."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age.subject import DECAY, EXACT, LIMIT, Subject, by_last_query, by_solution, log_gates
from ttr_numerics.measure import bounds

__all__ = ["SUBJECTS"]

GAIN, WINDOW, RIDGE, RATIO = 4.0, 16, 0.25, 0.02


def _kept(n: int) -> np.ndarray:
    return np.asarray(DECAY ** np.arange(n))


def _forgetting(K: np.ndarray, V: np.ndarray, **named: Any) -> dict[str, Any]:
    return {"log_decay": log_gates(K, DECAY), **named}


def _ridge(n: int, d: int) -> np.ndarray:
    return bounds.ridge_age_errors(_kept(n), RIDGE, d)


def _fading_ridge(n: int, d: int) -> np.ndarray:
    return bounds.ridge_age_errors(_kept(n), RIDGE * DECAY**n, d)


def _following_ridge(n: int, d: int) -> np.ndarray:
    return bounds.ridge_age_errors(_kept(n), bounds.frobenius_ridge(_kept(n), RATIO, d), d)


def _softmax(n: int, d: int, decay: float = 1.0, window: int | None = None, sink: float = -np.inf) -> np.ndarray:
    age = np.arange(n)
    inside = age < (n if window is None else window)
    return bounds.softmax_age_errors(d, GAIN, np.where(inside, age * np.log(decay), -np.inf), sink)


_AT_GAIN = partial(by_last_query, gain=GAIN)

SUBJECTS = (
    Subject("Mesa", "mesa", "α = 0.95, ridge 1/4", LIMIT, partial(_forgetting, ridge=RIDGE), _ridge, by_last_query),
    Subject(
        "MesaNet, 30 CG steps",
        "mesa_cg",
        "α = 0.95, ridge 1/4",
        LIMIT,
        partial(_forgetting, ridge=RIDGE),
        _ridge,
        by_last_query,
    ),
    Subject(
        "Mesa, decaying ridge",
        "original_mesa",
        "α = 0.95, ridge 1/4 at the start",
        LIMIT,
        partial(_forgetting, ridge=RIDGE),
        _fading_ridge,
        by_solution,
    ),
    Subject(
        "Gated KalmaNet",
        "gated_kalmanet",
        "α = 0.95, ridge 0.02 ‖H‖",
        LIMIT,
        partial(_forgetting, ridge_ratio=RATIO),
        _following_ridge,
        by_last_query,
    ),
    Subject("softmax attention", "softmax_attention", "β = 4, no gate", EXACT, lambda K, V: {}, _softmax, _AT_GAIN),
    Subject(
        "sliding window",
        "sliding_window_attention",
        "β = 4, 16 tokens",
        EXACT,
        lambda K, V: {"window": WINDOW},
        partial(_softmax, window=WINDOW),
        _AT_GAIN,
    ),
    Subject(
        "forgetting attention",
        "forgetting_attention",
        "β = 4, α = 0.95",
        EXACT,
        _forgetting,
        partial(_softmax, decay=DECAY),
        _AT_GAIN,
    ),
    Subject(
        "softmax with a sink",
        "sink_attention",
        "β = 4, sink 4",
        EXACT,
        lambda K, V: {"sink": 4.0},
        partial(_softmax, sink=4.0),
        _AT_GAIN,
    ),
)
