"""Variants of the state: the initial one dropped or turned, the running one lost or mishandled between chunks."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.arrays import concat, namespace
from ttr_numerics.axes import Output
from ttr_numerics.verdict.evidence import Evidence, along_time
from ttr_numerics.verdict.variants.variant import Arrays, Change, Variant
from ttr_numerics.verdict.verdict import Word

__all__ = ["STATES", "by_chunks"]

_CHUNKS = (16, 32, 64, 128, 256)
HandOver = Callable[[Any, Any, Arrays], Any]


def _initial(change: Callable[[np.ndarray], np.ndarray], evidence: Evidence) -> Iterator[Change]:
    S = evidence.arrays.get("initial_state")
    if isinstance(S, np.ndarray):
        yield Change(evidence.changed(initial_state=change(S)))


def _dropped(evidence: Evidence) -> Iterator[Change]:
    if "initial_state" in evidence.arrays:
        yield Change(evidence.without("initial_state"))


def _transposed(evidence: Evidence) -> Iterator[Change]:
    S = evidence.arrays.get("initial_state")
    if isinstance(S, np.ndarray) and S.ndim == evidence.o.ndim and S.shape[-1] == S.shape[-2]:
        yield Change(evidence.changed(initial_state=np.swapaxes(S, -1, -2)))


def _undecayed(evidence: Evidence) -> Iterator[Change]:
    """S_0 over the first token's gate, which cancels it."""
    S, gate = evidence.arrays.get("initial_state"), evidence.arrays.get("log_decay")
    if not isinstance(S, np.ndarray) or gate is None:
        return
    first = np.exp(-gate[..., 0, :] if gate.ndim == evidence.o.ndim else -gate[..., :1])
    if S.ndim == evidence.o.ndim:
        first = first[..., None]
    yield Change(evidence.changed(initial_state=first * S))


def _lost_once(evidence: Evidence) -> Iterator[Change]:
    """From the first wrong token on, the layer as if the sequence began there."""
    s = evidence.first
    if evidence.row.causal and s > 0:
        arrays = {n: x for n, x in evidence.between(s, None).items() if n != "initial_state"}
        yield Change(arrays, detail=str(s), rows=slice(s, None))


def _lost(evidence: Evidence) -> Iterator[Change]:
    for chunk in _CHUNKS:
        if evidence.row.causal and chunk < evidence.T:
            yield _forgetful(evidence, chunk)


def _forgetful(evidence: Evidence, chunk: int) -> Change:
    """Chunks as batch entries, all but the first beginning from nothing; the last filled up with its last token."""
    at, n = evidence.at, -(-evidence.T // chunk)

    def folded(x: np.ndarray) -> np.ndarray:
        x = x.take(np.minimum(np.arange(n * chunk), evidence.T - 1), at)
        return np.moveaxis(x.reshape(*x.shape[:at], n, chunk, *x.shape[at + 1 :]), at, 0)

    def place(o: np.ndarray) -> np.ndarray:
        o = np.moveaxis(o, 0, at)
        return o.reshape(*o.shape[:at], n * chunk, o.shape[-1])[..., : evidence.T, :]

    arrays = {}
    for name, x in evidence.arrays.items():
        own = np.broadcast_to(x, (n, *x.shape)) if np.ndim(x) else x
        arrays[name] = folded(x) if name in evidence.timed else own
    if isinstance(arrays.get("initial_state"), np.ndarray):
        at_start = np.arange(n).reshape(-1, *(1,) * (arrays["initial_state"].ndim - 1)) == 0
        arrays["initial_state"] = np.where(at_start, arrays["initial_state"], 0.0)
    return Change(arrays, detail=str(chunk), place=place)


def _handed_over(change: HandOver, evidence: Evidence) -> Iterator[Change]:
    """The layer run chunk by chunk, `change(before, after, arrays)` being what the next chunk starts from."""
    if not (evidence.row.causal and "initial_state" in evidence.row.optional):
        return
    for chunk in _CHUNKS:
        if chunk < evidence.T:
            yield Change(evidence.arrays, detail=str(chunk), layer=by_chunks(evidence, chunk, change))


def by_chunks(evidence: Evidence, chunk: int, change: HandOver) -> Callable[..., Output]:
    """The layer run chunk by chunk, `change(before, after, arrays)` handing the state on."""
    row, timed, at = evidence.row, evidence.timed, evidence.at

    def layer(**arrays: Any) -> Output:
        outputs, before = [], arrays.pop("initial_state", None)
        extra = arrays["q"].ndim - 2 - at  # replicas stand first
        for s in range(0, evidence.T, chunk):
            piece = {n: along_time(x, at + extra, slice(s, s + chunk)) if n in timed else x for n, x in arrays.items()}
            out = row.layer(**piece, initial_state=before)
            outputs.append(out.o)
            before = change(before, out.state, piece)
        return Output(concat(outputs, -2), before)

    return layer


def _turned(before: Any, after: Any, piece: Arrays) -> Any:
    if after.ndim < 2 or after.shape[-1] != after.shape[-2]:
        raise ValueError("state: expected a square matrix")
    return namespace(after).matrix_transpose(after)


def _kept(before: Any, after: Any, piece: Arrays) -> Any:
    """The chunk's writes upon the state that it found, not decayed: S_C + (1 - Π D) S_0."""
    if before is None or "log_decay" not in piece:
        return after
    xp, gate = namespace(after), piece["log_decay"]
    gate = gate if gate.ndim == piece["q"].ndim else gate[..., None]
    passed = xp.exp(xp.sum(gate, axis=-2, keepdims=True))
    passed = xp.matrix_transpose(passed) if after.ndim == piece["q"].ndim else passed[..., 0, :]
    return after + (before - passed * before)


def _first_gate_lost(evidence: Evidence) -> Iterator[Change]:
    gate = evidence.arrays.get("log_decay")
    for chunk in _CHUNKS:
        if gate is not None and chunk < evidence.T:
            at_starts = gate.copy()
            along_time(at_starts, evidence.at, slice(chunk, None, chunk))[...] = 0.0
            yield Change(evidence.changed(log_decay=at_starts), detail=str(chunk))


def _undecayed_chunks(evidence: Evidence) -> Iterator[Change]:
    yield from _first_gate_lost(evidence)
    if "log_decay" in evidence.arrays:
        yield from _handed_over(_kept, evidence)


STATES = (
    Variant("state.dropped", "the initial state dropped", _dropped),
    Variant("state.transposed", "the initial state transposed", _transposed),
    Variant("state.undecayed", "the first token's decay of the initial state missing", _undecayed),
    Variant("state.negated", "the initial state subtracted", partial(_initial, np.negative), Word.WRONG),
    Variant("state.lost_chunk", "the state lost at the start of every chunk of {detail} tokens", _lost, Word.WRONG),
    Variant("state.lost_once", "the state lost at token {detail}, once", _lost_once, Word.WRONG),
    Variant(
        "state.undecayed_chunk",
        "the decay missing where one chunk of {detail} tokens hands its state to the next",
        _undecayed_chunks,
        Word.WRONG,
    ),
    Variant(
        "state.transposed_chunk",
        "the state transposed where one chunk of {detail} tokens hands it to the next",
        partial(_handed_over, _turned),
        Word.WRONG,
    ),
)
