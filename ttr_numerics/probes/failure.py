"""A failing case: the calls that show it, in order, and the last one's output beside what it should have been."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.arrays import concat as joined_arrays
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS, Contract, throughout
from ttr_numerics.probes.caller import FINAL_STATE, SubjectError
from ttr_numerics.probes.subject import Answer, Case, Entry, NotApplicable, Subject
from ttr_numerics.tolerance import rounding, row_norms

__all__ = ["Failure", "Made", "Mode", "again", "chain", "found", "joined", "settled", "timed"]


class Mode(Enum):
    """How a case fails: the values are what a person reads."""

    OUTPUT = "the output is beyond its tolerance"
    NOT_FINITE = "the output is not finite"
    NO_OUTPUT = "no output of the layer's shape comes back"
    INPUTS = "the call wrote into its inputs"


@dataclass(frozen=True)
class Made:
    """One call. `source` is the place in the list of the call whose final state was handed in, None for none."""

    case: Case
    source: int | None = None


@dataclass(frozen=True)
class Failure:
    """`calls`, of which the last is judged: ‖got_t - expected_t‖ was to be at most `tolerance` (..., T).

    `got` and `expected` (..., T, d_v) are in the layers' own layout, `got` None where no output came back; `said` is
    the subject's error then, or the names of the inputs that it wrote into. `shrunk`: smaller cases were looked for;
    `asks_state`: the subject is asked for its final state by a flag. `profile` (2, T): error and tolerance of the worst
    head, before the case was made small.
    """

    mode: Mode
    calls: tuple[Made, ...]
    expected: np.ndarray
    tolerance: np.ndarray
    got: np.ndarray | None = None
    said: str = ""
    shrunk: bool = False
    asks_state: bool = False
    profile: np.ndarray | None = None

    @property
    def sentence(self) -> str:
        """Its sizes, what it shows, and where first."""
        last = self.calls[-1].case.ours
        *_, heads, T, d_k = last["q"].shape
        sizes = f"{_several(T, 'token')}, {_several(heads, 'head')}, d_k = {d_k}, d_v = {last['v'].shape[-1]}"
        calls = f"the last of {len(self.calls)} calls, " if len(self.calls) > 1 else ""
        if self.mode is Mode.INPUTS or self.got is None:
            return f"{calls}{sizes}: {self.mode.value} ({self.said})"
        wrong = np.argwhere(~(self.error <= self.tolerance))
        place = tuple(int(i) for i in wrong[np.argmin(wrong[:, -1])])
        got, expected = (np.array2string(x[place], precision=6, threshold=4) for x in (self.got, self.expected))
        at = f"at token {place[-1]} of head {place[-2]} it gives {got}, expected {expected}"
        return f"{calls}{sizes}: {at} within {self.tolerance[place]:.1e}"

    @property
    def size(self) -> int:
        """How many numbers the calls hold."""
        return sum(int(np.size(x)) for call in self.calls for x in call.case.foreign.values())

    @property
    def error(self) -> np.ndarray:
        """‖got_t - expected_t‖ (..., T); infinite where there is no such number."""
        if self.got is None:
            return np.full(self.tolerance.shape, np.inf)
        return _distance(self.got, self.expected)

    @property
    def worst_head(self) -> np.ndarray | None:
        """Error and tolerance (2, T) of the head whose error is largest in units of its tolerance."""
        if self.mode is not Mode.OUTPUT:
            return None
        ratio = np.max(self.error / np.where(self.tolerance > 0, self.tolerance, np.finfo(float).tiny), axis=-1)
        head = np.unravel_index(np.argmax(ratio), ratio.shape)
        return np.stack([self.error[head], self.tolerance[head]])

    @property
    def ratio(self) -> float:
        """The largest error in units of its tolerance."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(self.error == 0, 0.0, self.error / self.tolerance)
        return float(np.max(np.where(np.isnan(ratio), np.inf, ratio), initial=0.0))


def found(subject: Subject, journal: Sequence[Entry], exact: bool) -> Failure | None:
    """The first call of a journal that fails, made again: alone, else after all that were made before it.

    A law that two calls break to more than the sum of their tolerances cannot hold of two that keep theirs: so one of
    them fails by itself, and that is the one to show. None where no call fails when it is repeated.
    """
    calls = _made(journal)
    for place, entry in enumerate(journal):
        if _judged(subject, calls[: place + 1], entry, exact, 0) is None:
            continue
        for attempt in (chain(calls, place), calls[: place + 1]):
            failure = settled(subject, attempt, exact)
            if failure is not None:
                return failure
    return None


def settled(subject: Subject, calls: Sequence[Made], exact: bool, seed: int = 0) -> Failure | None:
    """`again`, twice, a call on zero values between: None where the two differ, as where something is remembered.

    Then it is not these calls alone that fail, and a program that made them would show nothing.
    """
    failure = again(subject, calls, exact, seed)
    if failure is None:
        return None
    zero = {n: 0.0 * x if n == "v" else x for n, x in calls[0].case.ours.items()}
    with suppress(SubjectError, NotApplicable):
        replace(subject, journal=[]).answer(subject.case(zero))
    other = again(subject, calls, exact, seed)
    if other is None or failure.mode is not other.mode:
        return None
    if failure.got is None or other.got is None or failure.mode is Mode.NOT_FINITE:
        return failure
    return failure if (_distance(failure.got, other.got) <= failure.tolerance).all() else None


