"""Faults in what is computed with: arguments scaled, moved in time, exchanged, of another head; the border inside.

An operator takes `run`, arrays by name to (o, final state), and gives another; it does nothing at one of its arguments.
"""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, concat, namespace

__all__ = [
    "Arrays",
    "Run",
    "added",
    "bordered",
    "counted",
    "exchanged",
    "mapped",
    "rolled_heads",
    "scaled",
    "shifted",
    "transposed",
]

Arrays = dict[str, Any]
Run = Callable[[Arrays], tuple[Array, Any]]


def scaled(run: Run, argument: str, factor: float = 1.0, power_of_d: float = 0.0, power_of_T: float = 0.0) -> Run:
    """`argument` times factor · d_k^power · T^power."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        size = factor * a["q"].shape[-1] ** power_of_d * a["q"].shape[-2] ** power_of_T
        return run({**a, argument: size * a[argument]} if argument in a else a)

    return changed


def mapped(run: Run, argument: str, to: str, share: float) -> Run:
    """`argument` x moved to x + share (f(x) - x)."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        if argument not in a or not share:
            return run(a)
        x = a[argument]
        return run({**a, argument: x + share * (MAPS[to](x) - x)})

    return changed


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + namespace(x).exp(-x))


def _unit(eps: float) -> Callable[[Array], Array]:
    return lambda x: x / namespace(x).sqrt(namespace(x).sum(x * x, axis=-1, keepdims=True) + eps)


def transposed(x: Array) -> Array:
    return x.mT if x.ndim > 1 and x.shape[-1] == x.shape[-2] else x


MAPS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _sigmoid,
    "one": lambda x: 1 + 0 * x,
    "zero": lambda x: 0 * x,
    "squared": lambda x: x * x,
    "unit rows": _unit(1e-6),
    "transposed": transposed,
    "mean of channels": lambda x: 0 * x + namespace(x).mean(x, axis=-1, keepdims=True),
}


def shifted(run: Run, argument: str, by: int) -> Run:
    """`argument` late by that many tokens (early: negative); what is missing repeats the border."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        if not by or argument not in a:
            return run(a)
        axis, x = a["q"].ndim - 2, a[argument]
        last = x.shape[axis] - 1
        at = [min(max(t - by, 0), last) for t in range(last + 1)]
        return run({**a, argument: x[(slice(None),) * axis + (at,)]})

    return changed


def exchanged(run: Run, one: str, other: str, share: float) -> Run:
    """Two arrays of one shape moved towards each other's place."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        x, y = a[one], a[other]
        return run({**a, one: x + share * (y - x), other: y + share * (x - y)} if x.shape == y.shape else a)

    return changed


def rolled_heads(run: Run, argument: str, by: int) -> Run:
    """Head h gets `argument` of head h - by."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        x, heads = a.get(argument), a["q"].ndim - 3
        return run(a if x is None or heads < 0 else {**a, argument: namespace(x).roll(x, by, axis=heads)})

    return changed


def counted(run: Run, argument: str, by: int) -> Run:
    """A whole number off by so many, never below 1."""
    return lambda a: run({**a, argument: max(1, a[argument] + by)} if argument in a else a)


def added(run: Run, argument: str, by: float) -> Run:
    """A plain number off by so much."""
    return lambda a: run({**a, argument: a[argument] + by} if argument in a else a)


def bordered(
    run: Run,
    scale_power: float = 0.0,
    eps: float | None = None,
    names: str = "qk",
    outside: bool = False,
    groups: bool = False,
    tiled: bool = False,
) -> Run:
    """The border inside: q and k brought to norm 1, q times d^power, key heads repeated (or tiled) to the queries'."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        a, xp = dict(a), namespace(a["q"])
        if eps is not None:
            for n in names:
                size = xp.sum(a[n] ** 2, axis=-1, keepdims=True)
                a[n] = a[n] / (xp.sqrt(size) + eps) if outside else a[n] / xp.sqrt(size + eps)
        a["q"] = a["q"] * a["q"].shape[-1] ** scale_power
        if groups:
            heads = a["q"].shape[-3]
            for n, x in a.items():
                axis = a["q"].ndim - 3
                if n != "q" and hasattr(x, "ndim") and x.ndim > axis + 1 and x.shape[axis] < heads:
                    each = heads // x.shape[axis]
                    order = [h % x.shape[axis] if tiled else h // each for h in range(heads)]
                    a[n] = concat([x[:, h : h + 1] for h in order], 1)
        return run(a)

    return changed
