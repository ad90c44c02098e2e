"""The implementation under audit: what it claims to be, and its answers in our layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttr_numerics.convention import Convention
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.caller import Caller, Raw, ShapeError

__all__ = ["Answer", "Case", "Subject"]


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
class Subject:
    """`caller` claims to be the layer of `row` on arrays in `convention`, of `library` (numpy, torch) and `dtype`.

    It returns o, or a sequence (o, state, ...), or something with attributes o and state.
    """

    caller: Caller
    row: Pairing
    convention: Convention
    dtype: str
    library: str

    def case(self, arrays: Mapping[str, Any]) -> Case:
        """The call on `arrays` (ours, float64) after rounding, in the foreign convention, to the subject's dtype."""
        numbers = {n: x for n, x in arrays.items() if not isinstance(x, np.ndarray)}
        foreign = self.convention.theirs({n: x for n, x in arrays.items() if n not in numbers}, self.row.arguments)
        stored = {n: FORMATS[self.dtype].nearest(np.asarray(x, dtype=np.float64)) for n, x in foreign.items()}
        ours = self.convention.ours(stored, self.row.arguments)
        return Case({**ours, **numbers}, {**stored, **numbers})

    def answer(self, case: Case, state: Any = None) -> Answer:
        """Call the subject, from its own `state` if there is one. Raises `SubjectError` where no output comes back.

        `ShapeError` where it has another shape than the layer's.
        """
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
