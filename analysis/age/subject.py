"""One layer with an age curve: how it is run on keys and values, read at every key, its formula, its exact solver."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.axes import Output
from ttr_numerics.pairs import Pairing, pairing

__all__ = [
    "APPROXIMATE", "BETA", "DECAY", "EXACT", "LIMIT", "PIECE", "Subject", "by_age", "by_last_query", "by_map",
    "by_partner", "by_solution", "errors", "every_token", "log_gates", "powers", "signs", "spread_decays", "unit_keys",
]  # fmt: skip

EXACT, LIMIT, APPROXIMATE = "exact", "limit d → ∞", "approximation"
DECAY, BETA = 0.95, 0.5
PIECE = 50  # sequences run together: their states stay in the cache
CACHE = 2**18  # entries of the keys that all queries of some sequences see at once

Arguments = dict[str, Any]
Draw = Callable[[np.random.Generator, int, int, int], np.ndarray]
Read = Callable[[str, Arguments, np.ndarray, np.ndarray], np.ndarray]


def unit_keys(rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Independent keys, uniform on the unit sphere (m, n, d)."""
    return tasks.isotropic_unit_keys(rng, (m, n, d))


def signs(rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Keys of ±1 (m, n, d): a unit key in each channel's own dimension."""
    return rng.choice([-1.0, 1.0], (m, n, d))


def by_map(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """What the final state holds at every key (m, N, d_v), by the catalogue's `memory`."""
    return _read_state(pairing(layer), pairing(layer).layer, arguments, K, V)


def by_partner(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The same (m, N, d_v) of the final state of the layer's exact partner."""
    return _read_state(pairing(layer), pairing(layer).partner, arguments, K, V)


def by_solution(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """k_i'S for the solution S that the final state carries."""
    return np.asarray(K @ pairing(layer).layer(K, K, V, **arguments).state.S)


def by_last_query(layer: str, arguments: Arguments, K: np.ndarray, V: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """The output at the last token for `gain` times every key as its query: for layers whose state is no map.

    Arguments of two axes or more are (m, n, ...), others are the same for all tokens.
    """
    (m, n, d), call = K.shape, pairing(layer).layer
    shared = {name: x for name, x in arguments.items() if np.ndim(x) < 2}
    timed = {"k": K, "v": V, **{name: x for name, x in arguments.items() if name not in shared}}
    early, last = ({name: x[:, part] for name, x in timed.items()} for part in (slice(n - 1), slice(n - 1, n)))
    last |= {"initial_state": call(q=early["k"], **early, **shared).state}
    size = max(1, CACHE // (n * n * d))
    outputs = []
    for place in (slice(i, i + size) for i in range(0, m, size)):
        given = {name: _every(x, place, n) for name, x in last.items()}
        outputs.append(np.asarray(call(gain * K[place, :, None], **given, **shared).o)[:, :, 0])
    return np.concatenate(outputs)


def _read_state(row: Pairing, call: Callable[..., Output], arguments: Arguments, K: Any, V: Any) -> np.ndarray:
    state = call(**{"q": K, "k": K, "v": V, **arguments}).state
    return np.asarray(row.memory(state, **_beside(arguments))(K))


def _beside(arguments: Arguments) -> Arguments:
    return {name: x for name, x in arguments.items() if name not in ("q", "k", "v")}


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

    `writes` pairs a token, a state that changes every `batch` tokens; `keys` draws them, and arguments differ among
    sequences with `period`. `setting` says the arguments in words, `status` what the formula is; `square`: it takes
    values of as many channels as keys. `solver` reads as `read` does, by an exact solver; None where what is read is
    not linear in the values. `value_gates(d_v)`: by what each channel of the values is multiplied.
    """

    label: str
    layer: str
    setting: str
    status: str
    arguments: Callable[[np.ndarray, np.ndarray], Arguments]
    theory: Callable[[int, int], np.ndarray]
    read: Read = by_map
    writes: int = 1
    keys: Draw = unit_keys
    solver: Read | None = by_partner
    period: int = 1
    batch: int = 1
    value_gates: Callable[[int], np.ndarray] = np.ones
    square: bool = False


def errors(subject: Subject, K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """‖o_i - v_i‖² (m, tokens) by the age of the pair; K and V (m, n, ·)."""
    O = subject.read(subject.layer, subject.arguments(K, V), K, V)
    return by_age(np.sum((O - V) ** 2, axis=-1), subject)


def by_age(found: np.ndarray, subject: Subject) -> np.ndarray:
    """(m, tokens), youngest first, of one number a pair (m, n): the mean over the writes of its token."""
    return np.asarray(np.mean(found.reshape(len(found), -1, subject.writes), axis=-1)[:, ::-1])


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
