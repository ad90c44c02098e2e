"""A subject's final state as the layer's own: its parts in the layer's order, transposed where it keeps them so."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.probe import NotApplicable, timed, within
from ttr_numerics.probes.subject import Case, Subject

__all__ = ["Continued", "carried", "cut", "hands_over"]


class Continued(NamedTuple):
    """A subject's outputs in our layout, and its final state as the layer would hold it."""

    o: np.ndarray
    state: Any


def carried(subject: Subject, case: Case) -> tuple[Continued, tuple[str, ...]]:
    """The subject's answer with its final state as the layer's, and what had to be turned round for that."""
    own = subject.row.layer(**case.ours).state
    if own is None:
        raise NotApplicable(f"{subject.row.name} has no state")
    answer = subject.answer(case)
    parts = () if answer.state is None else subject.caller.numbers(answer.state)
    if not parts:
        raise NotApplicable("the subject returns no final state")
    wanted = list(own) if isinstance(own, tuple) else [own]
    arrays = [x for x in wanted if _is_array(x)]
    parts = tuple(x for x in parts if x.ndim or any(not np.ndim(y) for y in arrays))
    if len(parts) < len(arrays):
        raise NotApplicable(f"its final state has {len(parts)} arrays, the layer's {len(arrays)}")
    matched = [_turned(subject, x, y) for x, y in zip(parts, arrays, strict=False)]
    found = iter(matched)
    state = [next(found)[0] if _is_array(x) else x for x in wanted]
    said = tuple(dict.fromkeys(sentence for _, sentence in matched if sentence))
    return Continued(answer.o, type(own)(*state) if isinstance(own, tuple) else state[0]), said


def cut(row: Pairing, arrays: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    """Tokens start..stop-1."""
    axis, long = arrays["q"].ndim - 2, timed(row)
    return {n: x.take(range(start, stop), axis) if n in long else x for n, x in arrays.items()}


def hands_over(subject: Subject, arrays: Mapping[str, Any], at: int, allowed: np.ndarray) -> bool:
    """Whether the subject itself goes on rightly from the state it returns after `at` tokens."""
    row, end = subject.row, arrays["q"].shape[-2]
    if not subject.takes("initial_state"):
        return False
    named = {x.name for x in row.arguments if x.in_state}
    later = {n: x for n, x in cut(row, arrays, at, end).items() if n not in named}
    state = subject.answer(subject.case(cut(row, arrays, 0, at))).state
    o = subject.answer(subject.case(later), state).o
    return within(subject.answer(subject.case(arrays)).o[..., at:, :], o, allowed[..., at:])[0]


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray)


def _turned(subject: Subject, x: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, str]:
    """`x` in the layout of `own`, declared or found: of the layouts that fit, the one nearest to it."""
    layouts = {"": subject.convention.state.ours(x) if x.ndim >= 2 else x}
    if x.ndim >= 2:
        layouts["its final state is transposed, against the declared layout"] = np.swapaxes(layouts[""], -1, -2)
    fitting = {said: y for said, y in layouts.items() if y.shape == own.shape}
    if not fitting:
        raise NotApplicable(f"its final state has another form than the layer's: {x.shape}, expected {own.shape}")
    nearest = min(fitting, key=lambda said: float(np.linalg.norm(np.nan_to_num(fitting[said] - own))))
    return fitting[nearest], nearest
