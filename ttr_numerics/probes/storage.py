"""The same numbers in other storage give the same output."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.agreement import agree
from ttr_numerics.probes.caller import SubjectError
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, drawn
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.probes.views import Stored, View
from ttr_numerics.verdict import Word

__all__ = ["STORAGE"]


def _storage(subject: Subject, rng: np.random.Generator) -> Found:
    """Every view in turn against contiguous arrays; three equal batch entries, so that one may be expanded."""
    arrays = {n: np.repeat(x, 3, axis=0) if np.ndim(x) > 1 else x for n, x in drawn(subject, rng).items()}
    case = subject.case(arrays)
    plain, allowed = subject.answer(case).o, cache(lambda: 2 * bound_of(subject, case).bound)
    views = [x for x in View if x is not View.REVERSED or subject.library == "numpy"]
    refused, worst = [], 0.0
    for view in views:
        stored = {n: Stored(x, view) if np.ndim(x) > 2 else x for n, x in case.foreign.items()}
        try:
            o = subject.unnoted.answer(Case(case.ours, stored)).o
        except SubjectError as error:
            refused.append(f"refused: {view.value} ({error})")
            continue
        good, ratio, first = agree(plain, o, allowed)
        if not good:
            return Found(Word.WRONG, (f"other storage, another output, first at {first}: {view.value}",), ratio)
        worst = max(worst, ratio)
    if len(refused) == len(views):
        raise NotApplicable(f"the subject takes contiguous arrays alone; {refused[0]}")
    return Found(Word.ROUNDING, (f"{len(views) - len(refused)} ways of storage make no difference", *refused), worst)


def _raw(row: Pairing) -> Callable[..., Any]:
    """Memory read as if every array were contiguous."""

    def read(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.base is None or x.flags.c_contiguous:
            return x
        return np.resize(x.base, x.shape)

    return lambda q, k, v, **named: row.layer(read(q), read(k), read(v), **{n: read(x) for n, x in named.items()})


STORAGE = (Probe("storage", "how numbers lie in memory changes nothing", _storage, _raw, tags=("law",)),)
