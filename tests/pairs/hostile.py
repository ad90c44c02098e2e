"""Hostile inputs for any row of the catalogue: each case makes them from the row's own example."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.pairs import Pairing

__all__ = ["HOSTILE", "hostile", "with_gates"]

Arrays = dict[str, Any]


def hostile(row: Pairing, case: str, seed: int = 0, **axes: int) -> Arrays:
    """The example of `row`, made hostile as `case` says; batch (2,), time on axis 1."""
    rng = np.random.default_rng(seed)
    example = row.example(rng, channels=case == "channel gates", **axes)
    return HOSTILE[case](row, example)


def with_gates(row: Pairing, arrays: Arrays, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    """Every logarithm of a gate changed."""
    gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE}
    return {n: change(x) if n in gates else x for n, x in arrays.items()}


def _keys(row: Pairing, arrays: Arrays, change: Callable[[np.ndarray], np.ndarray]) -> Arrays:
    return {**arrays, "k": change(arrays["k"])}


def _masked(x: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return x * keep.reshape(-1, *(1,) * (x.ndim - 2))


def _resets(g: np.ndarray) -> np.ndarray:
    at = np.arange(g.shape[1]) % 7 == 5
    return np.where(at.reshape(-1, *(1,) * (g.ndim - 2)), -np.inf, 0.0) + 0 * g


def _first_tokens(row: Pairing, arrays: Arrays, n: int) -> Arrays:
    timed = {"q"} | {x.name for x in row.arguments if "T" in x.shapes[0]}
    return {name: x[:, :n] if name in timed else x for name, x in arrays.items()}


HOSTILE: dict[str, Callable[[Pairing, Arrays], Arrays]] = {
    "unit keys": lambda row, a: a,
    "repeated keys": lambda row, a: _keys(row, a, lambda k: np.repeat(k[:, :1], k.shape[1], axis=1)),
    "zero keys": lambda row, a: _keys(row, a, lambda k: _masked(k, np.arange(k.shape[1]) % 3 > 0)),
    "decay of 50 nats": lambda row, a: with_gates(row, a, lambda g: np.full_like(g, -50.0)),
    "resets": lambda row, a: with_gates(row, a, _resets),
    "one token": lambda row, a: _first_tokens(row, a, 1),
    "channel gates": lambda row, a: a,
}
