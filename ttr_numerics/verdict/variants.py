"""What a wrong output might be instead: the catalogue's own layers on changed arrays, one candidate a hypothesis."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing, catalogue, pairing
from ttr_numerics.problem import Problem
from ttr_numerics.verdict.verdict import Word

__all__ = ["Candidate", "candidates"]


@dataclass(frozen=True)
class Candidate:
    """`layer` on `arrays` gives what the subject would be at `rows`, if `sentence` were true.

    `place` maps the layer's output (..., T', d_v) to those rows (..., len(rows), d_v).
    """

    word: Word
    sentence: str
    row: Pairing
    arrays: dict[str, Any]
    rows: slice
    place: Callable[[np.ndarray], np.ndarray]


def candidates(problem: Problem) -> Iterator[Candidate]:
    """Every hypothesis that can be formed from the problem's arrays, the border's first."""
    yield from _scales(problem)
    yield from _norms(problem)
    yield from _gates(problem)
    yield from _steps(problem)
    yield from _orders(problem)
    yield from _shifts(problem)
    yield from _states(problem)
    if problem.row.causal and problem.arrays["q"].shape[-2] > 1:
        yield from _masks(problem)
    for row in catalogue():
        if row is not problem.row and set(row.arrays) <= set(problem.arrays):
            taken = {"q", "k", "v", *row.arrays, *row.optional}
            arrays = {n: x for n, x in problem.arrays.items() if n in taken}
            if _accepts(row, arrays):
                yield _whole(row, arrays, Word.OTHER_LAYER, row.name)


def _accepts(row: Pairing, arrays: dict[str, Any]) -> bool:
    """Whether every array has as many axes as one of the shapes that `row` declares for it."""
    batch = arrays["q"].ndim - 2
    return all(
        any(np.ndim(arrays[x.name]) in {batch + len(shape), len(shape)} for shape in x.shapes)
        for x in row.arguments
        if x.name in arrays
    )


def _whole(row: Pairing, arrays: dict[str, Any], word: Word, sentence: str) -> Candidate:
    return Candidate(word, sentence, row, arrays, slice(None), _as_it_is)


def _scales(problem: Problem) -> Iterator[Candidate]:
    root = np.sqrt(problem.arrays["q"].shape[-1])
    changed = (
        (1 / root, "q·k divided by √d: if that scale is meant, declare it (--scale '1/sqrt(d)')"),
        (root, "q·k multiplied by √d: a factor 1/√d is missing"),
    )
    for factor, words in changed:
        arrays = {**problem.arrays, "q": problem.arrays["q"] * factor}
        yield _whole(problem.row, arrays, Word.CONVENTION, f"{problem.row.name} with {words}")


def _gates(problem: Problem) -> Iterator[Candidate]:
    if "log_decay" not in problem.arrays:
        return
    gate = problem.arrays["log_decay"]
    changed = (
        (gate * np.log(2.0), "the gate read as a base-2 logarithm"),
        (gate / np.log(2.0), "exp2 of a base-2 gate missing: the natural gate divided by ln 2"),
        (np.zeros_like(gate), "the gate ignored"),
    )
    for log_decay, words in changed:
        arrays = {**problem.arrays, "log_decay": log_decay}
        yield _whole(problem.row, arrays, Word.CONVENTION, f"{problem.row.name} with {words}")


def _masks(problem: Problem) -> Iterator[Candidate]:
    """The mask off by one: exclusive (each query misses its own key) or leaking (it sees the next one)."""
    name, arrays = problem.row.name, problem.arrays
    shift = {n: x for n, x in arrays.items() if n in ("q", "k", "v")}
    rest = {n: x for n, x in arrays.items() if n not in shift and np.ndim(x) == 0}
    if set(arrays) - set(shift) - set(rest):
        return  # gates would have to be shifted too, and conventions for that differ
    late = {**rest, "q": arrays["q"][..., 1:, :], "k": arrays["k"][..., :-1, :], "v": arrays["v"][..., :-1, :]}
    sentence = f"{name} with an exclusive mask (token t sees 1..t-1, off by one)"
    yield Candidate(Word.CONVENTION, sentence, problem.row, late, slice(1, None), _as_it_is)
    early = {**arrays, "q": np.concatenate([arrays["q"][..., :1, :], arrays["q"][..., :-1, :]], axis=-2)}
    sentence = f"{name} with a mask that leaks the future (token t sees 1..t+1, off by one)"
    yield Candidate(Word.CONVENTION, sentence, problem.row, early, slice(0, -1), lambda o: o[..., 1:, :])


def _norms(problem: Problem) -> Iterator[Candidate]:
    """q and k, or k alone, brought to norm 1 inside."""
    unit = {
        n: x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + 1e-6) for n, x in problem.arrays.items() if n in "qk"
    }
    for names, words in (("qk", "q and k"), ("k", "k")):
        arrays = {**problem.arrays, **{n: unit[n] for n in names}}
        yield _variant(problem, arrays, f"{words} normalised inside (eps 1e-6): declare it, or do not")


def _steps(problem: Problem) -> Iterator[Candidate]:
    """The step size under another gradient factor, or through a sigmoid once too often."""
    if "beta" not in problem.arrays:
        return
    beta, d_v = problem.arrays["beta"], problem.arrays["v"].shape[-1]
    for factor, words in ((2.0, "2"), (0.5, "1/2"), (2.0 / d_v, "2/d_v")):
        yield _variant(
            problem, {**problem.arrays, "beta": factor * beta}, f"beta times {words}: another gradient factor"
        )
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(-beta))
    yield _variant(problem, {**problem.arrays, "beta": sigmoid}, "beta sent through a sigmoid")


def _orders(problem: Problem) -> Iterator[Candidate]:
    """Forgetting after the error, reading before the write: the orders in which published code differs."""
    arrays, name = problem.arrays, problem.row.name
    gate = arrays.get("log_decay")
    if name == "gated_delta_rule" and gate is not None:
        beta, k = arrays["beta"][..., None], arrays["k"]
        late = {"q": arrays["q"], "k": k, "v": beta * arrays["v"], "a": -beta * k, "b": k, "log_decay": gate}
        late |= {n: arrays[n] for n in ("initial_state",) if n in arrays}
        sentence = f"{name} with the error taken before the decay"
        yield Candidate(Word.CONVENTION, sentence, pairing("generalized_delta_rule"), late, slice(None), _as_it_is)
    if gate is None or gate.ndim > arrays["q"].ndim or not problem.row.causal or arrays["q"].shape[-2] < 2:
        return
    aged = np.exp(gate) if gate.ndim == arrays["q"].ndim else np.exp(gate)[..., None]
    for q, words in ((arrays["q"], "the state before its decay"), (arrays["q"] * aged, "the state after its decay")):
        yield _reading_before(problem, q, words)


def _reading_before(problem: Problem, q: np.ndarray, words: str) -> Candidate:
    """o_t = q_t S_{t-1}: what token t - 1 reads with the next query."""
    timed = _timed(problem)
    early = {n: _cut(problem, x, 0, -1) if n in timed else x for n, x in problem.arrays.items()}
    early["q"] = q[..., 1:, :]
    sentence = f"{problem.row.name} read before the write ({words})"
    return Candidate(Word.CONVENTION, sentence, problem.row, early, slice(1, None), _as_it_is)


def _shifts(problem: Problem) -> Iterator[Candidate]:
    """Keys or values late by one token; queries and keys exchanged."""
    arrays = problem.arrays
    if arrays["q"].shape[-2] > 1:
        for name in ("k", "v"):
            x = arrays[name]
            axis = arrays["q"].ndim - 2
            late = np.concatenate([np.zeros_like(x.take([0], axis)), _cut(problem, x, 0, -1)], axis=axis)
            yield _variant(problem, {**arrays, name: late}, f"{name} late by one token", Word.WRONG)
    if arrays["k"].shape == arrays["q"].shape:
        yield _variant(problem, {**arrays, "q": arrays["k"], "k": arrays["q"]}, "q and k exchanged", Word.WRONG)


def _states(problem: Problem) -> Iterator[Candidate]:
    """The initial state dropped or transposed, the state lost at the start of every chunk."""
    arrays = problem.arrays
    if "initial_state" in arrays:
        without = {n: x for n, x in arrays.items() if n != "initial_state"}
        yield _whole(problem.row, without, Word.CONVENTION, f"{problem.row.name} with the initial state dropped")
        S = arrays["initial_state"]
        if S.shape[-1] == S.shape[-2]:
            turned = {**arrays, "initial_state": np.swapaxes(S, -1, -2)}
            yield _variant(problem, turned, "the initial state transposed")
    T = arrays["q"].shape[-2]
    for chunk in (16, 32, 64, 128, 256):
        if problem.row.causal and chunk < T:
            yield _forgetful(problem, chunk)


def _forgetful(problem: Problem, chunk: int) -> Candidate:
    """The chunks of the sequence as batch entries: each begins from nothing. The tokens left over are not compared."""
    timed, T = _timed(problem), problem.arrays["q"].shape[-2]
    whole, at = T - T % chunk, problem.arrays["q"].ndim - 2

    def folded(x: np.ndarray) -> np.ndarray:
        x = x.take(range(whole), at)
        return np.moveaxis(x.reshape(*x.shape[:at], whole // chunk, chunk, *x.shape[at + 1 :]), at, 0)

    def spread(x: Any) -> Any:  # one row for all chunks of a head, as many as there are
        return np.broadcast_to(x, (whole // chunk, *x.shape)) if np.ndim(x) else x

    given = {n: x for n, x in problem.arrays.items() if n != "initial_state"}
    arrays = {n: folded(x) if n in timed else spread(x) for n, x in given.items()}
    sentence = f"{problem.row.name} with the state lost at the start of every chunk of {chunk} tokens"
    return Candidate(
        Word.WRONG,
        sentence,
        problem.row,
        arrays,
        slice(0, whole),
        lambda o: np.moveaxis(o, 0, at).reshape(*o.shape[1 : at + 1], whole, o.shape[-1]),
    )


def _timed(problem: Problem) -> set[str]:
    """Names of the arrays with a time axis."""
    return {"q", "k", "v"} | {x.name for x in problem.row.arguments if "T" in x.shapes[0]}


def _cut(problem: Problem, x: np.ndarray, start: int, stop: int | None) -> np.ndarray:
    where = [slice(None)] * x.ndim
    where[problem.arrays["q"].ndim - 2] = slice(start, stop)
    return x[tuple(where)]


def _as_it_is(o: np.ndarray) -> np.ndarray:
    return o


def _variant(problem: Problem, arrays: dict[str, Any], words: str, word: Word = Word.CONVENTION) -> Candidate:
    return _whole(problem.row, arrays, word, f"{problem.row.name} with {words}")
