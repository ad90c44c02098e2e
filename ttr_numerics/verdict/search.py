"""The search among variants: each run once in float64 on a beginning of the sequence, only the nearest ones judged.

Distances are in units of the tolerance. A variant explains an output that lies within the variant's own tolerance at
every token of every wrong head, and that it leaves at most half as far away as the layer itself does: a match means
equality to rounding, not likeness.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.precision import Contract, Format
from ttr_numerics.tolerance import Rounding, rounding, row_norms
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.variants import VARIANTS, Candidate, Variant, candidates
from ttr_numerics.verdict.variants.fitted import fitted
from ttr_numerics.verdict.verdict import Word

__all__ = ["Explanation", "Search"]

_BEGINNING = 16  # tokens beyond the first wrong one of which every variant is run
_NEAR = 1e3  # times the layer's own tolerance: beyond it no variant of it is judged
_EQUAL = 0.5  # tolerances within which variants are not told apart
_HALF = 0.5  # of the distance: what an explanation leaves of it at most
_THIRD = 1 / 3
_JUDGED, _LED = 4, 3  # variants judged, and those on top of which a second one is tried


@dataclass(frozen=True)
class Explanation:
    """A cause's key, the word it deserves, its sentence, and the rows that were compared, None for all."""

    cause: str
    word: Word
    sentence: str
    rows: Any = None


@dataclass(frozen=True)
class _Scored:
    misfit: float
    place: int
    candidate: Candidate


