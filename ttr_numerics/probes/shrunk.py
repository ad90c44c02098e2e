"""A failing case made small: fewest tokens, heads and channels, then the plainest numbers, that still fail.

Sizes are searched by hypothesis, as a small spec of where to cut the arrays; then one array after another takes the
plainest values with which the case still fails. What is left is judged again with a tolerance drawn afresh.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.pairs import Pairing
from ttr_numerics.probes.caller import SubjectError
from ttr_numerics.probes.failure import Failure, Made, Mode, again, settled
from ttr_numerics.probes.subject import Case, NotApplicable, Subject

__all__ = ["CALLS", "shrunk"]

CALLS = 120  # cases that may be tried for one failure
Spec = Mapping[str, int]


@dataclass
class _Trial:
    """Tries other calls in place of those of `best`, until the clock or `left` runs out.

    Calls count only if they fail by twice their tolerance, so that another draw of it finds them too; where those at
    hand fail by less, by that.
    """

    subject: Subject
    best: Failure
    exact: bool
    until: float
    left: int = CALLS

    @property
    def over(self) -> bool:
        return self.left <= 0 or time.perf_counter() >= self.until

    def fails(self, made: Callable[[], Sequence[Made]]) -> Failure | None:
        """How the calls that are `made` fail, if there are any and they fail as `best` does."""
        if self.over:
            return None
        self.left -= 1
        try:
            calls = made()
            failure = (again if len(calls) == 1 else settled)(self.subject, calls, self.exact) if calls else None
        except (SubjectError, NotApplicable):
            return None
        if failure is None or _manner(failure) != _manner(self.best) or failure.ratio < min(2.0, self.best.ratio):
            return None
        return failure


def shrunk(
    subject: Subject, failure: Failure, exact: bool, seconds: float, like: Sequence[Made] | None = None
) -> Failure:
    """The smallest case found within `seconds` (and `CALLS`) that fails as `failure` does: it, where there is none.

    `like` is a small case of another failure of the same subject: its sizes are tried first.
    """
    trial = _Trial(subject, failure, exact, time.perf_counter() + seconds)
    if like is not None:
        caps, lengths = _lengths(like), _lengths(failure.calls)
        spec = {axis: min(n, caps.get(axis, n)) for axis, n in lengths.items()}
        trial.best = trial.fails(lambda: _cut(subject, failure.calls, spec)) or failure
    _sizes(trial)
    _values(trial)
    with suppress(SubjectError):
        fresh = settled(subject, trial.best.calls, exact, seed=1)
        if fresh is not None and _manner(fresh) == _manner(failure):
            return replace(fresh, shrunk=True, profile=failure.worst_head)
    return replace(failure, profile=failure.worst_head)


def _manner(failure: Failure) -> tuple[Mode, str]:
    """The mode and the kind of error: a case that fails otherwise is another case."""
    return failure.mode, failure.said.partition(":")[0]


def _sizes(trial: _Trial) -> None:
    """First which axes may be cut to 1, then how far each may be cut, and where."""
    _find(trial, {axis: (1, n) for axis, n in _lengths(trial.best.calls).items()})
    lengths = _lengths(trial.best.calls)
    places = {f"first {axis}": range(n) for axis, n in lengths.items() if axis in ("T", "heads", "batch")}
    _find(trial, {axis: range(1, n + 1) for axis, n in lengths.items()} | places)


def _find(trial: _Trial, choices: Mapping[str, Sequence[int]]) -> None:
    """Let hypothesis look for the simplest spec that fails: the earliest choice of each axis, the first axes first."""
    _leave_no_files()
    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import NoSuchExample

    calls, whole = trial.best.calls, tuple(_lengths(trial.best.calls).values())
    known: dict[tuple[int, ...], Failure | None] = {}

    def fails(values: tuple[int, ...]) -> bool:
        spec = dict(zip(choices, values, strict=True))
        if values not in known:
            known[values] = (
                None if values[: len(whole)] == whole else trial.fails(lambda: _cut(trial.subject, calls, spec))
            )
        return known[values] is not None

    alone = settings(
        max_examples=CALLS // 4,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    with suppress(NoSuchExample):
        simplest = find(st.tuples(*(st.sampled_from(c) for c in choices.values())), fails, settings=alone)
        trial.best = known[simplest] or trial.best


@cache
def _leave_no_files() -> tempfile.TemporaryDirectory | None:
    """Where hypothesis is not the caller's own, what it would leave in the working folder goes to a temporary one."""
    if "hypothesis" in sys.modules:
        return None
    from hypothesis.configuration import set_hypothesis_home_dir

    folder = tempfile.TemporaryDirectory(prefix="ttr-hypothesis-")
    set_hypothesis_home_dir(folder.name)
    return folder


def _lengths(calls: Sequence[Made]) -> dict[str, int]:
    """The length of every axis that can be cut, of the whole chain for T; those that are cut first come first."""
    ours = calls[-1].case.ours
    batch = dict(zip(("batch", "heads"), ours["q"].shape[-4:-2], strict=False))
    named = {"d_v": ours["v"].shape[-1], "d_k": ours["q"].shape[-1]}
    return {"T": _offset(calls, len(calls) - 1) + ours["q"].shape[-2]} | batch | named


def _offset(calls: Sequence[Made], place: int) -> int:
    """How many tokens a state at `place` has seen before."""
    source = calls[place].source
    return 0 if source is None else _offset(calls, source) + calls[source].case.ours["q"].shape[-2]


