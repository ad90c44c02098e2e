"""A probe: a sentence that a sound implementation makes true, a way to find out, and a fault that it must catch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.axes import Output
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.failure import Failure, timed
from ttr_numerics.probes.subject import Case, NotApplicable, Subject
from ttr_numerics.tolerance import Rounding, rounding, row_norms
from ttr_numerics.verdict import EXIT_STATUS, Word

__all__ = [
    "Finding",
    "Found",
    "NotApplicable",
    "Probe",
    "bound_of",
    "check_domain",
    "drawn",
    "largest_ratio",
    "mutated",
    "timed",
    "within",
]


class Found(NamedTuple):
    """What `examine` concludes: the word, its sentences, the worst error in units of its tolerance, the cause's key."""

    word: Word
    reasons: tuple[str, ...]
    ratio: float
    cause: str | None = None


@dataclass(frozen=True)
class Finding:
    """What one probe found: a verdict word, the sentences, the worst error in units of its tolerance, its seconds.

    `word` None: the probe does not apply, and the sentence says why; `failed`: the subject did not run. `kind` is the
    probe's, `cause` the key of what explains the error, `case` the calls that show it, shrunk where there was time.
    """

    probe: str
    claim: str
    word: Word | None
    reasons: tuple[str, ...]
    ratio: float = 0.0
    seconds: float = 0.0
    failed: bool = False
    kind: str = "regime"
    cause: str | None = None
    case: Failure | None = None

    @property
    def wrong(self) -> bool:
        """Whether the probe says that the subject is not the layer."""
        return self.word is not None and EXIT_STATUS[self.word] == 1


@dataclass(frozen=True)
class Probe:
    """`examine(subject, rng)` yields findings' parts; `fault(row)` is an implementation that `examine` must not pass.

    `claim` is the sentence; `examine` returns `Found` or its first three parts, or raises `NotApplicable`. The first
    of `tags` is the kind: regime, exact, certificate, law or gradient.
    """

    name: str
    claim: str
    examine: Callable[[Subject, np.random.Generator], tuple[Any, ...]]
    fault: Callable[[Pairing], Callable[..., Any]]
    quick: bool = True
    tags: tuple[str, ...] = field(default=())

    @property
    def kind(self) -> str:
        """regime, exact, certificate, law or gradient."""
        kind = self.tags[0] if self.tags else "regime"
        return "regime" if kind == "agreement" else kind


def drawn(subject: Subject, rng: np.random.Generator, batch: tuple[int, int] = (1, 2), **axes: int) -> dict[str, Any]:
    """A generic example for the subject's layer: two heads, 24 tokens, d = 16 unless `axes` say otherwise.

    An axis that the row itself limits stays as long as its examples have it.
    """
    limits, sizes = dict(subject.row.lengths), {"T": 24, "d_k": 16, "d_v": 16} | axes
    return subject.row.example(
        rng, batch, False, False, **{n: min(size, limits.get(n, size)) for n, size in sizes.items()}
    )


def bound_of(subject: Subject, *cases: Case) -> Rounding:
    """The float64 references on the subject's own numbers, with the tolerance of its arithmetic.

    Several cases of one shape lie along the first axis, which all their arrays have.
    """
    first = cases[0].ours
    arrays = {
        n: np.concatenate([c.ours[n] for c in cases]) if isinstance(x, np.ndarray) else x for n, x in first.items()
    }
    with quiet():
        return rounding(subject.row.layer, arrays, subject.arithmetic, forms=subject.row.forms)


def check_domain(subject: Subject, case: Case) -> None:
    """Raise `NotApplicable` where the layer itself refuses the input, or leaves the range of the subject's format."""
    row = subject.row
    try:
        with quiet():
            o = np.asarray(row.layer(**case.ours).o)
    except (LinAlgError, ValueError) as refusal:
        raise NotApplicable(f"{row.name} itself refuses this input: {refusal}") from refusal
    if not (np.isfinite(o).all() and np.max(np.abs(o)) <= FORMATS[subject.dtype].largest):
        raise NotApplicable(f"{row.name} itself leaves the range of {subject.dtype} here")


def largest_ratio(error: np.ndarray, allowed: np.ndarray) -> float:
    """max error/allowed over positions; infinite where something is not finite, or nothing was allowed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0.0, error / allowed)
    return float(np.max(np.where(np.isfinite(ratio), ratio, np.inf), initial=0.0))


def within(x: np.ndarray, y: np.ndarray, allowed: np.ndarray) -> tuple[bool, float, tuple[int, ...]]:
    """Whether rows of x and y lie within `allowed` (..., T) of each other, the worst ratio and where."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = row_norms(np.where(np.isfinite(x - y), x - y, np.inf))
    error = np.where(np.isinf(allowed), 0.0, error)  # there nothing is decided, not even NaN
    ratio = largest_ratio(error, allowed)
    places = np.argwhere(~(error <= allowed))
    first = tuple(int(i) for i in places[np.argmin(places[:, -1])]) if len(places) else ()
    return ratio <= 1, ratio, first


def mutated(row: Pairing, change: Callable[[Output, dict[str, Any]], Any]) -> Callable[..., Any]:
    """The row's layer with `change(output, arguments)` made to what it returns: for planted faults."""

    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        arguments = {"q": q, "k": k, "v": v, **named}
        return change(row.layer(**arguments), arguments)

    return faulty
