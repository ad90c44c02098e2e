"""Laws that need no reference: what an output may depend on, and how.

A law is asked of a subject only if the catalogue's own float64 layer obeys it on the same input: softmax attention is
not homogeneous in q, and no subject that claims to be it need be.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.probe import NotApplicable, Probe, bound_of, check_domain, drawn, mutated, timed, within
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.verdict import Word

__all__ = ["LAWS"]

Found = tuple[Word, tuple[str, ...], float]


def _causality(subject: Subject, rng: np.random.Generator) -> Found:
    if not subject.row.causal:
        raise NotApplicable(f"{subject.row.name} sees the whole sequence")
    one, other = drawn(subject, rng), drawn(subject, rng)
    other["v"] = 3 * other["v"]
    axis, T = one["q"].ndim - 2, one["q"].shape[-2]
    cut, long = int(rng.integers(5, T - 5)), timed(subject.row)
    moved = {
        n: np.concatenate([x.take(range(cut), axis), other[n].take(range(cut, T), axis)], axis=axis) if n in long else x
        for n, x in one.items()
    }
    cases = subject.case(one), subject.case(moved)
    before, after = (subject.answer(c).o[..., :cut, :] for c in cases)
    allowed = bound_of(subject, cases[0]).bound[..., :cut]
    good, ratio, first = within(before, after, 2 * allowed)
    if good:
        exact = "bit for bit" if np.array_equal(before, after) else "to rounding"
        return Word.ROUNDING, (f"tokens before {cut} do not move ({exact}) when everything later does",), ratio
    return Word.WRONG, (f"tokens from {cut} on were changed and the output moved at {first}: the future leaks",), ratio


def _linearity(subject: Subject, rng: np.random.Generator) -> Found:
    a = drawn(subject, rng)
    # Multiples of 1/16 below 8: the sums of two are exact in every format.
    x, y = (np.clip(np.round(16 * rng.standard_normal(a["v"].shape)) / 16, -7, 7) for _ in range(2))
    inputs = tuple({**a, "v": v} for v in (x, y, x + y))
    return _obeyed(subject, inputs, lambda x, y, z: (x + y, z), "additive in v")


def _homogeneity(subject: Subject, rng: np.random.Generator) -> Found:
    a = drawn(subject, rng)
    return _obeyed(subject, (a, {**a, "q": 4 * a["q"]}), lambda x, y: (4 * x, y), "homogeneous in q")


def _obeyed(subject: Subject, inputs: tuple, sides: Callable[..., tuple], what: str) -> Found:
    """Whether the two sides agree to the rounding of all runs; not applicable where the layer itself disobeys.

    A layer obeys if its own float64 sides agree to half of all digits: one that does not differs in the first ones.
    """
    cases = [subject.case(x) for x in inputs]
    for case in cases:
        check_domain(subject, case)
    left, right = sides(*(np.asarray(subject.row.layer(**c.ours).o) for c in cases))
    half = np.sqrt(FORMATS["float64"].u)
    if np.max(np.abs(left - right)) > half * np.max(np.abs(left)):
        raise NotApplicable(f"{subject.row.name} itself is not {what}")
    bounds = np.split(bound_of(subject, *cases).bound, len(cases))
    x, y = sides(*(subject.answer(c).o for c in cases))
    good, ratio, first = within(x, y, 4 * np.sum(bounds, axis=0))  # sides are outputs times 4 at most
    if good:
        return Word.ROUNDING, (f"{what}, to the rounding of {len(cases)} calls",), ratio
    return Word.WRONG, (f"not {what}: first at {first}",), ratio


def _permuted_heads(subject: Subject, rng: np.random.Generator) -> Found:
    arrays = drawn(subject, rng, (2, 3), T=12)
    order = np.array([2, 0, 1])
    moved = {n: x[::-1][:, order] if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    one, other = subject.case(arrays), subject.case(moved)
    allowed = 2 * bound_of(subject, one).bound[::-1][:, order]
    good, ratio, first = within(subject.answer(one).o[::-1][:, order], subject.answer(other).o, allowed)
    if good:
        return Word.ROUNDING, ("batch entries and heads do not see each other",), ratio
    return Word.WRONG, (f"permuting batch and heads changes the outputs, first at {first}: heads are mixed",), ratio


def _determinism(subject: Subject, rng: np.random.Generator) -> Found:
    case, between = (subject.case(drawn(subject, rng)) for _ in range(2))
    first = subject.answer(case).o
    subject.answer(between)
    again = subject.answer(
        Case(case.ours, {n: np.array(x) if isinstance(x, np.ndarray) else x for n, x in case.foreign.items()})
    ).o
    good, ratio, place = within(first, again, 2 * bound_of(subject, case).bound)
    if np.array_equal(first, again):
        return Word.ROUNDING, ("a second call gives the same bits, after a call on other numbers",), 0.0
    if good:
        return Word.ROUNDING, ("a second call differs, by rounding: the order of summation is not fixed",), ratio
    return Word.WRONG, (f"a second call on the same numbers differs, first at {place}: something is kept",), ratio


def _inputs_unchanged(subject: Subject, rng: np.random.Generator) -> Found:
    case = subject.case(drawn(subject, rng))
    changed = subject.answer(case).changed
    if changed:
        return Word.WRONG, (f"the call wrote into its own inputs: {', '.join(changed)}",), np.inf
    return Word.ROUNDING, ("the inputs are as they were",), 0.0


def _leak(row: Pairing) -> Callable[..., Any]:
    def change(out: Any, a: dict[str, Any]) -> Any:
        o = np.array(out.o)
        o[..., :-1, :] += 0.1 * o[..., 1:, :]
        return o

    return mutated(row, change)


def _squared(row: Pairing) -> Callable[..., Any]:
    return mutated(row, lambda out, a: out.o + 0.5 * out.o * np.abs(out.o))


def _neighbours(row: Pairing) -> Callable[..., Any]:
    """Every head gets some of the one before it, by its number."""

    def change(out: Any, a: dict[str, Any]) -> Any:
        share = 0.1 * np.arange(1, 1 + out.o.shape[-3])[:, None, None]
        return out.o + share * np.roll(out.o, 1, axis=-3)

    return mutated(row, change)


def _remembering(row: Pairing) -> Callable[..., Any]:
    kept: list[np.ndarray] = []

    def change(out: Any, a: dict[str, Any]) -> Any:
        o = np.array(out.o) + (0.1 * np.abs(kept[-1]).max() if kept else 0.0)
        kept.append(out.o)
        return o

    return mutated(row, change)


def _writing(row: Pairing) -> Callable[..., Any]:
    def change(out: Any, a: dict[str, Any]) -> Any:
        a["v"] *= 2
        return out.o

    return mutated(row, change)


LAWS = (
    Probe("causality", "the future moved, the past must not", _causality, _leak, tags=("law",)),
    Probe("linear in v", "outputs add when values add", _linearity, _squared, tags=("law",)),
    Probe("homogeneous in q", "outputs scale with queries", _homogeneity, _squared, tags=("law",)),
    Probe("permutation", "permuted batch and heads give permuted outputs", _permuted_heads, _neighbours, tags=("law",)),
    Probe("determinism", "the same call again gives the same output", _determinism, _remembering, tags=("law",)),
    Probe("inputs unchanged", "a call leaves its inputs as they were", _inputs_unchanged, _writing, tags=("law",)),
)
