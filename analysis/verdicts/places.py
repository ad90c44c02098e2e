"""Where an output is spoiled, how, and on which calls."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, namespace, positions

__all__ = ["HOW", "WHEN", "WHERE"]


def _row(o: Array, first: int, last: int) -> Array:
    t = positions(o, o.shape[-2])[:, None]
    return (t >= first) & (t < last)


def _column(o: Array, first: int) -> Array:
    return positions(o, o.shape[-1]) >= first


def _slice(o: Array, axis: int, index: int) -> Array:
    """Entries at `index` of a batch axis counted from the end; none where there is no such axis."""
    if o.ndim < -axis:
        return positions(o, o.shape[-1]) < 0
    at = positions(o, o.shape[axis]) == index
    return at.reshape(*at.shape, *(1,) * (-axis - 1))


WHERE: dict[str, Callable[[Array, float, int], Array]] = {
    "everywhere": lambda o, at, piece: _row(o, 0, o.shape[-2]),
    "first token": lambda o, at, piece: _row(o, 0, 1),
    "last token": lambda o, at, piece: _row(o, o.shape[-2] - 1, o.shape[-2]),
    "one token": lambda o, at, piece: _row(o, int(at * o.shape[-2]), int(at * o.shape[-2]) + 1),
    "tail": lambda o, at, piece: _row(o, o.shape[-2] - o.shape[-2] % piece, o.shape[-2]),
    "columns from 64": lambda o, at, piece: _column(o, 64),
    "last column": lambda o, at, piece: _column(o, o.shape[-1] - 1),
    "one head": lambda o, at, piece: _slice(o, -3, o.shape[-3] - 1 if o.ndim > 2 else 0),
    "one batch entry": lambda o, at, piece: _slice(o, -4, o.shape[-4] - 1 if o.ndim > 3 else 0),
    "starts of pieces": lambda o, at, piece: (
        (positions(o, o.shape[-2])[:, None] % piece == 0) & (positions(o, o.shape[-2])[:, None] > 0)
    ),
}


def _stale(o: Array, size: float) -> Array:
    """Every row holds the one before it."""
    xp = namespace(o)
    return xp.where(_row(o, 0, 1), o, xp.roll(o, 1, axis=-2))


def _halves(o: Array, size: float) -> Array:
    return namespace(o).roll(o, o.shape[-1] // 2, axis=-1)


def _neighbour(axis: int) -> Callable[[Array, float], Array]:
    return lambda o, size: namespace(o).roll(o, 1, axis=axis) if o.ndim >= -axis else o


def _mixed(o: Array, size: float) -> Array:
    """Some of the neighbouring batch entry."""
    return o + size * (_neighbour(-4)(o, size) - o)


def _flushed(o: Array, size: float) -> Array:
    xp = namespace(o)
    return xp.where(xp.abs(o) < size, xp.zeros_like(o), o)


HOW: dict[str, Callable[[Array, float], Array]] = {
    "kept": lambda o, size: o,
    "zero": lambda o, size: namespace(o).zeros_like(o),
    "nan": lambda o, size: o * float("nan"),
    "stale": _stale,
    "reversed columns": lambda o, size: namespace(o).flip(o, axis=-1),
    "halves exchanged": _halves,
    "neighbouring head": _neighbour(-3),
    "batch mixed": _mixed,
    "scaled": lambda o, size: (1 + size) * o,
    "offset": lambda o, size: o + size,
    "flushed": _flushed,
    "time reversed": lambda o, size: namespace(o).flip(o, axis=-2),
}

WHEN: dict[str, Callable[[dict[str, Any], int], bool]] = {
    "always": lambda a, piece: True,
    "one token": lambda a, piece: a["q"].shape[-2] == 1,
    "ragged": lambda a, piece: a["q"].shape[-2] % piece != 0,
    "beyond 64 channels": lambda a, piece: a["q"].shape[-1] > 64,
    "several batch entries": lambda a, piece: a["q"].ndim > 3 and a["q"].shape[0] > 1,
    "unequal sizes": lambda a, piece: a["q"].shape[-1] != a["v"].shape[-1],
    "long": lambda a, piece: a["q"].shape[-2] > 256,
    "resumed": lambda a, piece: a.get("initial_state") is not None,
}