@dataclass(frozen=True)
class Search:
    """`evidence` against the layer's `bound`, in the arithmetic and output format declared."""

    evidence: Evidence
    bound: Rounding
    contract: Contract
    output: Format

    def one(self) -> Explanation | None:
        """The variant that the output equals."""
        return self._best(self._scored(VARIANTS, self.evidence))

    def one_number(self) -> Explanation | None:
        """The factor of one argument with which the output is the layer's."""
        short, allowed = self._short
        found = [c for c in fitted(short, allowed) if self._near(self._misfit(short, c))]
        whole = [next(iter(fitted(self.evidence, self._allowed, c)), None) for c in found]
        return self._best([_Scored(self._misfit(self.evidence, c), i, c) for i, c in enumerate(whole) if c])

    def two(self) -> Explanation | None:
        """Two variants at once, where one alone takes away two thirds of the distance."""
        led = [s for s in self._scored(VARIANTS, self.evidence) if s.misfit <= _THIRD * self._unexplained]
        led = [s for s in led if s.candidate.change.is_plain and s.candidate.word is not Word.OTHER_LAYER]
        scored: list[_Scored] = []
        for first in sorted(led, key=lambda s: s.misfit)[:_LED]:
            changed = replace(self.evidence, arrays=first.candidate.change.arrays)
            for s in self._scored(VARIANTS, changed):
                if s.candidate.word is not Word.OTHER_LAYER and s.misfit <= _THIRD * first.misfit:
                    scored.append(replace(s, place=len(scored), candidate=_joined(first.candidate, s.candidate)))
        return self._best(scored)

    @property
    def _allowed(self) -> np.ndarray:
        """The unit of distances (..., T): the layer's tolerance, infinite in the heads that are right."""
        tolerance = np.where(self.bound.bound > 0, self.bound.bound, np.finfo(float).tiny)
        return np.where(self.evidence.heads[..., None], tolerance, np.inf)

    @property
    def _short(self) -> tuple[Evidence, np.ndarray]:
        """What is compared first: the beginning up to the first wrong token and some more."""
        T = min(self.evidence.T, self.evidence.first + _BEGINNING)
        if not self.evidence.row.causal:
            T = self.evidence.T
        return self.evidence.beginning(T), self._allowed[..., :T]

    @property
    def _unexplained(self) -> float:
        """The distance of the layer itself from the output."""
        return _distance(self.evidence.o, self.bound.reference, self._allowed)

    def _near(self, misfit: float) -> bool:
        return misfit <= min(_NEAR, _HALF * self._unexplained)

    def _misfit(self, evidence: Evidence, candidate: Candidate) -> float:
        """Root mean square distance, in tolerances, at the candidate's rows; inf where one side is not finite."""
        rows = candidate.change.rows
        try:
            expected = candidate.output()
        except (ValueError, ZeroDivisionError, OverflowError):  # the layer refuses these arrays: nothing is explained
            return np.inf
        return _distance(evidence.o[..., rows, :], expected, self._allowed[..., : evidence.T][..., rows])

    def _scored(self, variants: Sequence[Variant], evidence: Evidence) -> list[_Scored]:
        """The variants that come near on the beginning, run on the whole."""
        short = evidence.beginning(self._short[0].T)
        local = [v for v in variants if not v.whole]
        run = sorted((self._misfit(short, c), c.cause, c.sentence) for c in candidates(local, short))
        left = _HALF * _distance(short.o, self.bound.reference[..., : short.T, :], self._short[1])
        named = {(cause, sentence) for misfit, cause, sentence in run[: 4 * _JUDGED] if misfit <= left}
        scored = []
        for place, candidate in enumerate(candidates(variants, evidence)):
            if candidate.whole or (candidate.cause, candidate.sentence) in named:
                scored.append(_Scored(self._misfit(evidence, candidate), place, candidate))
        return scored

    def _best(self, scored: Iterable[_Scored]) -> Explanation | None:
        """Of those that fit and are told apart by less than rounding, the first in the table, at its least distance."""
        near = sorted((s for s in scored if self._near(s.misfit)), key=lambda s: s.misfit)[:_JUDGED]
        fitting = [s for s in near if self._fits(s.candidate)]
        equal = [s for s in fitting if s.misfit <= max(2 * fitting[0].misfit, _EQUAL)]
        if not equal:
            return None
        cause = min(equal, key=lambda s: s.place).candidate.cause
        return self._explanation(next(s.candidate for s in equal if s.candidate.cause == cause))

    def _fits(self, candidate: Candidate) -> bool:
        change = candidate.change
        try:
            bound = rounding(candidate.layer, change.arrays, self.contract, self.output, candidate.forms)
        except LinAlgError:
            return False
        expected, heads = change.place(bound.reference)[self.evidence.heads], self.evidence.heads
        allowed = change.place(bound.bound[..., None])[heads][..., 0]
        decided = np.median(allowed) < np.median(row_norms(expected))  # else zeros would fit as well
        fits = row_norms(self.evidence.o[..., change.rows, :][heads] - expected) <= allowed
        return bool(decided and fits.all())

    def _explanation(self, candidate: Candidate) -> Explanation:
        o, rows = candidate.output()[self.evidence.heads], candidate.change.rows
        apart = np.linalg.norm(self.evidence.o[..., rows, :][self.evidence.heads] - o) / np.linalg.norm(o)
        heads = self.evidence.heads
        where = f", in {int(heads.sum())} of {heads.size} heads; the others are right" if not heads.all() else ""
        size = f"to {apart:.0e} of the output" if apart else "exactly"
        sentence = f"to rounding, equals {candidate.sentence}{where}: {size}"
        return Explanation(candidate.cause, candidate.word, sentence, rows)


def _joined(first: Candidate, second: Candidate) -> Candidate:
    """Both changes, in the order of their names."""
    one, other = sorted((first, second), key=lambda c: c.cause)
    word = Word.WRONG if Word.WRONG in (first.word, second.word) else Word.CONVENTION
    sentence = f"{first.sentence}, and with {second.sentence.partition(' with ')[2]}"
    return replace(second, cause=f"{one.cause}+{other.cause}", sentence=sentence, word=word)


def _distance(o: np.ndarray, expected: np.ndarray, allowed: np.ndarray) -> float:
    compared = np.isfinite(allowed)
    difference = (o - expected)[compared]
    if not (np.isfinite(difference).all() and expected[compared].any()):
        return np.inf
    return float(np.sqrt(np.mean((row_norms(difference) / allowed[compared]) ** 2)))
