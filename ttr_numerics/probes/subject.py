"""The implementation under audit: what it claims to be, and its answers in our layout."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ttr_numerics.convention import Convention
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS, Contract, Format, contract_named
from ttr_numerics.probes.caller import Caller, Raw, ShapeError, SubjectError
from ttr_numerics.probes.shape import Shape

__all__ = ["Answer", "Case", "Entry", "NotApplicable", "Subject"]


class NotApplicable(Exception):  # noqa: N818 (no error: a reason)
    """Why a probe says nothing of this layer or this subject."""


@dataclass(frozen=True)
class Answer:
    """Outputs (..., T, d_v) in our layout and float64, the dtype they came in, the final state, inputs written into."""

    o: np.ndarray
    dtype: str
    state: Any
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One call: `ours` are the layer's own float64 arrays, exactly the numbers that the subject gets as `foreign`."""

    ours: dict[str, Any]
    foreign: dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One line of a journal: the call, the state handed in, and the answer, or what was said in place of one."""

    case: Case
    state: Any
    answer: Answer | None
    error: SubjectError | None = None


@dataclass(frozen=True)
class Subject:
    """`caller` claims to be the layer of `row` on arrays in `convention`, of `library` (numpy, torch) and `dtype`.

    It returns o, or a sequence (o, state, ...), or something with attributes o and state. `contract` names its
    arithmetic where that is not `dtype` throughout; `journal` is where calls are written down; `shape` are the sizes
    it is declared to be used at, if any.
    """

    caller: Caller
    row: Pairing
    convention: Convention
    dtype: str
    library: str
    contract: str | None = None
    journal: list[Entry] = field(default_factory=list, compare=False, repr=False)
    shape: Shape | None = None

    @property
    def declared(self) -> str:
        """The arithmetic in words: the contract, or the dtype throughout."""
        return self.contract or self.dtype

    @property
    def arithmetic(self) -> Format | Contract:
        """The arithmetic that tolerances are derived for."""
        return contract_named(self.contract) if self.contract else FORMATS[self.dtype]

    @property
    def unnoted(self) -> "Subject":
        """The same subject, whose calls are not written down here: what the layer's arrays alone do not say."""
        return replace(self, journal=[])

    def case(self, arrays: Mapping[str, Any]) -> Case:
        """The call on `arrays` (ours, float64) after rounding, in the foreign convention, to the subject's dtype.

        Raises `NotApplicable` where the convention cannot say them.
        """
        numbers = {n: x for n, x in arrays.items() if not isinstance(x, np.ndarray)}
        given = {n: x for n, x in arrays.items() if n not in numbers}
        try:
            foreign = self.convention.theirs(given, self.row.arguments)
        except ValueError as refusal:
            raise NotApplicable(f"the declared convention has no words for this input: {refusal}") from refusal
        foreign |= self._lengthened(foreign)
        stored = {n: FORMATS[self.dtype].nearest(np.asarray(x, dtype=np.float64)) for n, x in foreign.items()}
        ours = self.convention.ours(stored, self.row.arguments)
        return Case({**ours, **numbers}, {**stored, **numbers})

    def _lengthened(self, foreign: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Rows of q and k that the subject is to normalise itself, with lengths 1/2, 1, 2 and 4.

        Which one depends on the row's own entries: in another place, or in a piece, it is the same row.
        """
        if self.convention.normalise is None:
            return {}
        names = {ours: n for n, ours in self.convention.names}
        rows = {n: np.asarray(foreign[n]) for n in (names.get(x, x) for x in "qk")}
        norms = {n: np.linalg.norm(x, axis=-1, keepdims=True) for n, x in rows.items()}
        turns = {n: np.floor(4 * (1e3 * np.sum(np.abs(x), axis=-1, keepdims=True) % 1)) for n, x in rows.items()}
        lengths = {n: 2.0 ** (x - 1) for n, x in turns.items()}
        return {n: np.where(norms[n] > 0.5, x * lengths[n], x) for n, x in rows.items()}

    def answer(self, case: Case, state: Any = None) -> Answer:
        """Call the subject, from its own `state` if there is one. Raises `SubjectError` where no output comes back.

        `ShapeError` where it has another shape than the layer's.
        """
        try:
            answer = self._answered(case, state)
        except SubjectError as error:
            self.journal.append(Entry(case, state, None, error))
            raise
        self.journal.append(Entry(case, state, answer))
        return answer

    def _answered(self, case: Case, state: Any) -> Answer:
        raw: Raw = self.caller.call(case.foreign, self.library, self.dtype, state)
        layout, wide = self.convention.output_layout or self.convention.layout, raw.o.astype(np.float64)
        expected = (*case.ours["q"].shape[:-1], case.ours["v"].shape[-1])
        o = layout.ours(wide, wide.ndim - 3, "o") if wide.ndim == len(expected) else wide
        if o.shape != expected:
            raise ShapeError(f"expected an output of shape {expected} in our layout, got {o.shape}")
        return Answer(o, raw.dtype, raw.state, raw.changed)

    def takes(self, name: str) -> bool:
        """Whether the subject has a parameter of this name (or takes any keyword)."""
        return bool({name, "**"} & set(self.caller.parameters()))
