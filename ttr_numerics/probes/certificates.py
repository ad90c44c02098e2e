"""Certificates: what a subject's own outputs and states must satisfy among themselves, whatever they are.

Final states continue by the layer's own step, and are read linearly where the memory is linear; ridge answers satisfy
their normal equations; averages stay among what they average; an output of zeros, or one that ignores an input, is
none. As with laws, a certificate is asked of a subject only where the layer's own float64 run has it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.axes import Output
from ttr_numerics.backward import THRESHOLD, solve_ratio
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.probe import NotApplicable, Probe, bound_of, check_domain, drawn, mutated, within
from ttr_numerics.probes.state import carried, cut, hands_over
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.verdict import Word

__all__ = ["CERTIFICATES"]

Arrays = dict[str, Any]
Found = tuple[Word, tuple[str, ...], float]
SAME = np.sqrt(FORMATS["float64"].u)  # a float64 run that lacks a property differs in the first digits


def _final_state(subject: Subject, rng: np.random.Generator) -> Found:
    """Of T + 1 tokens, T - 1 and T are run: S_T and o_T must be the layer's step from S_{T-1}."""
    row, arrays = subject.row, drawn(subject, rng, T=14, d_k=8, d_v=8)
    whole = subject.case(arrays)
    check_domain(subject, whole)
    T = arrays["q"].shape[-2] - 1
    (before, said), (after, _) = (carried(subject, subject.case(cut(row, arrays, 0, t))) for t in (T - 1, T))
    last, following = (cut(row, whole.ours, t, t + 1) for t in (T - 1, T))
    stepped, allowed = _from(row, last, before.state), 2 * bound_of(subject, whole).bound
    read = [_from(row, following, s).o for s in (after.state, stepped.state)]  # both states, by a further token
    good, ratio = _agree((after.o[..., -1:, :], stepped.o, allowed[..., T - 1 : T]), (*read, allowed[..., T:]))
    if good:
        return Word.ROUNDING, ("the final state is one step of the layer from the one before", *said), ratio
    if hands_over(subject, arrays, T, allowed):
        raise NotApplicable("its final state has a meaning of its own: it goes on from there, the layer does not")
    return Word.WRONG, ("the final state is not one step of the layer from the one before", *said), ratio


