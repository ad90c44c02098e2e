"""Rotary embedding: what it does to the second moment of the keys, and to recall at a query some tokens off."""

from typing import Any

import numpy as np

from analysis.directed import directed
from analysis.key_covariance.memories import BEST, LEAST, LINEAR, STEPS, Reading, ends, interval_row, nearest, scale_for
from analysis.key_covariance.recall import DESCRIPTION
from ttr_numerics import exact, tasks
from ttr_numerics.border import rotary
from ttr_numerics.layers import chunked
from ttr_numerics.measure import bounds, relative_squared_error, unit_rows

__all__ = ["AS_THEY_ARE", "BASE", "ROTATED", "SHIFTS", "rotated"]

Row = dict[str, Any]
TRIALS = 40
BASE = 10000.0
SHIFTS = (0, 1, 2, 4, 8, 16, 64)
AS_THEY_ARE, ROTATED = "as they are", "rotated"


def rotated(cell: Row, rng: np.random.Generator) -> list[Row]:
    """Keys turned by their places 0..n-1 are written; the queries are the same keys turned by s places more.

    Nothing where the channels cannot be paired.
    """
    about, K, V = _source(cell, rng)
    if K.shape[-1] % 2:
        return []
    X = _turned(K, 0)
    rows = []
    for name, Y in ((AS_THEY_ARE, K), (ROTATED, X)):
        line = about | {"d": K.shape[-1], "keys_are": name}
        rows += [line | {"metric": metric} | interval_row(f(Y)) for metric, f in DESCRIPTION.items()]
    for memory, (Y, turn) in {ROTATED: (X, True), AS_THEY_ARE: (K, False)}.items():
        states = _states(Y, V)
        for shift in SHIFTS if turn else SHIFTS[:1]:
            q = _turned(K, shift) if turn else K
            for layer, (S, ends_of_list) in states.items():
                line = about | {"d": K.shape[-1], "keys_are": memory, "shift": shift, "layer": layer}
                rows.append(line | interval_row(relative_squared_error(q @ S, V)) | ends_of_list)
    return rows + (_gaps(about, K, X, V) if cell.get("share") == 0.0 else [])


def _gaps(about: Row, K: np.ndarray, X: np.ndarray, V: np.ndarray) -> list[Row]:
    """Isotropic keys: linear attention's error at the scale of the formula, less the formula."""
    n, d = K.shape[-2:]
    scale, rows = d / (n - 1 + d), []
    S = scale * chunked.linear_attention(X, X, V).state
    for shift in SHIFTS:
        error = relative_squared_error(_turned(K, shift) @ S, V) - bounds.rotary_recall_error(n, d, shift, scale, BASE)
        rows.append(about | {"d": d, "shift": shift, "metric": "gap"} | interval_row(error))
    return rows


def _states(K: np.ndarray, V: np.ndarray) -> dict[str, Reading]:
    """Every memory's state; its free number is the best for the stored pairs."""
    additive = chunked.linear_attention(K, K, V).state
    steps = [chunked.delta_rule(K, K, V, beta=np.full(K.shape[:-1], step)).state for step in STEPS]
    best = nearest([K @ S for S in steps], V)
    return {
        LINEAR: Reading(scale_for(K @ additive, V) * additive, {}),
        BEST: Reading(np.stack(steps)[best, np.arange(len(K))], ends(best, len(steps))),
        LEAST: Reading(exact.least_norm(K, V).S, {}),
    }


def _turned(K: np.ndarray, shift: int) -> np.ndarray:
    return np.asarray(rotary(K, np.arange(K.shape[-2]) + shift, base=BASE))


def _source(cell: Row, rng: np.random.Generator) -> tuple[Row, np.ndarray, np.ndarray]:
    if "keys" in cell:
        (found, left_out), n = directed(cell["keys"]), cell["n"]
        about = {"source": found.name, **left_out}
        return about, unit_rows(found.k[:, :n]), found.v[:, :n].astype(float)
    shape = (TRIALS, cell["n"], cell["d"])
    about = {"source": f"random, mean key {cell['share']:.0%}"}
    return about, tasks.unit_keys_with_mean(rng, shape, cell["share"]), tasks.isotropic_unit_keys(rng, shape)
