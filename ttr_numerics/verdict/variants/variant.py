"""A variant: one hypothesis about a wrong output, as the changed arrays on which a catalogue layer would give it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.verdict import Word

__all__ = ["Arrays", "Candidate", "Change", "Variant", "candidates"]

Arrays = dict[str, Any]


def _as_it_is(o: np.ndarray) -> np.ndarray:
    return o


@dataclass(frozen=True)
class Change:
    """What a variant makes of the arrays; `name` and `detail` fill its sentence, `name` also its cause.

    `layer` and its `forms` are the row's own where None. `place` maps that layer's output (..., T', d_v) to the
    subject's `rows`, a slice or numbers of tokens.
    """

    arrays: Arrays
    name: str = ""
    detail: str = ""
    layer: Callable[..., Any] | None = None
    forms: tuple[Callable[..., Any], ...] = ()
    rows: Any = field(default_factory=lambda: slice(None))
    place: Callable[[np.ndarray], np.ndarray] = _as_it_is

    @property
    def is_plain(self) -> bool:
        """Whether nothing but arrays is changed: such changes can be made one after another."""
        every = isinstance(self.rows, slice) and self.rows == slice(None)
        return every and self.layer is None and self.place is _as_it_is


@dataclass(frozen=True)
class Variant:
    """`changes(evidence)` yields every way in which `sentence` may be meant; the key `cause` is stable.

    `{name}` and `{detail}` in them are filled from the change. A `whole` variant has no meaning on a beginning of the
    sequence.
    """

    cause: str
    sentence: str
    changes: Callable[[Evidence], Iterable[Change]]
    word: Word = Word.CONVENTION
    whole: bool = False


@dataclass(frozen=True)
class Candidate:
    """A variant with one of its changes: `layer(**arrays)` is what the subject would give."""

    cause: str
    sentence: str
    word: Word
    layer: Callable[..., Any]
    forms: tuple[Callable[..., Any], ...]
    change: Change
    whole: bool = False

    def output(self) -> np.ndarray:
        """The float64 output at the subject's rows."""
        return self.change.place(np.asarray(self.layer(**self.change.arrays).o))


def candidates(variants: Iterable[Variant], evidence: Evidence) -> Iterator[Candidate]:
    """Every hypothesis that can be formed from the arrays and changes something, in the order of the table."""
    for variant in variants:
        for change in variant.changes(evidence):
            if not (change.is_plain and _same(change.arrays, evidence.arrays)):
                yield _candidate(variant, change, evidence)


def _candidate(variant: Variant, change: Change, evidence: Evidence) -> Candidate:
    row, words = evidence.row, {"name": change.name, "detail": change.detail}
    sentence = variant.sentence.format(**words)
    if variant.word is not Word.OTHER_LAYER:
        sentence = f"{row.name} with {sentence}"
    layer, forms = (row.layer, row.forms) if change.layer is None else (change.layer, change.forms)
    return Candidate(variant.cause.format(**words), sentence, variant.word, layer, forms, change, variant.whole)


def _same(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(one[n] is x or np.array_equal(one[n], x) for n, x in other.items())
