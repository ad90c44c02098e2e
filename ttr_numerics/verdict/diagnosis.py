"""Name the cause of a wrong output: which variant of the layer, or which other layer, gives it to rounding.

Every candidate is the catalogue's own layer on changed arrays. Candidates are ranked by distance; the nearest are
judged with a tolerance derived for the changed problem, so a match means equality to rounding, not likeness.
"""

from dataclasses import dataclass

import numpy as np

from ttr_numerics.precision import Format
from ttr_numerics.problem import Problem
from ttr_numerics.tolerance import Rounding, rounding, row_norms
from ttr_numerics.verdict.variants import Candidate, candidates
from ttr_numerics.verdict.verdict import Word

__all__ = ["Match", "explain"]


@dataclass(frozen=True)
class Match:
    """The word for a wrong output and the sentences that explain it."""

    word: Word
    reasons: tuple[str, ...]


def explain(problem: Problem, bound: Rounding, wrong: np.ndarray, arithmetic: Format, output: Format) -> Match:
    """The variant that reproduces the output to rounding, swapped heads, or plain *wrong*."""
    swap = _swapped_heads(problem, bound)
    if swap:
        return Match(Word.CONVENTION, (swap,))
    moved = _moved_in_time(problem, bound)
    if moved:
        return Match(Word.WRONG, (moved,))
    ranked = sorted(
        ((_misfit(problem.o, c), i, c) for i, c in enumerate(candidates(problem))), key=lambda item: item[:2]
    )
    for misfit, _, candidate in ranked[:2]:
        if misfit < 0.5 and _fits(problem.o, candidate, arithmetic, output):
            empty = _empty_rows(problem.o, candidate)
            return Match(candidate.word, (f"to rounding, equals {candidate.sentence}", *empty))
    return Match(Word.WRONG, (_pattern(problem, bound, wrong),))


def _misfit(o: np.ndarray, candidate: Candidate) -> float:
    """Relative Frobenius distance at the candidate's rows; inf where the output is not finite there."""
    try:
        expected = candidate.place(np.asarray(candidate.row.layer(**candidate.arrays).o))
    except ValueError:  # a layer that refuses the changed arrays (singular, wrong shape) explains nothing
        return np.inf
    got, size = o[..., candidate.rows, :], np.linalg.norm(expected)
    if not (np.isfinite(got).all() and np.isfinite(size) and size):  # zero everywhere, or overflowing
        return np.inf
    return float(np.linalg.norm(got - expected) / size)


def _fits(o: np.ndarray, candidate: Candidate, arithmetic: Format, output: Format) -> bool:
    row = candidate.row
    bound = rounding(row.layer, candidate.arrays, arithmetic, output, row.forms)
    difference = o[..., candidate.rows, :] - candidate.place(bound.reference)
    return bool((row_norms(difference) <= candidate.place(bound.bound[..., None])[..., 0]).all())


def _empty_rows(o: np.ndarray, candidate: Candidate) -> tuple[str, ...]:
    """What the subject's first row holds when an exclusive mask leaves it nothing to see."""
    if candidate.rows != slice(1, None):
        return ()
    first = o[..., 0, :]
    got = "NaN" if np.isnan(first).all() else "zeros" if not first.any() else "other values"
    return (
        f"under that mask the first row is empty: no key is visible, softmax is 0/0 and a state is still its initial "
        f"value, so whatever stands there (here {got}) is a convention, not an answer",
    )


def _swapped_heads(problem: Problem, bound: Rounding) -> str:
    """A sentence if every output head equals some reference head to rounding, but not its own."""
    shape = bound.reference.shape
    if len(shape) < 3:
        return ""
    o, reference = problem.o.reshape(-1, *shape[-2:]), bound.reference.reshape(-1, *shape[-2:])
    tolerance = bound.bound.reshape(-1, shape[-2])
    if not (np.isfinite(o).all() and (np.median(tolerance, axis=-1) < np.median(row_norms(reference), axis=-1)).all()):
        return ""
    source = []
    for i, head in enumerate(o):
        matches = np.flatnonzero((row_norms(head - reference) <= tolerance).all(axis=-1))
        if not len(matches):
            return ""
        source.append(i if i in matches else int(matches[0]))
    moved = [f"output head {i} is head {j}" for i, j in enumerate(source) if i != j]
    permuted = len(set(source)) == len(source)
    return f"heads are permuted: {'; '.join(moved[:6])}" if moved and permuted else ""


def _moved_in_time(problem: Problem, bound: Rounding) -> str:
    """A sentence if every output is the answer of the token before it, or after it, to rounding."""
    o, answers, tolerance = problem.o, bound.reference, bound.bound
    pairs = (
        (o[..., 1:, :], answers[..., :-1, :], tolerance[..., :-1], "one token late: token t holds the answer of t - 1"),
        (o[..., :-1, :], answers[..., 1:, :], tolerance[..., 1:], "one token early: token t holds the answer of t + 1"),
    )
    for got, answer, allowed, words in pairs:
        decided = np.median(allowed, axis=-1) < np.median(row_norms(answer), axis=-1) if got.size else np.array([False])
        if decided.all() and (row_norms(got - answer) <= allowed).all():
            return f"to rounding, the output is {words}"
    return ""


def _pattern(problem: Problem, bound: Rounding, wrong: np.ndarray) -> str:
    """What can be said of a wrong output that equals no variant tried."""
    if not np.any(problem.o):
        return "the output is zero everywhere"
    tokens = np.flatnonzero(wrong.reshape(-1, wrong.shape[-1]).any(axis=0))
    T = wrong.shape[-1]
    boundary = next((c for c in (128, 64, 32, 16) if tokens[0] > 0 and tokens[0] % c == 0), None)
    where = f" (a multiple of {boundary}: the start of a chunk?)" if boundary else ""
    if len(tokens) == T - tokens[0] and tokens[0] > 0:
        return f"right up to token {tokens[0] - 1} and wrong at every later one{where}"
    return f"equals no variant tried; {len(tokens)} of {T} tokens are touched, from {tokens[0]} to {tokens[-1]}"
