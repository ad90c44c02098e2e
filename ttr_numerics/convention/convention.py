"""How foreign arrays differ from the layers' own, said once and translated both ways."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.convention.discretisation import Discretisation
from ttr_numerics.convention.parts import Gate, L2Norm, Layout, Read, StateLayout

__all__ = ["Convention", "repeat_heads"]

BOUNDARIES = "cu_seqlens"


@dataclass(frozen=True)
class Convention:
    """The declaration: every field's default is the layers' own convention.

    `scale` multiplies the logits: a number, or a function of d_k such as `inverse_root`. `gradient_factor` is what
    the foreign squared loss's gradient has in front, 1, 2, or a function of d_v such as `mean_square`: beta is
    multiplied by it. `normalise` is applied to q and k, before the scale. `grouped_heads`: some of q, k, v and the
    gates have fewer heads than others, and each serves neighbouring ones (grouped queries, grouped values). `names`
    are pairs (foreign, ours).
    """

    scale: float | Callable[[int], float] = 1.0
    grouped_heads: bool = False
    layout: Layout = Layout.HEADS_FIRST
    output_layout: Layout | None = None
    state: StateLayout = StateLayout.KEYS_FIRST
    gate: Gate = Gate.NATURAL_LOG
    normalise: L2Norm | None = None
    gradient_factor: float | Callable[[int], float] = 1.0
    read: Read = Read.AFTER_WRITE
    names: tuple[tuple[str, str], ...] = ()
    discretisation: Discretisation | None = None

    def ours(self, arrays: Mapping[str, np.ndarray], arguments: Sequence[Argument] = ()) -> dict[str, np.ndarray]:
        """`arrays` (o and a matrix initial_state among them) in the layers' convention; `arguments` are the layer's.

        What is scaled, normalised or taken the logarithm of becomes float64, so that it adds no rounding.
        """
        renamed = dict(self.names)
        result = {renamed.get(name, name): x for name, x in arrays.items()}
        timed, gates = _timed(arguments), _gates(arguments)
        result |= self._swapped(result, timed)
        if self.discretisation is not None:
            result = self.discretisation.ours(result)
        if self.grouped_heads:
            result |= _equal_heads({n: x for n, x in result.items() if n in timed})
        result |= self._gated(result, gates, self.gate.ours)
        if self.normalise is not None:
            result |= {n: self.normalise.ours(_wide(result[n])) for n in ("q", "k")}
        result |= self._rescaled(result, 1)
        if "initial_state" in result and np.ndim(result["initial_state"]) >= 2:
            result["initial_state"] = self.state.ours(result["initial_state"])
        return _read_late(result, timed) if self.read is Read.BEFORE_WRITE else result

    def theirs(self, arrays: Mapping[str, np.ndarray], arguments: Sequence[Argument] = ()) -> dict[str, np.ndarray]:
        """The layers' own `arrays` as a function of this convention wants them: `ours` undoes it.

        Grouped heads stay repeated. Reading before the write moves tokens and has no inverse.
        """
        if self.read is Read.BEFORE_WRITE:
            raise ValueError("read: expected a convention that reads after the write, got one that reads before")
        result, timed, gates = dict(arrays), _timed(arguments), _gates(arguments)
        if "initial_state" in result and np.ndim(result["initial_state"]) >= 2:
            result["initial_state"] = self.state.theirs(result["initial_state"])
        result |= self._rescaled(result, -1)
        if self.normalise is not None:
            result |= {n: self.normalise.theirs(_wide(result[n])) for n in ("q", "k")}
        result |= self._gated(result, gates, self.gate.theirs)
        if self.discretisation is not None:
            result = self.discretisation.theirs(result)
        result |= self._swapped(result, timed)
        renamed = {ours: foreign for foreign, ours in self.names}
        return {renamed.get(name, name): x for name, x in result.items()}

    def sequences(self, arrays: Mapping[str, np.ndarray], arguments: Sequence[Argument]) -> list[dict[str, np.ndarray]]:
        """`ours` of each sequence of a packed batch, cut at `cu_seqlens` (0, ..., T); the whole where there is none.

        A packed initial_state has one matrix a sequence on its first axis, in order.
        """
        if BOUNDARIES not in arrays:
            return [self.ours(arrays, arguments)]
        whole = self.ours({n: x for n, x in arrays.items() if n != BOUNDARIES}, arguments)
        ends, axis, timed = np.asarray(arrays[BOUNDARIES]), whole["q"].ndim - 2, _timed(arguments)
        T = whole["q"].shape[axis]
        rising = ends.ndim == 1 and ends.dtype.kind in "iu" and len(ends) > 1 and bool((np.diff(ends) >= 0).all())
        if not rising or ends[0] != 0 or ends[-1] != T or self.read is Read.BEFORE_WRITE:
            got = ends.ravel()[:8].tolist()
            raise ValueError(f"{BOUNDARIES}: expected whole numbers rising from 0 to {T}, got {got}")
        pieces = []
        for n, (start, stop) in enumerate(pairwise(ends.tolist())):
            piece = {name: _cut(x, axis, start, stop) if name in timed else x for name, x in whole.items()}
            if "initial_state" in piece:
                piece["initial_state"] = piece["initial_state"][n : n + 1]
            pieces += [piece] if stop > start else []
        return pieces

    def reads(self, used: set[str]) -> set[str]:
        """The foreign names that stand for the arrays `used`, and what else the translation takes."""
        parts = self.discretisation
        extra = {parts.step, parts.rate, parts.skip} if parts else set()
        return {foreign for foreign, ours in self.names if ours in used} | extra | {BOUNDARIES}

    def _swapped(self, arrays: Mapping[str, np.ndarray], timed: set[str]) -> dict[str, np.ndarray]:
        """Arrays with a time axis, heads and time exchanged where the layouts differ."""
        at = arrays["q"].ndim - 3 if "q" in arrays else 1
        steps = {self.discretisation.step} if self.discretisation else set()
        out = self.output_layout or self.layout
        swapped = {n: self.layout.ours(arrays[n], at, n) for n in ((timed - {"o"}) | steps) & set(arrays)}
        return swapped | ({"o": out.ours(arrays["o"], at, "o")} if "o" in arrays else {})

    def _gated(self, arrays: Mapping[str, np.ndarray], gates: set[str], change: Callable) -> dict[str, np.ndarray]:
        """The gates in the other space, where there is another."""
        if self.gate is Gate.NATURAL_LOG:
            return {}
        return {n: change(_wide(arrays[n])) for n in gates & set(arrays)}

    def _rescaled(self, arrays: Mapping[str, np.ndarray], power: int) -> dict[str, np.ndarray]:
        """q by the scale and beta by the gradient's factor, to the power 1 or -1: only what changes."""
        changed: dict[str, np.ndarray] = {}
        scale = self.scale(arrays["q"].shape[-1]) if callable(self.scale) else self.scale
        if scale != 1.0:
            changed["q"] = _wide(arrays["q"]) * scale**power
        d_v = arrays["v"].shape[-1] if "v" in arrays else 1
        factor = self.gradient_factor(d_v) if callable(self.gradient_factor) else self.gradient_factor
        if factor != 1.0 and "beta" in arrays:
            changed["beta"] = _wide(arrays["beta"]) * factor**power
        return changed


