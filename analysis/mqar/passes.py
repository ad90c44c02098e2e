"""Measured on lists that are shown again and again: what is left of the error after every pass."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from analysis.mqar.memories import DELTA, GATED, GATED_DELTA, LEAST, LINEAR, RIDGE, RIDGE_SIZE, gates, ones
from ttr_numerics import exact, tasks
from ttr_numerics.layers import chunked
from ttr_numerics.measure import best_scale, bounds, mean_interval, relative_squared_error

__all__ = ["HALF_STEP", "INSTANCES", "LISTS", "PASSES", "RUNS", "by_passes", "kaczmarz"]

PASSES = 8
LISTS = 200
INSTANCES, RUNS = 12, 64  # lists of pairs, and orders drawn for each
HALF_STEP = "delta rule, β = 1/2"

Row = dict[str, Any]


# The state of a layer after k, v, from the state S before.
WRITTEN: dict[str, Callable[..., Any]] = {
    LINEAR: lambda k, v, S: chunked.linear_attention(k, k, v, initial_state=S).state,
    GATED: lambda k, v, S: chunked.gated_linear_attention(k, k, v, log_decay=gates(k), initial_state=S).state,
    DELTA: lambda k, v, S: chunked.delta_rule(k, k, v, beta=ones(k), initial_state=S).state,
    HALF_STEP: lambda k, v, S: chunked.delta_rule(k, k, v, beta=ones(k) / 2, initial_state=S).state,
    GATED_DELTA: lambda k, v, S: (
        chunked.gated_delta_rule(k, k, v, beta=ones(k), log_decay=gates(k), initial_state=S).state
    ),
}


def by_passes(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """Mean recall error after each pass, the order drawn anew for each; linear attention at its best scale."""
    K, V = (tasks.isotropic_unit_keys(rng, (LISTS, cell["pairs"], cell["d"])) for _ in range(2))
    state: dict[str, Any] = dict.fromkeys(WRITTEN)
    rows = []
    for done in range(1, PASSES + 1):
        order = rng.permuted(np.broadcast_to(np.arange(cell["pairs"]), K.shape[:-1]), axis=-1)[..., None]
        k, v = (np.take_along_axis(x, order, axis=-2) for x in (K, V))
        state = {layer: WRITTEN[layer](k, v, S) for layer, S in state.items()}
        outputs = {layer: K @ S for layer, S in state.items()}
        for layer in (LINEAR, GATED):
            outputs[layer] = best_scale(outputs[layer], V)[:, None, None] * outputs[layer]
        outputs[RIDGE] = K @ exact.ridge(K, V, RIDGE_SIZE, done * ones(K)).S
        for layer, o in outputs.items():
            mean = mean_interval(relative_squared_error(o, V))
            rows.append({"layer": layer, "passed": done} | mean._asdict())
    floor = mean_interval(relative_squared_error(K @ exact.least_norm(K, V).S, V))
    return [*rows, {"layer": LEAST, "passed": PASSES} | floor._asdict()]


def kaczmarz(cell: Mapping[str, Any], rng: np.random.Generator) -> list[Row]:
    """‖S - S*‖²/‖S*‖² of the delta rule with step 1 after each pass's worth of steps, over its proved bound.

    Per list the mean over orders stands against the bound of that list: `violations` counts lists whose mean is more
    than three standard errors above. "drawn": every key drawn independently; "shuffled": each once a pass.
    """
    n, d = cell["pairs"], cell["d"]
    K, V = (tasks.isotropic_unit_keys(rng, (INSTANCES, 1, n, d)) for _ in range(2))
    solved = exact.least_norm(K[:, 0], V[:, 0])
    target, S, rows = solved.S[:, None], None, []
    for done in range(1, PASSES + 1):
        order = ORDERS[cell["order"]](rng, n)[..., None]
        k, v = (np.take_along_axis(np.broadcast_to(x, (INSTANCES, RUNS, n, d)), order, axis=-2) for x in (K, V))
        S = chunked.delta_rule(k, k, v, beta=ones(k), initial_state=S).state
        left = np.sum((S - target) ** 2, axis=(-2, -1)) / np.sum(target**2, axis=(-2, -1))
        error = np.std(left, axis=-1, ddof=1) / RUNS**0.5
        bound = bounds.kaczmarz_bound(done * n, solved.singular_values)
        above = int(np.count_nonzero(np.mean(left, axis=-1) > bound + 3 * error))
        shares = {"bound": float(np.mean(bound)), "violations": above, "lists": INSTANCES}
        rows.append({"layer": DELTA, "passed": done} | mean_interval(np.mean(left, axis=-1))._asdict() | shares)
    return rows


def _drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(n, size=(INSTANCES, RUNS, n))


def _shuffled(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.permuted(np.broadcast_to(np.arange(n), (INSTANCES, RUNS, n)), axis=-1)


ORDERS = {"drawn": _drawn, "shuffled": _shuffled}
