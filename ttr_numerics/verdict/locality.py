"""Where an output is wrong, where nothing says why: which tokens, heads, batch entries, ends of chunks."""

import numpy as np

from ttr_numerics.verdict.evidence import Evidence

__all__ = ["in_time", "located"]

_CHUNKS = (256, 128, 64, 32, 16)


def located(evidence: Evidence) -> tuple[str | None, str]:
    """A cause's key, None where the place says nothing, and the sentence."""
    tokens = np.flatnonzero(evidence.wrong.reshape(-1, evidence.T).any(axis=0))
    place, across = in_time(evidence), _across(evidence)
    if place is not None:
        return place[0], place[1] + (f"; {across[1]}" if across else "")
    if across is not None:
        return across[0], f"{across[1]}; {_general(tokens, evidence.T)}"
    return None, _general(tokens, evidence.T)


def in_time(evidence: Evidence) -> tuple[str, str] | None:
    """Key and sentence of a telling set of wrong tokens: the first, the last, the tail, starts or ends of chunks."""
    tokens, T = np.flatnonzero(evidence.wrong.reshape(-1, evidence.T).any(axis=0)), evidence.T
    n, first = len(tokens), int(tokens[0])
    if T < 2 or n == T:
        return None
    if n == 1 and first == T - 1:
        return "rows.last", "wrong at the last token alone"
    if n == 1 and first == 0:
        return "rows.first", "wrong at the first token alone"
    for chunk in _CHUNKS:
        if chunk < T and T % chunk and first == T - T % chunk and n == T - first:
            return (
                "rows.tail",
                f"right up to token {first - 1} and wrong at every later one: the last {n} tokens are what is left of "
                f"{T} after whole chunks of {chunk}, which an implementation may not cover",
            )
    for chunk in _CHUNKS:
        starts = np.arange(chunk, T, chunk)
        if len(starts) > 1 and np.array_equal(tokens, starts):
            return "rows.chunk_starts", f"wrong at the first token of every chunk of {chunk} alone"
        ends = np.arange(chunk - 1, T, chunk)
        if len(ends) > 1 and np.array_equal(tokens, ends):
            return "rows.chunk_ends", f"wrong at the last token of every chunk of {chunk} alone"
    return None


def _across(evidence: Evidence) -> tuple[str, str] | None:
    """One head, or one batch entry, where there are several."""
    heads = evidence.heads
    if heads.ndim == 0 or heads.all() or heads.size < 2:
        return None
    for axis in range(heads.ndim - 1, -1, -1):
        others = tuple(a for a in range(heads.ndim) if a != axis)
        hit = heads.any(axis=others)
        if heads.shape[axis] > 1 and hit.sum() == 1:
            kind = ("head.one", "head") if axis == heads.ndim - 1 else ("batch.one", "batch entry")
            return kind[0], f"wrong in {kind[1]} {int(np.argmax(hit))} alone"
    return None


def _general(tokens: np.ndarray, T: int) -> str:
    first = int(tokens[0])
    boundary = next((c for c in _CHUNKS[1:] if first > 0 and first % c == 0), None)
    where = f" (a multiple of {boundary}: the start of a chunk?)" if boundary else ""
    if len(tokens) == T - first and first > 0:
        return f"right up to token {first - 1} and wrong at every later one{where}: equals no variant tried"
    return f"equals no variant tried; {len(tokens)} of {T} tokens are touched, from {first} to {tokens[-1]}"
