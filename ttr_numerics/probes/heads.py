"""Heads that share: grouped queries (keys and values of fewer heads) and grouped values (queries and keys of fewer)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.caller import SubjectError
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, drawn
from ttr_numerics.probes.regimes import compared
from ttr_numerics.probes.subject import Case, Subject

__all__ = ["HEADS", "keeps_tokens"]


def keeps_tokens(row: Pairing) -> bool:
    """Whether what the layer remembers grows with every token, or is nothing but the tokens."""
    rng = np.random.default_rng(0)
    short, long = (row.layer(**row.example(rng, (1, 1), T=T)).state for T in (4, 8))
    return short is None or _entries(long) > _entries(short)


def _entries(state: Any) -> int:
    return sum(map(_entries, state)) if isinstance(state, tuple) else int(np.size(state))


def _grouped(subject: Subject, rng: np.random.Generator) -> Found:
    """Four heads of which two share a key: keys and values where tokens are kept, else queries and keys."""
    if not subject.convention.grouped_heads:
        raise NotApplicable("no grouped heads were declared (--grouped-heads)")
    arrays, shared = drawn(subject, rng, (1, 4)), "kv" if keeps_tokens(subject.row) else "qk"
    case = subject.case({n: np.repeat(x[:, ::2], 2, axis=1) if n in shared else x for n, x in arrays.items()})
    foreign, swapped = {ours: n for n, ours in subject.convention.names}, subject.convention.layout.ours
    few = {n: swapped(swapped(case.foreign[n], 1)[:, ::2], 1) for n in (foreign.get(x, x) for x in shared)}
    try:
        return compared(subject, Case(case.ours, case.foreign | few))
    except SubjectError as error:
        raise NotApplicable(f"the subject refuses {' and '.join(shared)} of fewer heads: {error}") from error


def _tiled(row: Pairing) -> Callable[..., Any]:
    """Shared heads repeated in the wrong order: head h reads head h mod 2."""

    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        heads = max(x.shape[1] for x in (q, k, v))
        q, k, v = (np.concatenate([x] * (heads // x.shape[1]), axis=1) for x in (q, k, v))
        return row.layer(q, k, v, **named)

    return faulty


HEADS = (
    Probe("grouped heads", "equals the layer where neighbouring heads share", _grouped, _tiled, tags=("agreement",)),
)