def _agree(*pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[bool, float]:
    """Whether all x and y are within what is allowed of each other, and the worst ratio."""
    found = [within(x, y, allowed) for x, y, allowed in pairs]
    return all(good for good, _, _ in found), max(ratio for _, ratio, _ in found)


def _read_out(subject: Subject, rng: np.random.Generator) -> Found:
    """o_T = m(q_T), m the map that the final state holds."""
    row, arrays = subject.row, drawn(subject, rng, T=12, d_k=8, d_v=8)
    case = subject.case(arrays)
    check_domain(subject, case)
    query, named = case.ours["q"][..., -1:, :], {n: x for n, x in case.ours.items() if n not in ("q", "k", "v")}
    own = row.layer(**case.ours)
    try:
        read = row.memory(own.state, **named)(query)
    except (TypeError, ValueError, AttributeError) as refusal:
        raise NotApplicable(f"the catalogue has no map that the state of {row.name} holds") from refusal
    if not _same(read, own.o[..., -1:, :]):
        raise NotApplicable(f"{row.name} itself does not read its final state alone")
    (answer, said), allowed = carried(subject, case), 2 * bound_of(subject, case).bound
    read = row.memory(answer.state, **named)(query)
    good, ratio, _ = within(answer.o[..., -1:, :], read, allowed[..., -1:])
    if good:
        return Word.ROUNDING, ("the last output is the final state, read by the last query", *said), ratio
    if hands_over(subject, arrays, arrays["q"].shape[-2] - 1, allowed):
        raise NotApplicable("its final state has a meaning of its own: it goes on from there, the layer does not")
    return Word.WRONG, ("the last output is not what the last query reads in the final state", *said), ratio


def _normal_equations(subject: Subject, rng: np.random.Generator) -> Found:
    """(K'K + λI) W = K'V for the rows of W, which the queries e_1..e_d read at the last token."""
    row = subject.row
    if "ridge" not in row.arrays:
        raise NotApplicable(f"{row.name} has no ridge")
    one = drawn(subject, rng, (1, 2), T=16, d_k=6, d_v=6)
    d = one["q"].shape[-1]
    arrays = {n: np.repeat(x, d, axis=0) if isinstance(x, np.ndarray) else x for n, x in one.items()}
    arrays["q"][..., -1, :] = np.eye(d)[:, None]
    for x in row.takes:  # nothing is forgotten, every token counts once
        if "T" in x.shapes[0]:
            arrays[x.name] = np.full(arrays[x.name].shape, 0.0 if x.domain is Domain.LOG_GATE else 1.0)
    case = subject.case(arrays)
    check_domain(subject, case)
    ratio = _ridge_ratio(case, np.asarray(row.layer(**case.ours).o))
    if ratio > THRESHOLD:
        raise NotApplicable(f"{row.name} itself does not solve the normal equations of a ridge regression")
    units = FORMATS["float64"].u / subject.arithmetic.u
    ratio = units * _ridge_ratio(case, subject.answer(case).o)
    said = f"normal equations hold to {ratio:.2g} of LAPACK's units, {THRESHOLD:g} allowed"
    return (Word.ROUNDING if ratio <= THRESHOLD else Word.WRONG), (said,), ratio / THRESHOLD


def _ridge_ratio(case: Case, o: np.ndarray) -> float:
    """LAPACK's ratio of the residual of W; infinite where it is not finite."""
    k, v = (case.ours[n][0] for n in "kv")
    read = np.einsum("ihi->hi", case.ours["q"][..., -1, :])  # 1, or what the convention makes of it
    W = np.moveaxis(o[..., -1, :], 0, 1) / read[..., None]
    A = k.mT @ k + float(case.ours["ridge"]) * np.eye(k.shape[-1])
    with quiet():
        ratio = float(np.max(solve_ratio(A, W, k.mT @ v)))
    return ratio if np.isfinite(ratio) else np.inf


def _not_zero(subject: Subject, rng: np.random.Generator) -> Found:
    """A head of zeros, or one that a change of q, k or v leaves as it was, is wrong where the layer's is not."""
    row, arrays, other = subject.row, *(drawn(subject, rng, T=12, d_k=8, d_v=8) for _ in range(2))
    case = subject.case(arrays)
    check_domain(subject, case)
    reference, o = np.asarray(row.layer(**case.ours).o), subject.answer(case).o
    if _heads(o == 0) and not _heads(reference == 0):
        return Word.WRONG, ("a whole head of the output is zero",), np.inf
    if _heads(o == o[..., :1, :]) and not _heads(reference == reference[..., :1, :]):
        return Word.WRONG, ("a whole head of the output is the same at every token",), np.inf
    for name in "qkv":
        changed = subject.case({**arrays, name: other[name]})
        check_domain(subject, changed)
        if _heads(subject.answer(changed).o == o) and not _heads(row.layer(**changed.ours).o == reference):
            return Word.WRONG, (f"the output does not depend on {name}",), np.inf
    return Word.ROUNDING, ("no head is zero or constant, and every one depends on q, k and v",), 0.0


def _heads(equal: np.ndarray) -> bool:
    """Whether in any head all of it is."""
    return bool(np.any(np.all(equal, axis=(-1, -2))))


def _averages(subject: Subject, rng: np.random.Generator) -> Found:
    """min_i v_i ≤ o_t ≤ max_i v_i over the tokens seen, and values that are all the same come out as they are."""
    row, arrays = subject.row, drawn(subject, rng, T=16, d_k=8, d_v=8)
    v = np.round(8 * arrays["v"]) / 8  # a convex combination of numbers that every format holds
    cases = [subject.case({**arrays, "v": x}) for x in (v, np.full_like(v, 1.5))]
    for case in cases:
        check_domain(subject, case)
    if max(float(np.max(_outside(row, c, np.asarray(row.layer(**c.ours).o)))) for c in cases) > SAME:
        raise NotApplicable(f"{row.name} itself is no average of values")
    bounds = np.split(bound_of(subject, *cases).bound, 2)
    ratios = []
    for case, bound in zip(cases, bounds, strict=True):
        outside = _outside(row, case, subject.answer(case).o)
        good, ratio, place = within(outside, np.zeros_like(outside), np.sqrt(outside.shape[-1]) * bound)
        if not good:
            return Word.WRONG, (f"the output leaves the range of the values it averages, first at {place}",), ratio
        ratios.append(ratio)
    return Word.ROUNDING, ("outputs stay among the values they average",), max(ratios)


def _outside(row: Pairing, case: Case, o: np.ndarray) -> np.ndarray:
    """How far o_t lies outside the range of the values seen, coordinate by coordinate."""
    v = case.ours["v"]
    if v.shape != o.shape:
        raise NotApplicable(f"the values of {row.name} have another shape than its outputs")
    if row.causal:
        low, high = (f.accumulate(v, axis=-2) for f in (np.minimum, np.maximum))
    else:
        low, high = (f(v, axis=-2, keepdims=True) for f in (np.min, np.max))
    return np.maximum(np.maximum(low - o, o - high), 0.0)


def _from(row: Pairing, arrays: Arrays, state: Any) -> Output:
    """The layer on `arrays` from `state`; what the state carries is not given again."""
    named = {x.name for x in row.arguments if x.in_state}
    try:
        with quiet():
            return row.layer(**{n: x for n, x in arrays.items() if n not in named}, initial_state=state)
    except LinAlgError as refusal:
        raise NotApplicable(f"{row.name} itself cannot go on from this state: {refusal}") from refusal


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return bool(np.max(np.abs(x - y)) <= SAME * np.max(np.abs(y)))


def _scaled_state(row: Pairing) -> Callable[..., Any]:
    """The final state with five percent more in every part."""

    def change(out: Output, arguments: Arrays) -> Any:
        parts = out.state if isinstance(out.state, tuple) else (out.state,)
        larger = [1.05 * x if hasattr(x, "dtype") else x for x in parts]
        return Output(out.o, type(out.state)(*larger) if isinstance(out.state, tuple) else larger[0])

    return mutated(row, change)


def _stale_state(row: Pairing) -> Callable[..., Any]:
    """The final state without the last token."""

    def change(out: Output, arguments: Arrays) -> Any:
        T = arguments["q"].shape[-2]
        return Output(out.o, row.layer(**cut(row, arguments, 0, T - 1)).state)

    return mutated(row, change)


def _twice_the_ridge(row: Pairing) -> Callable[..., Any]:
    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        return row.layer(q, k, v, **named | ({"ridge": 2 * named["ridge"]} if "ridge" in named else {}))

    return faulty


def _zeros(row: Pairing) -> Callable[..., Any]:
    return mutated(row, lambda out, arguments: 0 * out.o)


def _more(row: Pairing) -> Callable[..., Any]:
    return mutated(row, lambda out, arguments: 1.05 * out.o)


CERTIFICATES = (
    Probe(
        "final state",
        "the final state is one step of the layer from the one before",
        _final_state,
        _scaled_state,
        tags=("certificate",),
    ),
    Probe("read-out", "the last output is read from the final state", _read_out, _stale_state, tags=("certificate",)),
    Probe(
        "normal equations",
        "ridge answers satisfy their normal equations",
        _normal_equations,
        _twice_the_ridge,
        tags=("certificate",),
    ),
    Probe("not zero", "outputs are not zero, constant or blind", _not_zero, _zeros, tags=("certificate",)),
    Probe("averages", "averages lie among what they average", _averages, _more, tags=("certificate",)),
)
