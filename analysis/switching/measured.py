"""The measurement, as a study: switching in time, by region and by both; stored keys; rates of local fits."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.drift import excess
from analysis.switching import methods
from analysis.switching.rates import rate_rows
from ttr_numerics import tasks
from ttr_numerics.measure import geometric_interval
from ttr_numerics.study import Grid, Study

__all__ = ["CHANNELS", "NOISE", "READINGS", "STUDY", "measure_cell"]

SEED = 20279
NOISE = 0.01
SPREAD = 0.7
CHANNELS = 8  # maps at once on the same keys
TUNING, TRIALS = 1, 6
READINGS = ("time", "time and region", "region")
DETAILED = 8  # d at which errors are kept by position

Row = dict[str, Any]
Cell = dict[str, Any]


def switching(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """Errors of every layer, its parameters tuned on a sequence of its own."""
    d, segment = int(cell["d"]), int(cell["segment"])
    tuning, task = (_drawn(rng, m, d, segment, str(cell["reading"])) for m in (TUNING, TRIALS))
    errors, chosen = {}, {}
    for name, (method, grid) in methods.of_dimension(d).items():
        chosen[name], scale = excess.tuned(method, grid, tuning, 0)
        errors[name] = excess.squares(method(task, **chosen[name]), task, 0, scale)
    position = np.arange(1, methods.LENGTH) % segment  # of the token that is asked for
    rows = [_summary(name, errors, position, segment) | {"chosen": _words(chosen[name])} for name in errors]
    if d == DETAILED:
        rows += [row for name in errors for row in _by_position(name, errors[name], position, segment)]
    return rows


def _drawn(rng: np.random.Generator, m: int, d: int, segment: int, reading: str) -> tasks.Piecewise:
    """Segments in time, keys alike (time) or each about its own centre (time and region); or those keys shuffled."""
    labels = np.broadcast_to(np.arange(methods.LENGTH) // segment, (m, methods.LENGTH))
    if reading == READINGS[0]:
        k = tasks.isotropic_unit_keys(rng, (m, methods.LENGTH, d))
    else:
        if reading == READINGS[2]:
            labels = rng.permuted(labels, axis=-1)
        k = tasks.clustered_unit_keys(rng, labels, d, SPREAD)
    return tasks.piecewise_linear_regression(rng, k, labels, NOISE, CHANNELS)


def _summary(name: str, errors: dict[str, np.ndarray], position: np.ndarray, segment: int) -> Row:
    """Means over the first and over later segments, and paired ratios with their intervals.

    `improvement`: error in the last quarter of later segments over that in their second; `over_local`: over the local
    linear fit's, later segments; `over_local_first`: the same in the first.
    """
    mine, local = errors[name], errors[methods.LOCAL]
    first = np.arange(1, methods.LENGTH) < segment
    quarters = [~first & (position >= a * segment // 4) & (position < (a + 1) * segment // 4) for a in (1, 3)]
    second, last = (np.mean(mine[:, part], axis=-1) for part in quarters)
    row: Row = {"kind": "summary", "layer": name}
    for column, part in (("first", first), ("later", ~first)):
        row |= _named(column, excess.interval_row(np.mean(mine[:, part], axis=-1)))
    ratios = {
        "improvement": last / second,
        "over_local": np.mean(mine[:, ~first], axis=-1) / np.mean(local[:, ~first], axis=-1),
        "over_local_first": np.mean(mine[:, first], axis=-1) / np.mean(local[:, first], axis=-1),
    }
    for column, samples in ratios.items():
        row |= _named(column, geometric_interval(samples)._asdict())
    return row | {"trials": len(mine)}


def _named(column: str, interval: dict[str, Any]) -> Row:
    """Value and ends under names of their own."""
    return {column: interval["value"], f"{column}_low": interval["low"], f"{column}_high": interval["high"]}


def _by_position(name: str, errors: np.ndarray, position: np.ndarray, segment: int) -> list[Row]:
    """Means over positions in a segment from 2^j to 2^(j+1) - 1, of the first segment and of all later ones."""
    first, rows = np.arange(1, methods.LENGTH) < segment, []
    for start in 2 ** np.arange(int(np.log2(segment))):
        for which, part in (("first", first), ("later", ~first)):
            inside = part & (position >= start) & (position < 2 * start)
            if np.any(inside):
                found = excess.interval_row(np.mean(errors[:, inside], axis=-1))
                kept = {end: found[end] for end in ("value", "low", "high", "trials")}
                rows.append({"kind": "position", "layer": name, "which": which, "position": int(start)} | kept)
    return rows


def _words(parameters: dict[str, float]) -> str:
    return excess.words(parameters) or "scale"


def stored_keys(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """Stored keys in their order, unit norm: four segments of time, or four regions around keys of the head itself."""
    source = tasks.stored(str(cell["keys"]))
    k = np.asarray(source.k, dtype=np.float64)
    norms = np.linalg.norm(k, axis=-1, keepdims=True)
    k = k / np.where(norms > 0, norms, 1.0)
    T, d = k.shape[-2:]
    labels = np.broadcast_to(np.arange(T) * 4 // T, k.shape[:-1])
    if cell["reading"] == READINGS[2]:
        anchors = np.take(k, rng.choice(T, min(4, T), replace=False), axis=-2)
        labels = np.argmax(k @ np.swapaxes(anchors, -1, -2), axis=-1)
    # Two draws at least, or one head would have no interval.
    draws = [(np.broadcast_to(k, (m, *k.shape)), np.broadcast_to(labels, (m, *labels.shape))) for m in (TUNING, 2)]
    tuning, task = (tasks.piecewise_linear_regression(rng, *drawn, NOISE, CHANNELS // 2) for drawn in draws)
    rows = []
    for name, (method, grid) in methods.of_dimension(d).items():
        chosen, scale = excess.tuned(method, grid, tuning, T // 4)
        samples = excess.mean_squares(method(task, **chosen), task, T // 4, scale)
        rows.append({"source": source.name, "layer": name, "chosen": _words(chosen)} | excess.interval_row(samples))
    return rows


PARTS: dict[str, Callable[[Cell, np.random.Generator], list[Row]]] = {
    "switching": switching,
    "stored keys": stored_keys,
    "rates": rate_rows,
}


def measure_cell(cell: Cell, rng: np.random.Generator) -> list[Row]:
    """The rows of one cell of one part."""
    return PARTS[str(cell["part"])](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """Switching in time and by region; one token has no next to guess."""
    if T < 2:
        return ()
    return (Grid({"part": ("stored keys",), "reading": (READINGS[0], READINGS[2])}),)


STUDY = Study(
    "switching",
    "Which layers follow a map that is linear only in pieces: of time, of key space, or of both?",
    measure_cell,
    (
        Grid({"part": ("switching",), "reading": READINGS, "d": (8,), "segment": (64, 128, 256, 512)}),
        Grid({"part": ("switching",), "reading": READINGS, "d": (4, 16, 32), "segment": (256,)}),
        Grid({"part": ("rates",), "d": (1, 2, 3, 4), "n": (128, 256, 512, 1024, 2048)}),
        Grid({"part": ("rates",), "d": (1, 2), "n": (4096,)}),
    ),
    SEED,
    on_keys,
    tasks.SHIPPED,
)
