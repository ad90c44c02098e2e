"""Name the cause of a wrong output: which variant of the layer, or which other layer, gives it to rounding.

Tried in turn, the cheapest first: answers in another place, one variant, answers rescaled or missing, one argument
times a number, two variants, a coarser precision. What is left is said to be where it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ttr_numerics.precision import Contract, Format
from ttr_numerics.problem import Problem
from ttr_numerics.tolerance import Rounding
from ttr_numerics.verdict.contracts import broken
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.locality import in_time, located
from ttr_numerics.verdict.patterns import moved, rescaled, rescaled_by_token
from ttr_numerics.verdict.search import Explanation, Search
from ttr_numerics.verdict.verdict import Word

__all__ = ["Match", "explain"]


@dataclass(frozen=True)
class Match:
    """The word for a wrong output, the sentences that explain it, and the key of its cause, None if it has no name."""

    word: Word
    reasons: tuple[str, ...]
    cause: str | None = None


def explain(problem: Problem, bound: Rounding, wrong: np.ndarray, contract: Contract, output: Format) -> Match:
    """The first explanation that holds to rounding, else plain *wrong* and the place."""
    evidence = Evidence(problem.row, dict(problem.arrays), problem.o, wrong)
    for explained in _attempts(evidence, bound, contract, output):
        with np.errstate(all="ignore"):  # a hypothesis may overflow or divide by zero: it explains nothing
            found = explained()
        if found is not None:
            cause, sentence = _placed(evidence, found)
            return Match(found.word, (sentence, *_empty_rows(evidence, found)), cause)
    place, sentence = located(evidence)
    return Match(Word.WRONG, (sentence,), place)


def _attempts(
    evidence: Evidence, bound: Rounding, contract: Contract, output: Format
) -> Iterator[Callable[[], Explanation | None]]:
    search = Search(evidence, bound, contract, output)
    yield lambda: moved(evidence, bound, output)
    yield search.one
    yield lambda: rescaled(evidence, bound, output)
    yield search.one_number
    yield search.two
    yield lambda: rescaled_by_token(evidence, bound, output)
    yield lambda: broken(evidence, bound, contract, output)


def _placed(evidence: Evidence, found: Explanation) -> tuple[str, str]:
    """A pattern at the first or last token, at the tail or at the starts of chunks alone is named by the place."""
    at = in_time(evidence)
    if at is None or not found.cause.startswith(("rows.", "output.", "columns.")):
        return found.cause, found.sentence
    return at[0], f"{at[1]}: {found.sentence}"


def _empty_rows(evidence: Evidence, found: Explanation) -> tuple[str, ...]:
    """What the subject's first row holds when an exclusive mask leaves it nothing to see."""
    if found.cause != "mask.exclusive":
        return ()
    first = evidence.o[..., 0, :]
    got = "NaN" if np.isnan(first).all() else "zeros" if not first.any() else "other values"
    return (
        f"under that mask the first row is empty: no key is visible, softmax is 0/0 and a state is still its initial "
        f"value, so whatever stands there (here {got}) is a convention, not an answer",
    )
