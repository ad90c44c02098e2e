"""Memories that solve, and memories that average: ridge regression with forgetting, softmax with windows and gates."""

from functools import partial
from typing import Any

import numpy as np

from analysis.age.subject import DECAY, EXACT, LIMIT, Subject, by_last_query, by_solution, log_gates
from ttr_numerics import exact
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


def _solve(K: np.ndarray, V: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Ridge regression with sample weights DECAY^age at every key, ridges (m,)."""
    n, d = K.shape[1:]
    ages = np.broadcast_to(_kept(n)[::-1], K.shape[:2])
    return np.asarray(K @ exact.ridge(K, V, ridge[:, None] * np.ones(d), ages).S)


def _solved(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return _solve(K, V, np.full(len(K), arguments["ridge"]))


def _solved_fading(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    return _solve(K, V, np.full(len(K), arguments["ridge"] * DECAY ** K.shape[1]))


def _solved_following(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    H = K.mT @ (_kept(K.shape[1])[::-1, None] * K)
    ridge = arguments["ridge_ratio"] * np.linalg.norm(H, axis=(-2, -1))
    return _solve(K, V, np.where(ridge > 0, ridge, 1.0))  # no key at all: S = 0 with any ridge


def _smoothed(layer: str, arguments: dict[str, Any], K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Nadaraya-Watson at every key, by the catalogue's identity; a sink is a pair of zeros with its log weight."""
    age = np.arange(K.shape[1])[::-1]
    logs = bounds.norm_log_weights(K, GAIN) + age * (np.log(DECAY) if "log_decay" in arguments else 0.0)
    logs = np.where(age < arguments.get("window", np.inf), logs, -np.inf)
    zero, sink = np.zeros_like(K[:, :1]), np.full((len(K), 1), arguments.get("sink", -np.inf))
    pairs = np.concatenate([K, zero], 1), np.concatenate([V, np.zeros_like(V[:, :1])], 1)
    weights = np.concatenate([logs, sink], 1)
    return np.asarray(exact.kernel_smoother(K, *pairs, kernel=exact.kernels.Gaussian(GAIN**-0.5), log_weights=weights))


_AT_GAIN = partial(by_last_query, gain=GAIN)

SUBJECTS = (
    Subject(
        "Mesa",
        "mesa",
        "α = 0.95, ridge 1/4",
        LIMIT,
        partial(_forgetting, ridge=RIDGE),
        _ridge,
        by_last_query,
        solver=_solved,
    ),
    Subject(
        "MesaNet, 30 CG steps",
        "mesa_cg",
        "α = 0.95, ridge 1/4",
        LIMIT,
        partial(_forgetting, ridge=RIDGE),
        _ridge,
        by_last_query,
        solver=_solved,
    ),
    Subject(
        "Mesa, decaying ridge",
        "original_mesa",
        "α = 0.95, ridge 1/4 at the start",
        LIMIT,
        partial(_forgetting, ridge=RIDGE),
        _fading_ridge,
        by_solution,
        solver=_solved_fading,
    ),
    Subject(
        "Gated KalmaNet",
        "gated_kalmanet",
        "α = 0.95, ridge 0.02 ‖H‖",
        LIMIT,
        partial(_forgetting, ridge_ratio=RATIO),
        _following_ridge,
        by_last_query,
        solver=_solved_following,
    ),
    Subject(
        "softmax attention",
        "softmax_attention",
        "β = 4, no gate",
        EXACT,
        lambda K, V: {},
        _softmax,
        _AT_GAIN,
        solver=_smoothed,
    ),
    Subject(
        "sliding window",
        "sliding_window_attention",
        "β = 4, 16 tokens",
        EXACT,
        lambda K, V: {"window": WINDOW},
        partial(_softmax, window=WINDOW),
        _AT_GAIN,
        solver=_smoothed,
    ),
    Subject(
        "forgetting attention",
        "forgetting_attention",
        "β = 4, α = 0.95",
        EXACT,
        _forgetting,
        partial(_softmax, decay=DECAY),
        _AT_GAIN,
        solver=_smoothed,
    ),
    Subject(
        "softmax with a sink",
        "sink_attention",
        "β = 4, sink 4",
        EXACT,
        lambda K, V: {"sink": 4.0},
        partial(_softmax, sink=4.0),
        _AT_GAIN,
        solver=_smoothed,
    ),
)
