"""y = W_o o, o = layer(q, k, v, named arrays), each a projection of the tokens: a test-time regression in torch."""

from collections.abc import Collection, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch

from ttr_numerics.arguments import (
    CHANNEL_VALUES,
    LOCAL_QUERIES,
    POSITIVE_KEYS,
    POSITIVE_QUERIES,
    Argument,
    Domain,
)
from ttr_numerics.composition import Regression
from ttr_numerics.nn.called import Called, called
from ttr_numerics.nn.convolution import ShortConvolution
from ttr_numerics.nn.maps import IDENTITY, POSITIVE, UNIT, Map, map_into
from ttr_numerics.nn.named import Given, Learned, LearnedNumber, PerToken, rows_of

__all__ = ["State", "TestTimeRegression"]


class State(NamedTuple):
    """What a piece of a sequence leaves to the next: the convolutions' last rows, and the layer's own state."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    layer: Any


class _Wishes(NamedTuple):
    """What a caller says about named arrays, by their names."""

    channels: Collection[str]
    numbers: Mapping[str, float]
    learned: Collection[str]
    maps: Mapping[str, Map]


class TestTimeRegression(torch.nn.Module):
    """x (B, T, width) to (B, T, width) by `heads` heads of a layer.

    `layer` is a name of the catalogue or what `ttr_numerics.regression` returns. q, k (d_k channels) and v (d_v, by
    default d_k) are projections of x after a causal convolution of width `convolution`; q and k are brought to norm
    1, unless `normalise` is another map, and q is multiplied by a learned gain, which starts at `gain`; where the
    kernel is about the query, q and k each by its root. What the layer takes a token is a projection of x mapped into
    its domain, unless `maps` has another map of that name; arrays that all tokens share are learned; a number is
    that of `numbers`, or a usual one, and stays so unless `learned` names it. `optional` names arrays that the layer
    may take, and `channels` those that have their longest shape (gates by channel, a learned ridge for every
    channel). `n` is the number of associations a token, `d_h` the width of a perceptron that is fitted.

    Everything starts from torch's random numbers. Raises ValueError for names that the layer does not have.
    """

    __test__ = False  # the name is no test's

    def __init__(
        self,
        width: int,
        layer: str | Regression,
        *,
        heads: int = 1,
        d_k: int | None = None,
        d_v: int | None = None,
        n: int = 2,
        d_h: int | None = None,
        convolution: int = 4,
        normalise: Map = UNIT,
        gain: float = 1.0,
        optional: Collection[str] = (),
        channels: Collection[str] = (),
        numbers: Mapping[str, float] | None = None,
        learned: Collection[str] = (),
        maps: Mapping[str, Map] | None = None,
    ) -> None:
        super().__init__()
        given = _Wishes(channels, numbers or {}, learned, maps or {})
        d_k = _share(width, heads) if d_k is None else d_k
        sizes = {"d_k": d_k, "d_v": d_k if d_v is None else d_v, "n": n, "d_h": d_k if d_h is None else d_h}
        call = called(layer, optional)
        _check(call, sizes, gain, given)
        self.function, self.causal, self.heads = call.function, call.causal, heads
        self.normalise = _map_of_keys(call, normalise)
        self.shared = call.queries is LOCAL_QUERIES  # the gain, by queries and keys
        self.in_state = frozenset(x.name for x in call.takes if x.in_state)
        self.shapes = {x.name: _a_token(x, sizes, False) for x in (call.queries, call.keys, call.values)}
        self.projections, self.convolutions = torch.nn.ModuleDict(), torch.nn.ModuleDict()
        for name, shape in self.shapes.items():
            self.projections[name] = torch.nn.Linear(width, heads * prod(shape), bias=False)
            self.convolutions[name] = ShortConvolution(heads * prod(shape), convolution)
        self.log_gain = torch.nn.Parameter(torch.full((heads, 1, 1), gain).log())
        self.named = torch.nn.ModuleDict({x.name: _source(x, sizes, width, heads, given) for x in call.takes})
        self.out = torch.nn.Linear(heads * sizes["d_v"], width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The whole sequence."""
        return self._read(x, None)[0]

    def step(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """One token or more (B, T, width) after those that left `state`, and the state they leave."""
        if not self.causal:
            raise ValueError("layer: expected a causal one for pieces of a sequence, got one that reads all tokens")
        return self._read(x, state)

    def _read(self, x: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        if x.ndim != 3 or x.shape[-1] != self.out.out_features:
            raise ValueError(f"x: expected shape (B, T, {self.out.out_features}), got {tuple(x.shape)}")
        rows, tails = {}, {}
        for name, shape in self.shapes.items():
            tail = None if state is None else getattr(state, name)
            y, tails[name] = self.convolutions[name](self.projections[name](x), tail)
            rows[name] = rows_of(y, self.heads, shape)
        arrays = {name: of(x) for name, of in self.named.items() if state is None or name not in self.in_state}
        carried = {} if state is None else {"initial_state": state.layer}
        result = self.function(*self._at_the_border(rows), **arrays, **carried)
        joined = result.o.movedim(1, 2).flatten(2)
        return self.out(joined), State(**tails, layer=result.state)

    def _at_the_border(self, rows: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, k and v as the layer takes them."""
        gain, q, k = self.log_gain.exp(), *(self.normalise.forward(rows[name]) for name in ("q", "k"))
        if self.shared:
            return gain.sqrt() * q, gain.sqrt() * k, rows["v"]
        return gain * q, k, rows["v"]


def _map_of_keys(call: Called, normalise: Map) -> Map:
    """Features at least 0 where weights need them; nothing where keys are logarithms or gates of channels."""
    if call.queries is POSITIVE_QUERIES and call.keys is POSITIVE_KEYS:
        return POSITIVE
    return IDENTITY if call.values is CHANNEL_VALUES else normalise


def _a_token(x: Argument, sizes: Mapping[str, int], longest: bool) -> tuple[int, ...]:
    """The shape of one token of an array by token."""
    return x.sizes({**sizes, "T": 1})[-1 if longest else 0][1:]


def _source(x: Argument, sizes: Mapping[str, int], width: int, heads: int, given: _Wishes) -> torch.nn.Module:
    """Where the array comes from."""
    longest = x.name in given.channels
    shape = x.shapes[-1 if longest else 0]
    if not shape and x.name not in given.learned:
        return Given(_number(x, given))
    into = given.maps.get(x.name) or map_into(x)
    if not shape:
        return LearnedNumber(_number(x, given), into)
    if "T" in shape:
        return PerToken(x, _a_token(x, sizes, longest), width, heads, into)
    return Learned(x, tuple(sizes[axis] for axis in shape), heads, into)


def _number(x: Argument, given: _Wishes) -> float:
    """The one that is given, or a usual one, which is drawn without chance."""
    value = given.numbers.get(x.name, float(x.draw(np.random.default_rng(0), ())))
    return int(value) if x.domain is Domain.COUNT else value


def _share(width: int, heads: int) -> int:
    if heads < 1 or width % heads:
        raise ValueError(f"heads: expected a divisor of the width {width}, or d_k beside it, got {heads}")
    return width // heads


def _check(call: Called, sizes: Mapping[str, int], gain: float, given: _Wishes) -> None:
    """Refuse names that the layer does not take, and sizes that do not go together."""
    there = {x.name: x for x in call.takes}
    for argument, names in given._asdict().items():
        for name in names:
            if name not in there:
                raise ValueError(f"{argument}: expected some of {', '.join(there) or 'no names'}, got {name}")
            if argument in ("numbers", "learned") and not there[name].is_number:
                raise ValueError(f"{argument}: expected names of numbers, got {name}, which is an array")
    for name, value in given.numbers.items():
        if there[name].domain.outside(np.asarray(value, dtype=float)):
            raise ValueError(f"numbers: expected {name} {there[name].domain.value}, got {value}")
    for axis, size in sizes.items():
        if size < 1:
            raise ValueError(f"{axis}: expected at least 1, got {size}")
    if gain <= 0:
        raise ValueError(f"gain: expected above 0, got {gain}")
    if call.values is CHANNEL_VALUES and sizes["d_v"] != sizes["d_k"]:
        raise ValueError(f"d_v: expected d_k = {sizes['d_k']} for a layer by channel, got {sizes['d_v']}")
