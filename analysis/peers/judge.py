"""A peer held against the layer, or against the variant that explains it, by the rounding of its own arithmetic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from analysis.peers.peer import Layer, Peer, arguments, output, row_of_state
from ttr_numerics.axes import Output
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.tolerance import Rounding, rounding, row_norms

__all__ = ["Judgement", "Tolerance", "compared", "judged", "tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """Rounding of a layer's outputs, and of its last state as one row a head, None where the peer has none."""

    o: Rounding
    state: Rounding | None


@dataclass(frozen=True)
class Judgement:
    """Largest error over tokens relative to the token's output, and over its tolerance; the same of the last state."""

    error: float
    ratio: float
    state_error: float | None
    state_ratio: float | None

    @property
    def agrees(self) -> bool:
        """Within the tolerance, outputs and state."""
        return self.ratio <= 1 and (self.state_ratio is None or self.state_ratio <= 1)


def tolerance(peer: Peer, layer: Layer, arrays: Mapping[str, Any], dtype: str, state: bool) -> Tolerance:
    """The rounding of `layer`, and of its other forms where it is the peer's own."""
    row = pairing(peer.layer)
    forms = (row.forms if layer is row.layer else ()) + peer.forms
    return _tolerance((layer, *forms), peer.state if state else None, _Given(arrays), dtype)


def compared(theirs: Output, own: Tolerance) -> Judgement:
    """How far `theirs` is from the reference of the tolerance."""
    state = (None, None) if own.state is None else _apart(theirs.state, own.state)
    return Judgement(*_apart(theirs.o, own.o), *state)


def judged(peer: Peer, dtype: str, seed: int = 0) -> tuple[Judgement, Judgement | None, Tolerance]:
    """The peer against the layer, against the variant that explains a difference, and the layer's tolerance."""
    arrays = arguments(peer, dtype, seed)
    theirs = output(peer, arrays, dtype)
    layers = [peer.ours or pairing(peer.layer).layer, *([peer.differs.variant] if peer.differs else ())]
    own = [tolerance(peer, layer, arrays, dtype, theirs.state is not None) for layer in layers]
    against, *explained = (compared(theirs, each) for each in own)
    return against, explained[0] if explained else None, own[0]


def _apart(theirs: np.ndarray, own: Rounding) -> tuple[float, float]:
    error, size = row_norms(theirs - own.reference), row_norms(own.reference)
    bound = own.bound[..., -error.shape[-1] :]
    return float(np.max(error / np.where(size > 0, size, 1.0))), float(np.max(error / bound))


class _Given:
    """Arrays and numbers, equal where their bytes are."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = dict(arrays)
        self.bytes = tuple(
            (n, (x.shape, x.tobytes()) if isinstance(x, np.ndarray) else x) for n, x in sorted(arrays.items())
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Given) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)


@cache  # many peers of a layer get the same arrays
def _tolerance(layers: tuple[Layer, ...], read: Callable[[Any], Any] | None, given: _Given, dtype: str) -> Tolerance:
    first, *others = layers
    if read is None:
        return Tolerance(rounding(first, given.arrays, FORMATS[dtype], forms=tuple(others)), None)
    (run, last), *forms = (_with_its_state(layer, read) for layer in layers)
    of_outputs = rounding(run, given.arrays, FORMATS[dtype], forms=tuple(each for each, _ in forms))
    return Tolerance(of_outputs, rounding(last, given.arrays, FORMATS[dtype], forms=tuple(each for _, each in forms)))


def _with_its_state(layer: Layer, read: Callable[[Any], Any]) -> tuple[Layer, Layer]:
    """The layer, and as a layer the rows of the last states of those same runs, in their order."""
    rows: list[Any] = []

    def run(**arrays: Any) -> Output:
        o, state = layer(**arrays)
        rows.append(row_of_state(read(state), arrays["q"].shape[:-2]))
        return Output(o, state)

    return run, lambda **arrays: Output(rows.pop(0), None)
