"""Which forms of a layer run, and over how many tokens, for an input of a given size: said here and nowhere else.

*Short* inputs, tokens times the entries of all heads' states at most LONG: every form runs, in replicas and to nearest.
*Long* ones: a layer that has chunked forms is a time loop, a thousand times dearer a flop. Its replicas see the first
tokens alone, as many as cost a quarter of LONG, those of the longest chunk all of them; what the loop's errors exceed
the chunks' by there (a head's median over the second half) they are taken to exceed them by later. To nearest the loop
runs over all tokens still, where NumPy has the arithmetic or the work is at most EMULATED. The reference of a contract
that is narrower than float64 is then that of the longest chunk. A layer without chunked forms runs as it is. Beyond
four times LONG there are half as many replicas, and Student's factor pays.

A layer without chunked forms also runs to nearest with long sums taken term by term, as a serial kernel does (softmax
attention with a running maximum, one key at a time), where that is cheap and sums are no finer than what they add.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.arrays.arithmetic import Serial
from ttr_numerics.precision import FORMATS, Contract, throughout

__all__ = ["REPLICAS", "Layer", "Policy", "chosen", "prefix_of", "state_entries"]

Layer = Callable[..., Any]

REPLICAS = 16
LONG = 1 << 25  # 1 024 tokens of two heads of 128 by 128
EMULATED = 1 << 28
SERIAL = 1 << 27  # products in the sums over all keys of all queries
STATIC = ("initial_state", "bonus", "ridge")  # no time axis, whatever their lengths
SHORTEST = 64  # tokens that a loop's replicas see at least


@dataclass(frozen=True)
class Policy:
    """What runs: `replicated` over all tokens and `loop`, if any, over the first `prefix`; `nearest` and `serial` once.

    `reference` is the form whose float64 run is the truth.
    """

    reference: Layer
    replicated: tuple[Layer, ...]
    loop: Layer | None
    prefix: int
    nearest: tuple[Layer, ...]
    serial: tuple[Layer, ...]
    replicas: int

    @property
    def words(self) -> str:
        """Which forms ran where there is more than the layer's own code, for a sentence; else ''."""
        chunks = " and ".join(str(_chunk(f)) for f in self.replicated if _chunk(f))
        if chunks:
            loop = f"the time loop over the first {self.prefix} tokens" if self.loop else "the time loop"
            return f"the widest of {loop} and chunks of {chunks} tokens"
        return "the wider of the layer's own sums and of sums term by term" if self.serial else ""


def chosen(
    layer: Layer, forms: tuple[Layer, ...], stored: Mapping[str, Any], contract: Contract, replicas: int
) -> Policy:
    """What runs for inputs of this size."""
    T, entries = stored["q"].shape[-2], state_entries(stored)
    work, chunked = T * entries, [f for f in forms if _chunk(f)]
    replicas = replicas if work <= 4 * LONG else max(2, replicas // 2)
    prefix = max(SHORTEST, LONG // 4 // entries)
    if work <= LONG or not chunked or prefix >= T:
        every = (layer, *forms)
        coarse = contract.accumulator.u < contract.finest.u
        affordable = Serial.FEW < T and T * work // stored["v"].shape[-1] <= SERIAL
        serial = (layer,) if affordable and not chunked and not coarse else ()
        return Policy(layer, every, None, T, every, serial, replicas)
    longest = max(chunked, key=_chunk)
    native = contract in (throughout(FORMATS["float64"]), throughout(FORMATS["float32"]))
    nearest = (layer, *forms) if native or work <= EMULATED else forms
    reference = layer if contract.coarsest.name == "float64" else longest
    return Policy(reference, (longest,), layer, prefix, nearest, (), replicas)


def prefix_of(stored: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """The first `tokens` of every array with a time axis: one as long, and in the same place, as that of q."""
    axis, T = stored["q"].ndim - 2, stored["q"].shape[-2]
    cut = (slice(None),) * axis + (slice(tokens),)
    arrays = {n: x for n, x in stored.items() if isinstance(x, np.ndarray) and n not in STATIC}
    timed = [n for n, x in arrays.items() if x.ndim > axis and x.shape[axis] == T]
    return {**stored, **{n: stored[n][cut] for n in timed}}


def state_entries(stored: Mapping[str, Any]) -> int:
    """Entries of a matrix state (..., d_k, d_v) of every head."""
    return max(1, stored["q"][..., 0, :].size * stored["v"].shape[-1])


def _chunk(form: Layer) -> int:
    """How many tokens a chunked form (`functools.partial` with that keyword) takes at once, else 0."""
    return getattr(form, "keywords", {}).get("chunk", 0)