def _cut(subject: Subject, calls: Sequence[Made], spec: Spec) -> tuple[Made, ...]:
    """Every call on the tokens, heads and channels of `spec`; calls with none left are dropped; () where it cannot be.

    What only the beginning of a chain is given goes to its first call that is left.
    """
    kept: dict[int, int] = {}
    result: list[Made] = []
    start = spec.get("first T", 0)
    stop = start + spec["T"]
    for place, call in enumerate(calls):
        offset, T = _offset(calls, place), call.case.ours["q"].shape[-2]
        window = slice(max(start - offset, 0), max(stop - offset, 0))
        if window.start >= T or window.stop <= 0:
            continue
        source = call.source
        while source is not None and source not in kept:
            source = calls[source].source
        arrays = dict(call.case.ours) if source is not None else _root(calls, place) | call.case.ours
        arrays = {n: _piece(subject.row, n, x, arrays, spec, window) for n, x in arrays.items()}
        kept[place] = len(result)
        result.append(Made(_case(subject, call, arrays), None if source is None else kept[source]))
    return tuple(result) if len(calls) - 1 in kept else ()


def _case(subject: Subject, call: Made, arrays: Mapping[str, Any]) -> Case:
    """The call with other arrays, and what it was given beside the layer's (a chunk length)."""
    case = subject.case(arrays)
    extra = {n: x for n, x in call.case.foreign.items() if n not in subject.case(call.case.ours).foreign}
    return replace(case, foreign=case.foreign | extra)


def _root(calls: Sequence[Made], place: int) -> dict[str, Any]:
    while (source := calls[place].source) is not None:
        place = source
    return calls[place].case.ours


def _piece(row: Pairing, name: str, x: Any, arrays: Mapping[str, Any], spec: Spec, window: slice) -> Any:
    """The part of one array: window along T, the first channels, a run of heads and of batch entries."""
    if not isinstance(x, np.ndarray) or not x.ndim:
        return x
    leading, shape = arrays["q"].ndim - 2, _shape(row, name, x.ndim - arrays["q"].ndim + 2)
    index: list[slice] = []
    for axis in ("batch", "heads")[-leading:] if leading else ():
        first = spec.get(f"first {axis}", 0)
        index.append(slice(first, first + spec.get(axis, 1)))
    index = [slice(None)] * (leading - len(index)) + index
    index += [window if axis == "T" else slice(spec.get(axis)) for axis in shape]
    piece = x[tuple(index)]
    return np.array(piece if piece.size else x[tuple(slice(0, 1) for _ in index)])


def _shape(row: Pairing, name: str, axes: int) -> tuple[str, ...]:
    """The axes, by name, of an array with so many after the batch."""
    shapes = next((x.shapes for x in (row.queries, *row.arguments) if x.name == name), ())
    return next((shape for shape in shapes if len(shape) == axes), ("?",) * axes)


def _values(trial: _Trial) -> None:
    """One array of the last call and its chain after another, until nothing plainer fails."""
    row = trial.subject.row
    arguments = {x.name: x for x in (row.queries, *row.arguments)}
    names = [n for n, x in trial.best.calls[-1].case.ours.items() if isinstance(x, np.ndarray) and n in arguments]
    for name in sorted(names, key=lambda n: (n not in arguments, n in "qk", n)):
        for plain in _plainer(arguments[name]):
            if trial.over:
                return
            plainer = trial.fails(partial(_with, trial.subject, trial.best.calls, arguments[name], plain))
            if plainer is not None:
                trial.best = plainer
                break


def _with(subject: Subject, calls: Sequence[Made], x: Argument, plain: Callable) -> tuple[Made, ...]:
    """The calls with plainer values of one array; () where they are outside its domain, or the same."""
    result = []
    for call in calls:
        arrays = dict(call.case.ours)
        if x.name in arrays:
            arrays[x.name] = plain(arrays[x.name])
            if x.domain.outside(arrays[x.name]).any():
                return ()
        result.append(replace(call, case=_case(subject, call, arrays)))
    same = all(_equal(a.case, b.case, x.name) for a, b in zip(calls, result, strict=True))
    return () if same else tuple(result)


def _equal(one: Case, other: Case, name: str) -> bool:
    return np.array_equal(one.ours.get(name, 0.0), other.ours.get(name, 0.0))


def _plainer(x: Argument) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Plainest first: zeros, ones, one-hot rows, whole numbers, eighths, two digits."""
    yield np.zeros_like
    if x.domain in (Domain.LOG_GATE, Domain.LOG_WEIGHT):
        yield lambda a: np.full_like(a, -1.0)
    else:
        yield np.ones_like
    if x.shapes[0][-1:] in (("d_k",), ("d_v",)):
        yield _one_hot
    yield np.round
    yield lambda a: np.round(8 * a) / 8
    yield _two_digits


def _one_hot(a: np.ndarray) -> np.ndarray:
    """A one where each row is largest."""
    return np.where(np.arange(a.shape[-1]) == np.argmax(np.abs(a), axis=-1)[..., None], 1.0, 0.0)


def _two_digits(a: np.ndarray) -> np.ndarray:
    """Rounded to two decimal digits of its largest entry."""
    largest = np.max(np.abs(a), initial=0.0, where=np.isfinite(a))
    return np.round(a, 1 - int(np.floor(np.log10(largest)))) if largest > 0 else a
