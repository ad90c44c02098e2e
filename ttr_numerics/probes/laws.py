"""Laws that need no reference: what an output may depend on, and how.

A law is asked of a subject only if the catalogue's own float64 layer obeys it on the same input: softmax attention is
not homogeneous in q, and no subject that claims to be it need be.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.agreement import agree, how
from ttr_numerics.probes.inputs import started
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, check_domain, drawn, mutated, timed
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.verdict import Word

__all__ = ["LAWS"]

STEP = 1 / 16  # of whole multiples whose sums are exact in every format
SHRUNK = 2.0**-10  # a power of two, so that it rounds nothing


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
    good, ratio, first = agree(before, after, lambda: 2 * bound_of(subject, cases[0]).bound[..., :cut])
    if good:
        said = f"tokens before {cut} do not move ({how(before, after)}) when everything later does"
        return Found(Word.ROUNDING, (said,), ratio)
    return Found(
        Word.WRONG, (f"tokens from {cut} on were changed and the output moved at {first}: the future leaks",), ratio
    )


def _sixteenths(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    """Multiples of 1/16 below 8: the sums of two are exact in every format."""
    return np.clip(np.round(rng.standard_normal(like.shape) / STEP) * STEP, -7, 7)


def _linearity(subject: Subject, rng: np.random.Generator) -> Found:
    a = drawn(subject, rng)
    x, y = (_sixteenths(rng, a["v"]) for _ in range(2))
    inputs = tuple({**a, "v": v} for v in (x, y, x + y))
    return _obeyed(subject, inputs, lambda x, y, z: (x + y, z), "additive in v")


def _linear_state(subject: Subject, rng: np.random.Generator) -> Found:
    """A state alone, values alone, both."""
    a = started(subject, drawn(subject, rng), rng)
    state, v = (_sixteenths(rng, a[n]) for n in ("initial_state", "v"))
    parts = ((state, 0 * v), (0 * state, v), (state, v))
    inputs = tuple({**a, "initial_state": S, "v": x} for S, x in parts)
    return _obeyed(subject, inputs, lambda x, y, z: (x + y, z), "additive in the initial state and v")


def _homogeneity(subject: Subject, rng: np.random.Generator) -> Found:
    a = drawn(subject, rng)
    return _obeyed(subject, (a, {**a, "q": 4 * a["q"]}), lambda x, y: (4 * x, y), "homogeneous in q")


def _scaling(subject: Subject, rng: np.random.Generator) -> Found:
    """Values over 1 024, which rounds nothing: a fixed number added, or a threshold, shows."""
    a = drawn(subject, rng)
    v = _sixteenths(rng, a["v"])
    inputs = ({**a, "v": v}, {**a, "v": SHRUNK * v})
    return _obeyed(subject, inputs, lambda x, y: (SHRUNK * x, y), "homogeneous in v", (SHRUNK, 1.0))


def _obeyed(
    subject: Subject, inputs: tuple, sides: Callable[..., tuple], what: str, factors: tuple[float, ...] = ()
) -> Found:
    """Whether the two sides agree to the rounding of all runs; not applicable where the layer itself disobeys.

    A layer obeys if its own float64 sides agree to half of all digits: one that does not differs in the first ones.
    `factors` say how much of each output stands in the sides, 4 times at most if not given.
    """
    cases = [subject.case(x) for x in inputs]
    for case in cases:
        check_domain(subject, case)
    left, right = sides(*(np.asarray(subject.row.layer(**c.ours).o) for c in cases))
    half = np.sqrt(FORMATS["float64"].u)
    if np.max(np.abs(left - right)) > half * np.max(np.abs(left)):
        raise NotApplicable(f"{subject.row.name} itself is not {what}")

    def allowed() -> np.ndarray:
        bounds = np.split(bound_of(subject, *cases).bound, len(cases))
        return np.sum([f * b for f, b in zip(factors or (4.0,) * len(cases), bounds, strict=True)], axis=0)

    x, y = sides(*(subject.answer(c).o for c in cases))
    good, ratio, first = agree(x, y, allowed)
    if good:
        return Found(Word.ROUNDING, (f"{what}, {how(x, y)}",), ratio)
    return Found(Word.WRONG, (f"not {what}: first at {first}",), ratio)


def _batch(subject: Subject, rng: np.random.Generator) -> Found:
    """The second of three batch entries, and that entry alone."""
    arrays = drawn(subject, rng, (3, 2))
    alone = {n: x[1:2] if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    together, single = subject.case(arrays), subject.case(alone)
    o, expected = subject.answer(together).o[1:2], subject.answer(single).o
    good, ratio, first = agree(expected, o, lambda: 2 * bound_of(subject, single).bound)
    if good:
        return Found(Word.ROUNDING, (f"an entry alone is what it is in a batch of three, {how(o, expected)}",), ratio)
    return Found(Word.WRONG, (f"an entry alone differs from the same in a batch of three, first at {first}",), ratio)


def _permuted_heads(subject: Subject, rng: np.random.Generator) -> Found:
    arrays = drawn(subject, rng, (2, 3), T=12)
    order = np.array([2, 0, 1])
    moved = {n: x[::-1][:, order] if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    one, other = subject.case(arrays), subject.case(moved)
    expected, got = subject.answer(one).o[::-1][:, order], subject.answer(other).o
    good, ratio, first = agree(expected, got, lambda: 2 * bound_of(subject, one).bound[::-1][:, order])
    if good:
        return Found(Word.ROUNDING, ("batch entries and heads do not see each other",), ratio)
    return Found(
        Word.WRONG, (f"permuting batch and heads changes the outputs, first at {first}: heads are mixed",), ratio
    )


def _determinism(subject: Subject, rng: np.random.Generator) -> Found:
    case, between = (subject.case(drawn(subject, rng)) for _ in range(2))
    first = subject.answer(case).o
    subject.answer(between)
    again = subject.answer(
        Case(case.ours, {n: np.array(x) if isinstance(x, np.ndarray) else x for n, x in case.foreign.items()})
    ).o
    good, ratio, place = agree(first, again, lambda: 2 * bound_of(subject, case).bound)
    if np.array_equal(first, again):
        return Found(Word.ROUNDING, ("a second call gives the same bits, after a call on other numbers",), 0.0)
    if good:
        return Found(Word.ROUNDING, ("a second call differs, by rounding: the order of summation is not fixed",), ratio)
    return Found(
        Word.WRONG, (f"a second call on the same numbers differs, first at {place}: something is kept",), ratio
    )


def _inputs_unchanged(subject: Subject, rng: np.random.Generator) -> Found:
    case = subject.case(drawn(subject, rng))
    changed = subject.answer(case).changed
    if changed:
        return Found(Word.WRONG, (f"the call wrote into its own inputs: {', '.join(changed)}",), np.inf)
    return Found(Word.ROUNDING, ("the inputs are as they were",), 0.0)


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


def _averaged(row: Pairing) -> Callable[..., Any]:
    """Every batch entry gets some of the batch's mean."""
    return mutated(row, lambda out, a: out.o + 0.1 * np.mean(out.o, axis=0, keepdims=True))


def _lifted(row: Pairing) -> Callable[..., Any]:
    """A small number added to every output, as an epsilon in the wrong place would be."""
    return mutated(row, lambda out, a: out.o + 1e-3)


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
    Probe("linear in S", "outputs add when initial states and values add", _linear_state, _squared, tags=("law",)),
    Probe("homogeneous in q", "outputs scale with queries", _homogeneity, _squared, tags=("law",)),
    Probe("homogeneous in v", "outputs scale with values, a thousandfold", _scaling, _lifted, tags=("law",)),
    Probe("permutation", "permuted batch and heads give permuted outputs", _permuted_heads, _neighbours, tags=("law",)),
    Probe("batch", "an entry of a batch is what it is alone", _batch, _averaged, tags=("law",)),
    Probe("determinism", "the same call again gives the same output", _determinism, _remembering, tags=("law",)),
    Probe("inputs unchanged", "a call leaves its inputs as they were", _inputs_unchanged, _writing, tags=("law",)),
)
