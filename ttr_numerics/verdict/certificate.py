"""A proof-grade verdict: the exact answer in balls, and the output's error between two bounds that are certain.

`check` compares with a float64 reference, which has rounding errors of its own. Here the reference is an enclosure of
the exact answer on the same rounded inputs (`arrays.enclosure`), so that for every position

    below_t ≤ ‖o_t - exact_t‖₂ ≤ above_t

is proved, and with it *within* (above ≤ tolerance) or *outside* (below > tolerance). The tolerance is the derived one;
that it belongs to the declared arithmetic is the replicas' finding and no theorem. Inputs are taken as they come out of
the convention, which scales and normalises in float64.
"""

import enum
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics.arrays.enclosure import OPERATIONS, EnclosureError, enclosed
from ttr_numerics.convention import Convention
from ttr_numerics.problem import Problem
from ttr_numerics.tolerance import Rounding
from ttr_numerics.tolerance.runs import arriving
from ttr_numerics.verdict.judge import judged, problems, received
from ttr_numerics.verdict.packed import joined
from ttr_numerics.verdict.plain import plain
from ttr_numerics.verdict.reasons import partner
from ttr_numerics.verdict.text import as_text
from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["Certificate", "Proof", "certificate_text", "certify", "certify_problems"]


class Proof(enum.Enum):
    """What is proved; the values are what the user reads."""

    WITHIN = "within tolerance for certain"
    OUTSIDE = "beyond tolerance for certain"
    OPEN = "not proved"


@dataclass(frozen=True)
class Certificate:
    """What is proved, in a word and in a `sentence`, beside the `verdict`, whose errors are certain where they are.

    `below` and `above` (..., T) bound ‖o_t - exact_t‖₂, `reference` (..., T) the float64 reference's own error from
    above: 0 and infinite where nothing is enclosed. The cost is `bits` of the balls and `seconds`.
    """

    verdict: Verdict
    proof: Proof
    sentence: str
    below: np.ndarray
    above: np.ndarray
    reference: np.ndarray
    bits: int
    seconds: float

    @property
    def status(self) -> int:
        """The exit status of the verdict: 0 right, 1 wrong, 5 inconclusive."""
        return self.verdict.status

    def to_json(self) -> dict[str, Any]:
        """The verdict's JSON with a field `certificate`."""
        bounds = {n: getattr(self, n) for n in ("below", "above", "reference")}
        return self.verdict.to_json() | {
            "certificate": {
                "proof": self.proof.value,
                "sentence": self.sentence,
                "bits": self.bits,
                "seconds": round(self.seconds, 3),
                **{n: plain(x) for n, x in bounds.items()},
            }
        }


def certify(
    subject: Any,
    layer: str | Callable[..., Any],
    *,
    dtype: str | None = None,
    convention: Convention | None = None,
    **arrays: Any,
) -> Certificate:
    """`check` with proof: `subject`, an output or a callable, against the enclosed exact answer of `layer`.

    Arguments and refusals are those of `check`. Needs python-flint (the extra `certify`). Small problems: 2·10⁸
    operations on balls, 0.1 µs each with few bits; where the layer has no enclosure, or not within that, the verdict is
    that of `check` and the sentence says why.

    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 16, 4))
    >>> o = np.tril(q @ k.T) @ v
    >>> certify(o, "linear_attention", q=q, k=k, v=v).proof
    <Proof.WITHIN: 'within tolerance for certain'>
    >>> certify(o * (1 + 1e-13), "linear_attention", q=q, k=k, v=v).proof
    <Proof.OUTSIDE: 'beyond tolerance for certain'>
    """
    given, row = received(subject, layer, arrays)
    return certify_problems(problems(given, row, convention or Convention()), dtype)


def certify_problems(sequences: Sequence[Problem], dtype: str | None = None) -> Certificate:
    """The certificate of validated problems, the packed sequences of one batch."""
    parts = [_certified(problem, dtype) for problem in sequences]
    if len(parts) == 1:
        return parts[0]
    proof = next(p for p in (Proof.OUTSIDE, Proof.OPEN, Proof.WITHIN) if any(c.proof is p for c in parts))
    bounds = {n: np.concatenate([getattr(c, n) for c in parts], axis=-1) for n in ("below", "above", "reference")}
    n, worst = next((n, c) for n, c in enumerate(parts) if c.proof is proof)
    sentence = f"of {len(parts)} packed sequences, in number {n} (counted from 0): {worst.sentence}"
    bits, seconds = max(c.bits for c in parts), sum(c.seconds for c in parts)
    return Certificate(joined([c.verdict for c in parts]), proof, sentence, **bounds, bits=bits, seconds=seconds)


