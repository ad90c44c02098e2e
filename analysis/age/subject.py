"""One layer with an age curve: how it is run on keys and values, read at every key, and its formula."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.pairs import pairing

__all__ = [
    "APPROXIMATE", "BETA", "DECAY", "EXACT", "LIMIT", "Subject", "by_last_query", "by_map",
    "by_solution", "every_token", "log_gates", "powers", "signs", "spread_decays", "unit_keys",
]  # fmt: skip

EXACT, LIMIT, APPROXIMATE = "exact", "limit d → ∞", "approximation"
DECAY, BETA = 0.95, 0.5
CACHE = 2**18  # entries of the keys that all queries of some sequences see at once

Arguments = dict[str, Any]
Draw = Callable[[np.random.Generator, int, int, int], np.ndarray]


def unit_keys(rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Independent keys, uniform on the unit sphere (m, n, d)."""
    return tasks.isotropic_unit_keys(rng, (m, n, d))


def signs(rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Keys of ±1 (m, n, d): a unit key in each channel's own dimension."""
    return rng.choice([-1.0, 1.0], (m, n, d))


def by_map(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """What the final state holds at every key (m, N, d_v), by the catalogue's `memory`."""
    row = pairing(layer)
    state = row.layer(**{"q": K, "k": K, "v": V, **arguments}).state
    return np.asarray(row.memory(state, **_beside(arguments))(K))


def by_solution(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """k_i'S for the solution S that the final state carries."""
    return np.asarray(K @ pairing(layer).layer(K, K, V, **arguments).state.S)


def by_last_query(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """The output at the last token for `gain` times every key as its query: for layers whose state is no map."""
    (m, n, d), call = K.shape, pairing(layer).layer
    early = {name: x[:, : n - 1] if _timed(x, n) else x for name, x in arguments.items()}
    late = {name: x[:, n - 1 :] if _timed(x, n) else x for name, x in arguments.items()}
    state = call(K[:, : n - 1], K[:, : n - 1], V[:, : n - 1], **early).state
    last = {**late, "k": K[:, n - 1 :], "v": V[:, n - 1 :], "initial_state": state}
    size = max(1, CACHE // (n * n * d))
    outputs = []
    for place in (slice(i, i + size) for i in range(0, m, size)):
        given = {name: _every(x, place, n) for name, x in last.items()}
        outputs.append(np.asarray(call(gain * K[place, :, None], **given).o)[:, :, 0])
    return np.concatenate(outputs)


def _beside(arguments: Arguments) -> Arguments:
    return {name: x for name, x in arguments.items() if name not in ("q", "k", "v")}


def _timed(x: Any, n: int) -> bool:
    return isinstance(x, np.ndarray) and x.ndim > 1 and x.shape[1] == n


def _every(x: Any, place: slice, n: int) -> Any:
    """x (m, ...), or a tuple of such, as (m', n, ...) at `place`: the same for each of n queries; a number as it is."""
    if isinstance(x, tuple):
        return type(x)(*(_every(part, place, n) for part in x))
    if not isinstance(x, np.ndarray) or not x.ndim:
        return x
    return np.broadcast_to(x[place, None], (len(x[place]), n, *x.shape[1:]))


@dataclass(frozen=True)
class Subject:
    """The catalogue's row `layer` with `arguments(K, V)`; `theory(n, d)` is its error by age after n tokens.

    `writes` pairs a token; `keys` draws them. `setting` says the arguments in words, `status` what the formula is.
    """

    label: str
    layer: str
    setting: str
    status: str
    arguments: Callable[[np.ndarray, np.ndarray], Arguments]
    theory: Callable[[int, int], np.ndarray]
    read: Callable[[str, Arguments, np.ndarray, np.ndarray], np.ndarray] = by_map
    writes: int = 1
    keys: Draw = unit_keys


def spread_decays(d: int) -> np.ndarray:
    """Per-channel gates 1 - 2^-x (d,), x from 1 to 7 in equal steps: half-lives from one token to about ninety."""
    return np.asarray(1 - 2.0 ** -np.linspace(1.0, 7.0, d))


def log_gates(K: np.ndarray, decay: float | np.ndarray) -> np.ndarray:
    """ln decay at every token of K (m, n, d): (m, n), or (m, n, d) per channel."""
    return every_token(K, np.log(decay))


def every_token(K: np.ndarray, x: float | np.ndarray) -> np.ndarray:
    """x at every token of K (m, n, d): (m, n), or (m, n, d) per channel."""
    return np.broadcast_to(x, (*K.shape[:2], *np.shape(x))).copy()


def powers(n: int, decay: np.ndarray) -> np.ndarray:
    """decay^age (n, d) for per-channel gates (d,)."""
    return np.asarray(np.power(decay, np.arange(n)[:, None]))
