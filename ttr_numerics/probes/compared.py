"""One gradient beside what it should be: how far apart, where, and what it looks like instead."""

from dataclasses import dataclass

import numpy as np

from ttr_numerics.probes.derivatives import Derivative, norms
from ttr_numerics.probes.probe import largest_ratio
from ttr_numerics.verdict import Word

__all__ = ["Compared", "judged"]


@dataclass(frozen=True)
class Compared:
    """One array's gradient: as it should be, and as it is (None: the output does not depend on the array).

    `time` is its axis of tokens, None if it has none.
    """

    name: str
    expected: Derivative
    found: np.ndarray | None
    time: int | None = None

    @property
    def got(self) -> np.ndarray:
        """The gradient, zero where there is none."""
        reference = self.expected.reference
        return np.zeros(reference.shape) if self.found is None else self.found

    @property
    def defined(self) -> np.ndarray:
        """Where the float64 gradient is finite."""
        return np.isfinite(self.expected.reference)

    @property
    def error(self) -> np.ndarray:
        """Per row; infinite where the gradient is not finite and the float64 one is."""
        reference = np.where(self.defined, self.expected.reference, 0.0)
        error = np.where(self.defined, self.got - reference, 0.0)
        return norms(np.where(np.isfinite(error), error, np.inf), error.ndim > self.expected.bound.ndim)

    @property
    def beyond(self) -> np.ndarray:
        """Which rows lie beyond the tolerance, which is infinite where the format itself overflows."""
        return self.error > self.expected.bound

    @property
    def ratio(self) -> float:
        """The largest error in units of its tolerance."""
        return largest_ratio(np.where(np.isfinite(self.expected.bound), self.error, 0.0), self.expected.bound)

    @property
    def undecided(self) -> bool:
        """Whether the tolerance is as large as most of what it is a tolerance of."""
        size = norms(np.nan_to_num(self.expected.reference), self.got.ndim > self.expected.bound.ndim)
        return bool(np.median(self.expected.bound) >= np.median(size) > 0)

    def sentence(self) -> str:
        """What is wrong with it."""
        name, bad = f"the gradient by {self.name}", ~np.isfinite(self.got) & self.defined
        if self.found is None:
            return f"{name} is missing: the output is cut off from it"
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            return (
                f"{name} has {bad.sum()} non-finite entries of {bad.size}, the first {self.got[place]} at {place}; "
                "the float64 gradient is finite there"
            )
        where = np.argwhere(self.beyond)
        place = tuple(int(i) for i in where[0])
        return f"{name} is {self._explained()}, off at {len(where)} of {self.error.size} places, first at {place}"

    def _explained(self) -> str:
        """Zero, a multiple, a neighbour's, or just not that of the layer."""
        g, x = np.where(self.defined, self.expected.reference, 0.0), self.got
        if not x.any():
            return "zero"
        factor = float(np.sum(x * g) / np.sum(g * g)) if g.any() else 0.0
        if np.linalg.norm(x - factor * g) < 0.02 * np.linalg.norm(x):
            return f"{factor:.4g} times what it should be"
        for by, word in ((1, "late"), (-1, "early")):
            if self.time is not None and np.linalg.norm(x - np.roll(g, by, self.time)) < 0.1 * np.linalg.norm(g):
                return f"{word} by one token"
        return f"wrong by {np.linalg.norm(x - g) / max(np.linalg.norm(g), np.finfo(float).tiny):.1e} of its norm"


def judged(arrays: list[Compared]) -> tuple[Word, tuple[str, ...], float]:
    """The word for all arrays together, the sentences, worst first, and the largest error over its tolerance."""
    wrong = [x for x in arrays if x.beyond.any()]
    worst = max(arrays, key=lambda x: x.ratio)
    if wrong:
        return Word.WRONG, tuple(x.sentence() for x in sorted(wrong, key=lambda x: -x.ratio)), worst.ratio
    said = [
        f"gradients by {', '.join(x.name for x in arrays)}, to rounding (the nearest to its tolerance: {worst.name})"
    ]
    outside = [f"{x.name} ({(~x.defined).sum()} entries)" for x in arrays if not x.defined.all()]
    said += [f"the float64 gradient itself is not finite by {', '.join(outside)}: not judged there"] if outside else []
    dim = [x.name for x in arrays if x.undecided]
    said += [f"by {', '.join(dim)} the tolerance is as large as the gradient: nothing is decided"] if dim else []
    return (Word.INCONCLUSIVE if len(dim) == len(arrays) else Word.ROUNDING), tuple(said), worst.ratio