def certificate_text(certificate: Certificate) -> str:
    """The verdict as it is printed, and below it what is proved and what that cost."""
    cost = f" (balls of {certificate.bits} bits, {certificate.seconds:.2g} s)" if certificate.bits else ""
    proved = textwrap.wrap(f"certificate: {certificate.sentence}{cost}.", 100, subsequent_indent="  ")
    return "\n".join([as_text(certificate.verdict), "", *proved])


def _certified(problem: Problem, dtype: str | None) -> Certificate:
    estimated, bound = judged(problem, dtype)
    start = time.perf_counter()
    try:
        _check_size(problem)
        exact = enclosed(problem.row.layer, arriving(problem.arrays, bound.contract))
    except EnclosureError as refusal:
        return _refused(problem, estimated, bound, str(refusal), time.perf_counter() - start)
    (below, above), (_, own) = (exact.distance(x) for x in (problem.o, bound.reference))
    seconds = time.perf_counter() - start
    proof = _proof(below, above, estimated.tolerance)
    sentence = _sentence(proof, below, above, own, estimated.tolerance)
    verdict = _judged_again(estimated, proof, below, above)
    verdict = verdict if verdict.status else _with_partner(verdict, problem, bound)
    return Certificate(verdict, proof, sentence, below, above, own, exact.bits, seconds)


def _check_size(problem: Problem) -> None:
    """Raise EnclosureError where one product of q with a state is already too much: before memory is asked for."""
    least = problem.o.size * problem.arrays["q"].shape[-1]
    if least > OPERATIONS:
        raise EnclosureError(f"it takes {least:.0e} operations on balls and more, above {OPERATIONS:.0e}")


def _refused(problem: Problem, estimated: Verdict, bound: Rounding, why: str, seconds: float) -> Certificate:
    """The verdict as it is, and why nothing is proved."""
    verdict = estimated if estimated.status else _with_partner(estimated, problem, bound)
    unknown = np.full(estimated.error.shape, np.inf)
    return Certificate(verdict, Proof.OPEN, f"not proved: {why}", np.zeros_like(unknown), unknown, unknown, 0, seconds)


def _proof(below: np.ndarray, above: np.ndarray, tolerance: np.ndarray) -> Proof:
    if (below > tolerance).any():
        return Proof.OUTSIDE
    return Proof.WITHIN if (above <= tolerance).all() else Proof.OPEN


def _judged_again(estimated: Verdict, proof: Proof, below: np.ndarray, above: np.ndarray) -> Verdict:
    """The verdict with errors inside their enclosures; its word gives way where the float64 reference decided it."""
    error = np.clip(estimated.error, below, above)
    if proof is Proof.OPEN or (proof is Proof.OUTSIDE) == (estimated.status == 1):
        return replace(estimated, error=error)
    erred = "the float64 reference has an error of its own beyond the tolerance: against it alone the word would be"
    reason = f"{erred} {estimated.word.value}"
    word = Word.WRONG if proof is Proof.OUTSIDE else Word.ILL_CONDITIONED
    return replace(estimated, error=error, word=word, reasons=(reason,), cause=None)


def _with_partner(verdict: Verdict, problem: Problem, bound: Rounding) -> Verdict:
    return replace(verdict, reasons=(*verdict.reasons, *partner(problem, bound)))


_PROVED = {
    Proof.WITHIN: "proved: the error is within the tolerance at every position",
    Proof.OUTSIDE: "proved: the error is beyond the tolerance",
    Proof.OPEN: "not proved: the enclosure does not tell the error from the tolerance",
}


def _sentence(proof: Proof, below: np.ndarray, above: np.ndarray, own: np.ndarray, tolerance: np.ndarray) -> str:
    """What is proved, with the figures of the worst position."""
    low, high, reference = (_over(x, tolerance) for x in (below, above, own))
    worst, wrong = np.argmax(low), int((below > tolerance).sum())
    many = f" at {wrong} of {below.size} positions" if wrong else ""
    least, most = (f"{x.flat[worst]:.6g}" for x in (low, high))
    size = least if least == most else f"between {least} and {most}"
    return (
        f"{_PROVED[proof]}{many}, at the worst {size} of it; the float64 reference itself errs by at most "
        f"{np.max(reference):.2g} of it"
    )


def _over(x: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """x in units of the tolerance; 0 of none is 0."""
    known = (x > 0) & np.isfinite(tolerance)
    with np.errstate(over="ignore"):
        return np.where(known, x / np.where(known & (tolerance > 0), tolerance, np.finfo(float).tiny), 0.0)
