"""A public implementation as an oracle: how it is called, in which convention and arithmetic."""

import importlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from io import StringIO
from typing import Any

import numpy as np
import torch

from ttr_numerics.arrays import concat, namespace, to_numpy
from ttr_numerics.axes import Output
from ttr_numerics.convention import Convention, fla
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS

__all__ = [
    "DOUBLE",
    "GIVEN",
    "HALF",
    "SINGLE",
    "Difference",
    "Layer",
    "Peer",
    "arguments",
    "output",
    "row_of_state",
]

SINGLE, DOUBLE = ("float32",), ("float64",)  # computes in it whatever it is given
GIVEN = ("float64", "float32")  # computes in the dtype it is given
HALF = (*GIVEN, "bfloat16")  # and every operation of it in bfloat16

Layer = Callable[..., Output]


@dataclass(frozen=True)
class Difference:
    """Why a peer is not the layer: a sentence, and the variant of the layer that the peer is, to rounding."""

    sentence: str
    variant: Layer


@dataclass(frozen=True, eq=False)
class Peer:
    """`path` is module:function in the distribution `package`; `call(function, arrays)` gives its o and last state.

    `arrays` are those of `change(example)` under our names in the peer's `convention`, made by `asarray` of NumPy
    arrays; numbers stay numbers. The state, None where it returns none, is laid out as ours; `state` reads of either
    the arrays that must agree. `computes` are the formats it can be asked to compute in, `axes` sizes it needs.
    `ours` is the layer as the peer calls it, where the arrays are not the layer's own arguments; `forms` are sound
    algorithms of the peer's own kind, whose rounding it may have. `how` tells peers of one function apart.
    """

    layer: str
    package: str
    path: str
    call: Callable[[Any, Mapping[str, Any]], Output]
    convention: Convention = fla
    computes: tuple[str, ...] = SINGLE
    axes: Mapping[str, int] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda a: a
    ours: Layer | None = None
    forms: tuple[Layer, ...] = ()
    state: Callable[[Any], Any] = lambda state: state
    asarray: Callable[[np.ndarray], Any] = torch.from_numpy
    how: str = ""
    differs: Difference | None = None

    @property
    def name(self) -> str:
        """Distribution and function, and how it is called where that tells it from another peer."""
        return f"{self.package}: {self.path.partition(':')[2]}{self.how and f', {self.how}'}"

    @property
    def version(self) -> str:
        """Of the distribution installed."""
        return version(self.package)


def arguments(peer: Peer, dtype: str, seed: int = 0) -> dict[str, Any]:
    """Generic arguments of the layer, (2, 4) heads, on the numbers that `dtype` has."""
    row = pairing(peer.layer)
    axes = {"T": 64, "d_k": 16, "d_v": 8} | dict(peer.axes)
    drawn = peer.change(row.example(np.random.default_rng(seed), (2, 4), False, False, **axes))
    return {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}


def output(peer: Peer, arrays: Mapping[str, Any], dtype: str) -> Output:
    """What the peer gives on our arrays: o (..., T, d_v) and the row (..., 1, n) of its state, in float64."""
    row, numbers = pairing(peer.layer), {n: x for n, x in arrays.items() if not isinstance(x, np.ndarray)}
    foreign = peer.convention.theirs({n: x for n, x in arrays.items() if n not in numbers}, row.arguments)
    names = dict(peer.convention.names)
    given = {names.get(n, n): torch.from_numpy(np.ascontiguousarray(x)) for n, x in foreign.items()}
    given = {n: x.to(getattr(torch, dtype)) for n, x in given.items()}
    if peer.asarray is not torch.from_numpy:
        given = {n: peer.asarray(x.numpy()) for n, x in given.items()}
    module, _, name = peer.path.partition(":")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # some greet, some warn that there is no device
        # Unwrapped: a decorator may put a compiled kernel in the function's place where another package is installed.
        function = inspect.unwrap(getattr(importlib.import_module(module), name))
        o, state = peer.call(function, {**given, **numbers})
    o = peer.convention.ours({**foreign, "o": _double(o)}, row.arguments)["o"]
    if state is None:
        return Output(o, None)
    parts = type(state)(*map(_double, state)) if isinstance(state, tuple) else _double(state)
    return Output(o, row_of_state(peer.state(parts), arrays["q"].shape[:-2]))


def row_of_state(state: Any, batch: tuple[int, ...]) -> Any:
    """All arrays of the state (*batch, ...) side by side, (*batch, 1, n)."""
    parts = list(_parts(state))
    xp = namespace(parts[0])
    return concat([xp.reshape(x, (*batch, 1, math.prod(x.shape[len(batch) :]))) for x in parts], -1)


def _parts(state: Any) -> Iterator[Any]:
    for x in state if isinstance(state, tuple) else (state,):
        yield from _parts(x) if isinstance(x, tuple) else (x,)


def _double(x: Any) -> np.ndarray:
    return to_numpy(x).astype(np.float64)
