"""A probe: a sentence that a sound implementation makes true, a way to find out, and a fault that it must catch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ttr_numerics.arrays import quiet
from ttr_numerics.axes import Output
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.tolerance import Rounding, rounding, row_norms
from ttr_numerics.verdict import Word

__all__ = ["Finding", "NotApplicable", "Probe", "bound_of", "drawn", "largest_ratio", "mutated", "within"]


class NotApplicable(Exception):  # noqa: N818 (no error: a reason)
    """Why a probe says nothing of this layer or this subject."""


@dataclass(frozen=True)
class Finding:
    """What one probe found: a verdict word, the sentences, the worst error in units of its tolerance, its seconds.

    `word` None: the probe does not apply, and the sentence says why; `failed`: the subject did not run.
    """

    probe: str
    claim: str
    word: Word | None
    reasons: tuple[str, ...]
    ratio: float = 0.0
    seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True)
class Probe:
    """`examine(subject, rng)` yields findings' parts; `fault(row)` is an implementation that `examine` must not pass.

    `claim` is the sentence; `examine` returns (word, reasons, ratio), or raises `NotApplicable`.
    """

    name: str
    claim: str
    examine: Callable[[Subject, np.random.Generator], tuple[Word, tuple[str, ...], float]]
    fault: Callable[[Pairing], Callable[..., Any]]
    quick: bool = True
    tags: tuple[str, ...] = field(default=())


def drawn(subject: Subject, rng: np.random.Generator, **axes: int) -> dict[str, Any]:
    """A generic example for the subject's layer: batch 1, two heads, 40 tokens unless `axes` say otherwise."""
    return subject.row.example(rng, (1, 2), False, False, **({"T": 40, "d_k": 16, "d_v": 16} | axes))


def bound_of(subject: Subject, case: Case) -> Rounding:
    """The float64 reference on the subject's own numbers, with the tolerance of its arithmetic."""
    with quiet():
        return rounding(subject.row.layer, case.ours, FORMATS[subject.dtype], forms=subject.row.forms)


def largest_ratio(error: np.ndarray, allowed: np.ndarray) -> float:
    """max error/allowed over positions; infinite where something is not finite, or nothing was allowed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0.0, error / allowed)
    return float(np.max(np.where(np.isfinite(ratio), ratio, np.inf), initial=0.0))


def within(x: np.ndarray, y: np.ndarray, allowed: np.ndarray) -> tuple[bool, float, tuple[int, ...]]:
    """Whether rows of x and y lie within `allowed` (..., T) of each other, the worst ratio and where."""
    error = row_norms(np.where(np.isfinite(x - y), x - y, np.inf))
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
