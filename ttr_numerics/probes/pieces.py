"""Calls on parts of a sequence, one handing its final state to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ttr_numerics.probes.probe import NotApplicable, timed
from ttr_numerics.probes.subject import Subject

__all__ = ["Part", "continued", "joined", "part"]

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """The outputs of one call and the state it left."""

    o: np.ndarray
    state: Any


def part(arrays: Arrays, subject: Subject, start: int, stop: int) -> Arrays:
    """Tokens `start` up to `stop` of every array with a time axis; what has none as it is."""
    axis, long = arrays["q"].ndim - 2, timed(subject.row)
    return {n: x.take(range(start, stop), axis) if n in long else x for n, x in arrays.items()}


def continued(subject: Subject, arrays: Arrays, state: Any = None) -> Part:
    """One call, from `state` if there is one; what the state carries is then no longer given."""
    if not subject.row.causal:
        raise NotApplicable(f"{subject.row.name} sees the whole sequence")
    if not subject.takes("initial_state"):
        raise NotApplicable("the subject takes no initial_state")
    carried = {x.name for x in subject.row.arguments if x.in_state}
    given = {n: x for n, x in arrays.items() if state is None or n not in carried}
    answer = subject.answer(subject.case(given), state)
    if answer.state is None:
        raise NotApplicable("the subject returns no final state")
    return Part(answer.o, answer.state)


def joined(subject: Subject, arrays: Arrays, cuts: Sequence[int], state: Any = None) -> np.ndarray:
    """The outputs of the pieces between `cuts`, the state handed on from each to the next."""
    pieces, ends = [], [0, *cuts, arrays["q"].shape[-2]]
    for start, stop in pairwise(ends):
        done = continued(subject, part(arrays, subject, start, stop), state)
        state = done.state
        pieces.append(done.o)
    return np.concatenate(pieces, axis=-2)