def repeat_heads(x: np.ndarray, heads: int, name: str = "k") -> np.ndarray:
    """Repeat each of H_k heads (axis -3) heads/H_k times: (..., H_k, T, d) to (..., heads, T, d)."""
    if x.ndim < 3:
        raise ValueError(f"{name}: expected a number of heads that divides {heads}, got shape {x.shape}")
    return _repeated(x, heads, -3, name)


def _repeated(x: np.ndarray, heads: int, axis: int, name: str) -> np.ndarray:
    if heads % max(x.shape[axis], 1) or not x.shape[axis]:
        raise ValueError(f"{name}: expected a number of heads that divides {heads}, got shape {x.shape}")
    return x if x.shape[axis] == heads else np.repeat(x, heads // x.shape[axis], axis=axis)


def _equal_heads(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every array repeated to the largest number of heads; heads stand just before time."""
    axis = arrays["q"].ndim - 3
    if axis < 0:
        raise ValueError(f"q: expected shape (..., heads, T, d) for grouped heads, got {arrays['q'].shape}")
    heads = max(x.shape[axis] for x in arrays.values() if x.ndim > axis + 1)
    return {n: _repeated(x, heads, axis, n) for n, x in arrays.items() if x.ndim > axis + 1}


def _read_late(arrays: dict[str, np.ndarray], timed: set[str]) -> dict[str, np.ndarray]:
    """o_t = q_t S_{t-1} is what token t - 1 would read with q_t: queries and outputs move up by one token.

    The first output reads the initial state and has no counterpart: it is left out of the comparison.
    """
    axis = arrays["q"].ndim - 2
    early, late = (0, -1), (1, None)
    return {n: _cut(x, axis, *(late if n in ("q", "o") else early)) if n in timed else x for n, x in arrays.items()}


def _timed(arguments: Sequence[Argument]) -> set[str]:
    """Names of the arrays with a time axis, which stands just after the heads in our layout."""
    return {"q", "k", "v", "o"} | {x.name for x in arguments if "T" in x.shapes[0]}


def _gates(arguments: Sequence[Argument]) -> set[str]:
    return {x.name for x in arguments if x.domain is Domain.LOG_GATE}


def _cut(x: np.ndarray, axis: int, start: int, stop: int | None) -> np.ndarray:
    where: list[slice] = [slice(None)] * x.ndim
    where[axis] = slice(start, stop)
    return x[tuple(where)]


def _wide(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, dtype=np.float64)
