"""A public implementation as an oracle: how it is called, in which convention and arithmetic, and how it is judged."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from io import StringIO
from typing import Any

import numpy as np
import torch

from ttr_numerics.arrays import to_numpy
from ttr_numerics.convention import Convention, fla
from ttr_numerics.pairs import Pairing, pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import rounding, row_norms

__all__ = ["GIVEN", "Difference", "Judgement", "Peer", "arguments", "judged", "output"]

GIVEN = ""  # computes in the dtype it is given


@dataclass(frozen=True)
class Difference:
    """Why a peer is not the layer: a sentence, and the variant of the layer that the peer is, to rounding."""

    sentence: str
    variant: Callable[..., Any]


@dataclass(frozen=True)
class Peer:
    """`path` is module:function in the distribution `package`; `call(function, arrays)` gives its o, and nothing else.

    `arrays` are torch tensors (and numbers) under our names in the peer's `convention`. `computes` is the format it
    computes in whatever it gets, or `GIVEN`. `axes` are sizes it needs, `change` what it asks of generic inputs.
    """

    layer: str
    package: str
    path: str
    call: Callable[[Any, Mapping[str, Any]], Any]
    convention: Convention = fla
    computes: str = "float32"
    axes: Mapping[str, int] = field(default_factory=dict)
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda a: a
    differs: Difference | None = None

    @property
    def name(self) -> str:
        """Distribution and function."""
        return f"{self.package}: {self.path.partition(':')[2]}"

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats in which it can be asked to compute."""
        return (self.computes,) if self.computes else ("float64", "float32")


@dataclass(frozen=True)
class Judgement:
    """Largest error over tokens relative to the token's output, and over the tolerance; version of the peer."""

    error: float
    ratio: float
    version: str


def arguments(peer: Peer, dtype: str, seed: int = 0) -> dict[str, Any]:
    """Generic arguments of the layer, (2, 4) heads, on the numbers that `dtype` has."""
    row = pairing(peer.layer)
    axes = {"T": 64, "d_k": 16, "d_v": 8} | dict(peer.axes)
    drawn = peer.change(row.example(np.random.default_rng(seed), (2, 4), False, False, **axes))
    return {n: FORMATS[dtype].nearest(x) if isinstance(x, np.ndarray) else x for n, x in drawn.items()}


def output(peer: Peer, arrays: Mapping[str, Any], dtype: str) -> np.ndarray:
    """What the peer gives on our arrays, o (..., T, d_v) in float64."""
    row, numbers = pairing(peer.layer), {n: x for n, x in arrays.items() if not isinstance(x, np.ndarray)}
    foreign = peer.convention.theirs({n: x for n, x in arrays.items() if n not in numbers}, row.arguments)
    names = dict(peer.convention.names)
    given = {names.get(n, n): torch.from_numpy(np.ascontiguousarray(x)) for n, x in foreign.items()}
    given = {n: x.to(getattr(torch, dtype)) for n, x in given.items()}
    module, _, name = peer.path.partition(":")
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # some greet, some warn that there is no device
        # Unwrapped: a decorator may put a compiled kernel in the function's place where another package is installed.
        function = inspect.unwrap(getattr(importlib.import_module(module), name))
        o = peer.call(function, {**given, **numbers})
    o = to_numpy(o).astype(np.float64)
    return peer.convention.ours({**foreign, "o": o}, row.arguments)["o"]


def judged(peer: Peer, dtype: str, seed: int = 0) -> tuple[Judgement, Judgement | None]:
    """The peer against the layer, and where it differs against the variant that explains it."""
    row, arrays = pairing(peer.layer), arguments(peer, dtype, seed)
    o = output(peer, arrays, dtype)
    against = _against(peer, row, row.layer, arrays, o, dtype)
    return against, _against(peer, row, peer.differs.variant, arrays, o, dtype) if peer.differs else None


def _against(
    peer: Peer, row: Pairing, layer: Callable[..., Any], arrays: dict[str, Any], o: np.ndarray, dtype: str
) -> Judgement:
    bound = rounding(layer, arrays, FORMATS[dtype], forms=row.forms if layer is row.layer else ())
    error, size = row_norms(o - bound.reference), row_norms(bound.reference)
    relative = error / np.where(size > 0, size, 1.0)
    return Judgement(float(np.max(relative)), float(np.max(error / bound.bound)), version(peer.package))