def again(subject: Subject, calls: Sequence[Made], exact: bool, seed: int = 0) -> Failure | None:
    """Make `calls` and judge the last, its tolerance drawn from `seed`; None where it is as it should be.

    Raises SubjectError where a call before the last does not run.
    """
    states: list[Any] = []
    noted = replace(subject, journal=[])
    for place, call in enumerate(calls):
        try:
            states.append(noted.answer(call.case, None if call.source is None else states[call.source]).state)
        except SubjectError:
            if place + 1 < len(calls):
                raise
    return _judged(subject, calls, noted.journal[-1], exact, seed)


def chain(calls: Sequence[Made], place: int) -> tuple[Made, ...]:
    """The calls whose state reached `place`, and it itself."""
    places = [place]
    while (source := calls[places[0]].source) is not None:
        places.insert(0, source)
    return tuple(replace(calls[p], source=n - 1 if n else None) for n, p in enumerate(places))


def joined(row: Pairing, calls: Sequence[Made]) -> dict[str, Any]:
    """The layer's arrays of a chain as one run: those with a time axis one after another, the others as at first."""
    first, long = calls[0].case.ours, timed(row)
    axis = first["q"].ndim - 2
    return {n: joined_arrays([c.case.ours[n] for c in calls], axis) if n in long else x for n, x in first.items()}


def timed(row: Pairing) -> set[str]:
    """Names of the arrays with a time axis."""
    return {"q", "k", "v"} | {x.name for x in row.arguments if "T" in x.shapes[0]}


def _made(journal: Sequence[Entry]) -> list[Made]:
    """Entries with the place of the call whose final state they were given, the latest that gave it."""
    calls: list[Made] = []
    for place, entry in enumerate(journal):
        earlier = range(place - 1, -1, -1) if entry.state is not None else ()
        source = next((p for p in earlier if _same(journal[p].answer, entry.state)), None)
        calls.append(Made(entry.case, source))
    return calls


def _same(answer: Answer | None, state: Any) -> bool:
    return answer is not None and (answer.state is state or (isinstance(state, int) and answer.state == state))


def _judged(subject: Subject, calls: Sequence[Made], entry: Entry, exact: bool, seed: int) -> Failure | None:
    """What is wrong with the answer to the last of `calls`, if anything; nothing where the layer itself has none."""
    line = chain(calls, len(calls) - 1)
    expected = _expected(subject, line)
    if expected is None:
        return None
    unbounded, asks = np.full(expected.shape[:-1], np.inf), FINAL_STATE in subject.caller.parameters()
    right = Failure(Mode.INPUTS, tuple(calls), expected, unbounded, asks_state=asks)
    answer = entry.answer
    if answer is None:
        return replace(right, mode=Mode.NO_OUTPUT, said=str(entry.error))
    right = replace(right, got=answer.o, said=", ".join(answer.changed))
    if (right.error > FORMATS[subject.dtype].u * row_norms(expected)).any():  # else it is rounding of o at most
        tolerance = _tolerance(subject, line, exact, seed)
        finite = np.isfinite(right.error).all()
        if (right.error > tolerance).any():
            return replace(right, mode=Mode.OUTPUT if finite else Mode.NOT_FINITE, tolerance=tolerance, said="")
    return right if answer.changed else None


def _expected(subject: Subject, line: Sequence[Made]) -> np.ndarray | None:
    """The float64 layer on a whole chain, at the tokens of its last call; None where the format cannot hold it."""
    try:
        with quiet():
            o = np.asarray(subject.row.layer(**joined(subject.row, line)).o)
    except (LinAlgError, ValueError):
        return None
    if not np.isfinite(o).all() or np.max(np.abs(o)) > FORMATS[subject.dtype].largest:
        return None
    return o[..., -line[-1].case.ours["q"].shape[-2] :, :]


def _tolerance(subject: Subject, line: Sequence[Made], exact: bool, seed: int) -> np.ndarray:
    """The tolerance (..., T) at the tokens of a chain's last call; on exact inputs that of float32 at least.

    They are made so that float32 loses next to nothing: what is not kept so is what they are there to find.
    """
    row, arithmetic = subject.row, subject.arithmetic
    contract = arithmetic if isinstance(arithmetic, Contract) else throughout(arithmetic)
    if exact and contract.finest.precision < FORMATS["float32"].precision:
        contract = throughout(FORMATS["float32"])
    arrays = joined(row, line)
    try:
        with quiet():
            bound = rounding(row.layer, arrays, contract, FORMATS[subject.dtype], forms=row.forms, seed=seed).bound
    except LinAlgError:  # in this arithmetic the layer itself has no answer
        return np.full(line[-1].case.ours["q"].shape[:-1], np.inf)
    return bound[..., -line[-1].case.ours["q"].shape[-2] :]


def _distance(o: np.ndarray, expected: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        difference = o - expected
    return row_norms(np.where(np.isfinite(difference), difference, np.inf))


def _several(n: int, what: str) -> str:
    return f"{n} {what}" + ("s" if n != 1 else "")
