"""The excess of a layer or a solver on maps that change: how far its guess is from the clean value of the next token.

Row t is asked with the regressor of token t + 1, before its value is seen.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.measure.fits import constant

__all__ = [
    "BETAS",
    "FOREVER",
    "METHODS",
    "NATURAL_ENDS",
    "Method",
    "Task",
    "ahead",
    "gated_delta",
    "interval_row",
    "kalman",
    "mean_squares",
    "squares",
    "tuned",
    "words",
]

Task = tasks.Drifting | tasks.Piecewise
Method = Callable[..., np.ndarray]

BETAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
FOREVER = float("inf")
MEMORIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, FOREVER)  # tokens over d
SHORT = (0.03125, 0.0625, 0.125)  # for memories that need not span d directions
RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)


def ahead(k: np.ndarray) -> np.ndarray:
    """q_t = k_{t+1}; the last asks with the first key, and is not scored."""
    return np.roll(k, -1, axis=-2)


def gated_delta(task: Task, beta: float, decay: float, start: np.ndarray | None = None) -> np.ndarray:
    """The gated delta rule with the relative step β/‖k_t‖²."""
    square = np.sum(task.k**2, axis=-1)
    step = beta / np.where(square > 0, square, 1.0)
    gate = np.full(square.shape, np.log(decay))
    queries = ahead(task.k)
    return layers.chunked.gated_delta_rule(queries, task.k, task.v, log_decay=gate, beta=step, initial_state=start).o


def kalman(task: Task, q: float, noise: float) -> np.ndarray:
    """The Kalman filter that knows the drift, the noise and the law N(0, I/d) of the first map."""
    d, gate = task.k.shape[-1], np.full(task.k.shape[:-1], 0.5 * np.log1p(-q))
    known: dict[str, Any] = {"drift": q / d, "noise": noise, "ridge": float(d), "log_decay": gate}
    return exact.random_walk_kalman(ahead(task.k), task.k, task.v, **known).o


def _gate(task: Task, memory: float) -> np.ndarray:
    return np.full(task.k.shape[:-1], -1 / (memory * task.k.shape[-1]))


def _recursive(task: Task, memory: float) -> np.ndarray:
    given: dict[str, Any] = {"ridge": 1.0, "log_decay": _gate(task, memory)}
    return exact.recursive_least_squares(ahead(task.k), task.k, task.v, **given).o


def _mesa(task: Task, memory: float, ridge: float) -> np.ndarray:
    # What `layers.mesa` computes token by token, without its time loop.
    return exact.ridge_prefixes(ahead(task.k), task.k, task.v, ridge=ridge, log_decay=_gate(task, memory)).o


def _linear(task: Task, memory: float) -> np.ndarray:
    return layers.chunked.gated_linear_attention(ahead(task.k), task.k, task.v, log_decay=_gate(task, memory)).o


METHODS: Mapping[str, tuple[Method, Mapping[str, Sequence[float]]]] = {
    "recursive least squares, forgetting": (_recursive, {"memory": MEMORIES}),
    "Mesa, forgetting": (_mesa, {"memory": MEMORIES, "ridge": RIDGES}),
    "delta rule": (lambda task, beta: gated_delta(task, beta, 1.0), {"beta": BETAS}),
    "linear attention, decaying": (_linear, {"memory": SHORT + MEMORIES}),
}
NATURAL_ENDS = {"memory ∞": "no forgetting"}  # beyond which there is nothing to try


def words(parameters: Mapping[str, float]) -> str:
    """ "name value, ...", as rows carry what was chosen."""
    return ", ".join(f"{name} {value:g}".replace("inf", "∞") for name, value in parameters.items())


def tuned(method: Method, grid: Mapping[str, Sequence[float]], task: Task, burn: int) -> tuple[dict[str, float], float]:
    """The parameters of least excess on `task` over the grid, and the output scale that is best with them."""
    best, least, factor = {}, np.inf, 1.0
    for values in product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        o, target = _scored(method(task, **parameters), task, burn)
        power = float(np.sum(o * o))
        scale = float(np.sum(o * target)) / power if power > 0 else 0.0
        error = float(np.mean((scale * o - target) ** 2))
        if error < least:
            best, least, factor = parameters, error, scale
    return best, factor


def mean_squares(o: np.ndarray, task: Task, burn: int, scale: float) -> np.ndarray:
    """The mean of (scale · o_t - target_{t+1})² over all tokens after `burn`, one for every first batch entry."""
    errors = squares(o, task, burn, scale)
    return np.mean(errors, axis=tuple(range(1, errors.ndim)))


def squares(o: np.ndarray, task: Task, burn: int, scale: float) -> np.ndarray:
    """(scale · o_t - target_{t+1})² (..., T - 1 - burn), the mean over value channels."""
    o, target = _scored(o, task, burn)
    return np.mean((scale * o - target) ** 2, axis=-1)


def interval_row(samples: np.ndarray) -> dict[str, Any]:
    """A row's value with its 95 % interval, and the standard error."""
    return constant(samples)._asdict() | {"error": float(np.std(samples, ddof=1)) / len(samples) ** 0.5}


def _scored(o: np.ndarray, task: Task, burn: int) -> tuple[np.ndarray, np.ndarray]:
    return o[..., burn:-1, :], task.target[..., burn + 1 :, :]
