"""The measurement, as a study: the closed form, the filter over dimension, coloured keys, other layers, stored keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.drift import excess
from ttr_numerics import exact, tasks
from ttr_numerics.measure import bounds, geometric_interval
from ttr_numerics.study import Grid, Study

__all__ = ["COLOURED", "FILTER", "SIZE", "SLOW", "STUDY", "measure_cell"]

SEED = 20278
DRIFTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
NOISES = (0.0, 0.1, 1.0)
DIMENSIONS = (16, 32, 64, 128)
RULES = ("best gate and step", "full step, best gate", "half step, gate 1")
SLOW = 0.01  # qd of the coloured keys, and of the largest dimensions
COLOURED = 64
SIZE, TOKENS = 16, 2048  # of the other layers
FILTER = "Kalman filter"

Row = dict[str, Any]
Cell = dict[str, Any]
Asked = tuple[str, np.ndarray]  # parameters in words, excess (m,)


def closed_form(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """One setting of the gated delta rule, from its second hundred of memory lengths on."""
    d, q, noise = cell["d"], cell["q"], cell["noise"]
    decay, beta = _rule(cell["rule"], d, q, noise)
    memory = d / (2 * beta - beta**2)
    burn, T = int(12 * memory), int(12 * memory) + 2000
    task = tasks.drifting_regression(rng, rng.standard_normal((32, T, d)), q, noise, 3)
    samples = excess.mean_squares(excess.gated_delta(task, beta, decay), task, burn, decay)
    return [{"gate": decay, "beta": beta, "tokens": T - burn} | excess.interval_row(samples)]


def _rule(name: str, d: int, q: float, noise: float) -> tuple[float, float]:
    if name == RULES[0]:
        best = bounds.best_gated_delta_rule(d, q, noise)
        return best.decay, best.beta
    return (bounds.best_gate(d, q, 1.0, noise), 1.0) if name == RULES[1] else (1.0, 0.5)


def filtered(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """The filter's own variance, the mean of which over regressors is its excess, on isotropic keys."""
    d, qd, noise = cell["d"], cell["qd"], cell["noise"]
    burn = int(2 * d * (1 + (noise / qd) ** 0.5))
    start = np.full(d, bounds.kalman_drift_limit(qd, noise) / d)
    variances = _variances(rng, max(4, 512 // d), burn, np.ones(d), qd / d, noise, start)
    return [excess.interval_row(variances)]


def _variances(
    rng: np.random.Generator, m: int, burn: int, spectrum: np.ndarray, q: float, noise: float, start: np.ndarray
) -> np.ndarray:
    """Mean of tr ΣP̄ (m,) over as many tokens after `burn`, P̄ the variance before a token; Σ = diag(spectrum)."""
    d, found = len(spectrum), []
    piece = max(4, d // 4)
    gate, values = np.full((m, piece), 0.5 * np.log1p(-q)), np.zeros((m, piece, 1))
    state = exact.Recursion(np.zeros((m, d, 1)), np.broadcast_to(np.diag(start), (m, d, d)))
    for first in range(0, 2 * burn, piece):
        k = rng.standard_normal((m, piece, d)) * spectrum**0.5
        known: dict[str, Any] = {"drift": q / d, "noise": noise, "log_decay": gate, "initial_state": state}
        state = exact.random_walk_kalman(k, k, values, **known).state
        if first >= burn:
            kept = np.einsum("...ii,i->...", state.P, spectrum)
            found.append((1 - q) * kept + q * np.mean(spectrum))
    return np.mean(found, axis=0)


def coloured(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """Keys N(0, Σ), tr Σ = d, without noise: the gated delta rule in a metric Σ^-s, its step tuned; or the filter."""
    d, q = COLOURED, SLOW / COLOURED
    spectrum = np.geomspace(1.0, 1 / cell["cond"], d)
    spectrum *= d / np.sum(spectrum)
    if cell["power"] is None:
        start = _mode_variances(spectrum, q, 0.5) / bounds.noiseless_drift_constant()
        return [excess.interval_row(_variances(rng, 8, 24 * d, spectrum, q, 0.0, start))]
    decay, burn, steps = (1 - q) ** 0.5, 4000, (0.9, 1.0)
    tuning = [_in_metric(rng, spectrum, q, cell["power"], step, 2, 8000, burn) for step in steps]
    step = steps[int(np.argmin([np.mean(samples) for samples in tuning]))]
    samples = _in_metric(rng, spectrum, q, cell["power"], step, 6, 12000, burn)
    return [{"gate": decay, "beta": step} | excess.interval_row(samples)]


def _in_metric(
    rng: np.random.Generator, spectrum: np.ndarray, q: float, power: float, beta: float, m: int, T: int, burn: int
) -> np.ndarray:
    """Excess (m,) of the gated delta rule on keys Σ^(-s/2)x, for which its maps are Σ^(s/2)w.

    The first state errs by the stationary variances of theory: weak channels take thousands of tokens to reach them.
    """
    metric, decay = spectrum ** (power / 2), (1 - q) ** 0.5
    task = tasks.drifting_regression(rng, rng.standard_normal((m, T, len(spectrum))) * spectrum**0.5, q, 0.0, 4)
    error = rng.standard_normal(task.w.shape) * _mode_variances(spectrum, q, power)[:, None] ** 0.5
    start = (task.w + error) * metric[:, None]
    o = excess.gated_delta(task._replace(k=task.k / metric), beta, decay, start)
    return excess.mean_squares(o, task, burn, decay)


def _mode_variances(spectrum: np.ndarray, q: float, power: float) -> np.ndarray:
    """v_i of `bounds.coloured_gated_delta_rule_error` at full steps."""
    D = np.sum(spectrum ** (1 - power))
    m = bounds.coloured_gated_delta_rule_error(spectrum.tolist(), q, 1.0, power)
    grown = q / len(spectrum) + (1 - q) * spectrum ** (1 - 2 * power) * m / D**2
    return grown / (1 - (1 - q) * (1 - 2 * spectrum ** (1 - power) / D))


def other_layers(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """Every layer at its best, tuned on draws of its own, beside the filter; isotropic keys."""
    noise, q, burn = cell["noise"], cell["qd"] / SIZE, TOKENS // 2
    tuning, task = (tasks.drifting_regression(rng, rng.standard_normal((m, TOKENS, SIZE)), q, noise, 8) for m in (2, 8))
    best = bounds.best_gated_delta_rule(SIZE, q, noise)
    samples = excess.mean_squares(excess.gated_delta(task, best.beta, best.decay), task, burn, best.decay)
    found = {"gated delta rule": (f"β {best.beta:.3g}", samples)}
    return _over_the_filter(found | _tuned_methods(tuning, task, burn), task, q, noise, burn)


def stored_keys(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """The regressors are stored keys, scaled as a whole to a mean square of d; maps drift anew in every draw."""
    source = tasks.stored(str(cell["keys"]))
    T, d = source.k.shape[-2:]
    k = np.asarray(source.k, dtype=np.float64)
    size = np.mean(np.sum(k**2, axis=-1))
    k = k * (d / size) ** 0.5 if size > 0 else k
    q, noise = cell["qd"] / d, cell["noise"]
    draws = [np.broadcast_to(k, (m, *k.shape)) for m in (2, 6)]
    tuning, task = (tasks.drifting_regression(rng, x, q, noise, 2) for x in draws)
    decay, burn, found = (1 - q) ** 0.5, min(T // 2, T - 2), {}
    for name, metric in (("gated delta rule", np.eye(d)), ("gated delta rule, metric Σ^-1/2", _quarter_power(k))):
        fit, measured = (x._replace(k=x.k @ metric) for x in (tuning, task))

        def run(task: tasks.Drifting, beta: float) -> np.ndarray:
            return excess.gated_delta(task, beta, decay)

        found[name] = _at_its_best(run, {"beta": excess.BETAS}, fit, measured, burn)
    found |= _tuned_methods(tuning, task, burn)
    return [{"source": source.name} | row for row in _over_the_filter(found, task, q, noise, burn)]


def _quarter_power(k: np.ndarray) -> np.ndarray:
    """Σ^-1/4 (H, d, d) of every head's second moments, directions of less than 1e-3 of the largest held there."""
    values, axes = np.linalg.eigh(np.swapaxes(k, -1, -2) @ k / k.shape[-2])
    largest = values[..., -1:]
    held = np.where(largest > 0, np.maximum(values, 1e-3 * largest), 1.0)
    return (axes * held[..., None, :] ** -0.25) @ np.swapaxes(axes, -1, -2)


def _tuned_methods(tuning: tasks.Drifting, task: tasks.Drifting, burn: int) -> dict[str, Asked]:
    return {name: _at_its_best(*method, tuning, task, burn) for name, method in excess.METHODS.items()}


def _at_its_best(
    method: excess.Method, grid: Mapping[str, Sequence[float]], tuning: tasks.Drifting, task: tasks.Drifting, burn: int
) -> Asked:
    """Parameters of least excess on `tuning`, in words, and the excess (m,) with them on `task`."""
    parameters, scale = excess.tuned(method, grid, tuning, burn)
    return excess.words(parameters), excess.mean_squares(method(task, **parameters), task, burn, scale)


def _over_the_filter(found: dict[str, Asked], task: tasks.Drifting, q: float, noise: float, burn: int) -> list[Row]:
    """The filter's row and one a method, each with its excess over the filter's on the same draws."""
    below = excess.mean_squares(excess.kalman(task, q, noise), task, burn, (1 - q) ** 0.5)
    rows = []
    for name, (parameters, samples) in ({FILTER: ("known", below)} | found).items():
        over: Row = dict.fromkeys(("over", "over_low", "over_high"))
        if np.all(below > 0) and np.all(samples > 0):
            over = dict(zip(over, geometric_interval(samples / below)[:3], strict=True))
        rows.append({"method": name, "parameters": parameters} | excess.interval_row(samples) | over)
    return rows


PARTS: dict[str, Callable[[Cell, np.random.Generator], list[Row]]] = {
    "closed form": closed_form,
    "filter": filtered,
    "coloured keys": coloured,
    "other layers": other_layers,
    "stored keys": stored_keys,
}


def measure_cell(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """The rows of one cell of one part."""
    return PARTS[str(cell["part"])](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """A slow and a fast drift, with little noise, of half a map a token at most; one token has no next to guess."""
    if T < 2:
        return ()
    return (Grid({"part": ("stored keys",), "qd": (0.1, min(1.0, d / 2)), "noise": (0.1,)}),)


STUDY = Study(
    "drift",
    "How much does a memory lose that follows a drifting map by the gated delta rule, and not by the Kalman filter?",
    measure_cell,
    (
        Grid({"part": ("closed form",), "d": (8, 32), "q": (0.002, 0.02, 0.2), "noise": NOISES, "rule": RULES}),
        Grid({"part": ("filter",), "d": DIMENSIONS, "qd": DRIFTS, "noise": NOISES}),
        Grid({"part": ("filter",), "d": (256, 512), "qd": (SLOW,), "noise": (0.0,)}),
        Grid({"part": ("coloured keys",), "cond": (1.0, 10.0, 100.0, 1000.0), "power": (None, 0.0, 0.5, 1.0)}),
        Grid({"part": ("other layers",), "qd": (0.01, 0.1, 1.0), "noise": NOISES}),
    ),
    SEED,
    on_keys,
    tasks.SHIPPED,
)
