"""Inputs made so that sound arithmetic makes no error, or one of known size: here the tolerance is zero, or sharp.

They see what no comparison on generic inputs can: a state or a residual kept in fewer bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.arrays import quiet
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.probe import (
    NotApplicable,
    Probe,
    bound_of,
    check_domain,
    drawn,
    largest_ratio,
    mutated,
    timed,
    within,
)
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tolerance import rounding, row_norms
from ttr_numerics.verdict import Word

__all__ = ["EXACTNESS"]

Found = tuple[Word, tuple[str, ...], float]
Arrays = dict[str, Any]


def _neutral(row: Pairing, rng: np.random.Generator, T: int, d: int) -> Arrays:
    """An example with steps of 1, gates of 1, no momentum, and every other row a token brings equal to its key."""
    arrays = row.example(rng, (1, 1), T=T, d_k=d, d_v=d)
    values = {Domain.LOG_GATE: 0.0, Domain.LOG_WEIGHT: 0.0}
    for x in row.takes:
        if x.shapes[0]:
            arrays[x.name] = np.full(
                arrays[x.name].shape, -np.inf if "momentum" in x.name else values.get(x.domain, 1.0)
            )
    return arrays


def _fed_back(arrays: Arrays) -> Arrays:
    """The row whose error is fed back, if there is one, is the key."""
    return arrays | ({"p": arrays["k"]} if "p" in arrays and np.ndim(arrays["p"]) else {})


def _integers(subject: Subject, rng: np.random.Generator) -> Found:
    """One-hot keys, small whole values, steps and gates of 1: every order of summation is exact."""
    row, T, d = subject.row, 150, 16
    arrays = _neutral(row, rng, T, d)
    arrays["k"] = np.eye(d)[rng.integers(0, d, arrays["k"].shape[:-1])]
    arrays |= {n: rng.integers(-3, 4, arrays[n].shape).astype(float) for n in "qv"}
    arrays = _fed_back(arrays)
    case = subject.case(arrays)
    # A scale of the border may not be a power of two: its product with q is rounded once, on both sides.
    if not all(np.array_equal(case.ours[n], arrays[n]) for n in "qkv"):
        raise NotApplicable("the declared scale or normalisation is not exact on whole numbers")
    check_domain(subject, case)
    reference, single = np.asarray(row.layer(**case.ours).o), _in_single(row, case.ours)
    if not (np.array_equal(reference, np.round(reference)) and np.array_equal(single, reference)):
        raise NotApplicable(f"{row.name} itself makes no whole numbers of whole numbers")
    if not reference.any():
        raise NotApplicable(f"{row.name} answers zero at gates of 1")
    if np.max(np.abs(reference)) > 1 / FORMATS[subject.dtype].u:
        raise NotApplicable(f"sums of this length are beyond the whole numbers of {subject.dtype}")
    o = subject.answer(case).o
    wrong = np.argwhere((o != reference).any(axis=-1))
    if not len(wrong):
        return Word.ROUNDING, (f"{T} tokens of one-hot keys and whole values come out bit for bit",), 0.0
    place = tuple(int(i) for i in wrong[0])
    return Word.WRONG, (f"{len(wrong)} of {T} exact whole-number outputs differ, first at {place}",), np.inf


def _cancelled_residual(subject: Subject, rng: np.random.Generator) -> Found:
    """Rows of 4096 and 2 are read together against the value 4096: the residual -2 is all there is to learn.

    A converged delta rule lives there. With step 1/2 the small row becomes 1; a residual taken in few bits leaves it.
    """
    row, d = subject.row, 4
    arrays = _neutral(row, rng, 3, d)
    if arrays["k"].shape != arrays["q"].shape:
        raise NotApplicable("a token of this layer brings several keys")
    k, v, q = (np.zeros_like(arrays[n]) for n in "kvq")
    k[0, 0, :, :2] = [[1, 0], [0, 1], [1, 1]]
    v[0, 0, :, 0] = [4096, 2, 4096]
    q[..., 1] = 1.0
    arrays = _fed_back(arrays | {"k": k, "v": v, "q": q})
    if "beta" in row.arrays and np.ndim(arrays["beta"]) >= 3:
        arrays["beta"][:, :, 2] = 0.5
    case = subject.case(arrays)
    if not np.array_equal(case.ours["k"], k):
        raise NotApplicable("the declared normalisation changes these keys")
    check_domain(subject, case)
    learnt = np.asarray(row.layer(**case.ours).o)[0, 0, -1, 0] / case.ours["q"][0, 0, -1, 1]
    if abs(learnt - 1) > np.sqrt(FORMATS["float32"].u):
        raise NotApplicable(f"{row.name} takes no residual of -2 here, or not half of it")
    read = subject.answer(case).o[0, 0, -1, 0] / case.ours["q"][0, 0, -1, 1]
    if abs(read - 1) < 0.5:
        return Word.ROUNDING, ("a residual of -2 beside 4096 is kept",), float(abs(read - 1) * 2)
    return (
        Word.WRONG,
        (f"a residual of -2 beside 4096 is lost (read {read:g} for 1): it is taken in too few bits",),
        np.inf,
    )


def _slow_decay(subject: Subject, rng: np.random.Generator) -> Found:
    """One write, then 1 024 tokens of decay e^-2e-4 without any: a state in few bits does not forget at all."""
    row, T, d = subject.row, 1024, 4
    gates = {x.name for x in row.takes if x.domain is Domain.LOG_GATE and "momentum" not in x.name}
    if not gates:
        raise NotApplicable(f"{row.name} has no gate that it always takes")
    arrays = _neutral(row, rng, T, d)
    k, v = np.zeros_like(arrays["k"]), np.zeros_like(arrays["v"])
    k[0, 0, 0, ..., 0], v[0, 0, 0] = 1.0, 1.0
    arrays = _fed_back(arrays | {"q": np.ones_like(arrays["q"]), "k": k, "v": v})
    slow = subject.case(arrays | {n: np.full_like(arrays[n], -2e-4) for n in gates})
    check_domain(subject, slow)
    reference = np.asarray(row.layer(**slow.ours).o)
    # T roundings of the state in float32 may drift by T u; a gate rounded to the dtype is on both sides.
    allowed = T * FORMATS["float32"].u + 2 * FORMATS[subject.dtype].u
    kept = np.asarray(row.layer(**subject.case(arrays).ours).o)
    if not (_apart(_in_single(row, slow.ours), reference) <= allowed and _apart(kept, reference) > 0.1):
        raise NotApplicable(f"{row.name} does not simply forget one write")
    error = _apart(subject.answer(slow).o, reference)
    if error <= allowed:
        return Word.ROUNDING, (f"{T} slow decays arrive within {error:.1e}",), error / allowed
    return (
        Word.WRONG,
        (f"{T} slow decays are off by {error:.1e}: state or gate is kept in too few bits",),
        error / allowed,
    )


def _apart(o: np.ndarray, reference: np.ndarray) -> float:
    """The largest ‖o_t - reference_t‖ / ‖reference_t‖."""
    return largest_ratio(row_norms(o - reference), row_norms(reference))


def _in_single(row: Pairing, arrays: Arrays) -> np.ndarray:
    """The layer's own output in float32."""
    narrow = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    with quiet():
        return np.asarray(row.layer(**narrow).o, dtype=np.float64)


def _handover(subject: Subject, rng: np.random.Generator) -> Found:
    """One pass against pieces that hand the state over: 1 token, 16, and the rest."""
    row = subject.row
    if not subject.takes("initial_state"):
        raise NotApplicable("the subject takes no initial_state")
    arrays, axis, long = drawn(subject, rng), 2, timed(row)
    case, carried = subject.case(arrays), {x.name for x in row.arguments if x.in_state}
    whole, allowed, state, pieces = subject.answer(case).o, bound_of(subject, case).bound, None, []
    for start, stop in ((0, 1), (1, 17), (17, 18), (18, arrays["q"].shape[axis])):
        given = {n: x for n, x in arrays.items() if state is None or n not in carried}
        cut = {n: x.take(range(start, stop), axis) if n in long else x for n, x in given.items()}
        answer = subject.answer(subject.case(cut), state)
        if answer.state is None:
            raise NotApplicable("the subject returns no final state")
        state = answer.state
        pieces.append(answer.o)
    good, ratio, first = within(whole, np.concatenate(pieces, axis=-2), 2 * allowed)
    if good:
        return Word.ROUNDING, ("pieces of 1, 16, 1 and 6 tokens give what one pass gives",), ratio
    return Word.WRONG, (f"pieces that hand over the state differ from one pass, first at {first}",), ratio


def _residual_in_eight_bits(row: Pairing) -> Callable[..., Any]:
    """A delta rule whose residual is formed from a prediction rounded to eight bits."""

    def faulty(q: Any, k: Any, v: Any, beta: Any = None, **named: Any) -> Any:
        S = np.zeros((*k.shape[:-2], k.shape[-1], v.shape[-1]))
        rows = []
        for t in range(k.shape[-2]):
            key, value = k[..., t, :, None], v[..., t, None, :]
            predicted = FORMATS["bfloat16"].nearest(np.swapaxes(key, -1, -2) @ S)
            S = S + key @ ((1.0 if beta is None else beta[..., t, None, None]) * (value - predicted))
            rows.append(q[..., t, None, :] @ S)
        return np.concatenate(rows, axis=-2)

    return faulty


def _forgetting_nothing(row: Pairing) -> Callable[..., Any]:
    """The layer with gates of 1, whatever they are."""
    gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE}

    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        return row.layer(q, k, v, **{n: 0 * x if n in gates else x for n, x in named.items()})

    return faulty


def _last_bit(row: Pairing) -> Callable[..., Any]:
    """Whole numbers off by a little."""
    return mutated(row, lambda out, a: out.o * 1.01)


def _stateless(row: Pairing) -> Callable[..., Any]:
    """The initial state is taken, and dropped; what it would carry is remembered from the first call."""
    first: dict[str, Any] = {}

    def faulty(q: Any, k: Any, v: Any, initial_state: Any = None, **named: Any) -> Any:
        first.update({x.name: named[x.name] for x in row.arguments if x.in_state and x.name in named})
        return row.layer(q, k, v, **(first | named))

    return faulty


def _in_float32(row: Pairing) -> Callable[..., Any]:
    """Float64 taken and given, float32 in between."""
    return lambda q, k, v, **named: _in_single(row, {"q": q, "k": k, "v": v, **named})


def _honesty(subject: Subject, rng: np.random.Generator) -> Found:
    """What is asked for in float64 is computed in float64."""
    if subject.dtype != "float64":
        raise NotApplicable("asked of float64 alone: whoever takes it should compute in it")
    case = subject.case(drawn(subject, rng))
    o, precise = subject.answer(case).o, bound_of(subject, case)
    if within(o, precise.reference, precise.bound)[0]:
        return Word.ROUNDING, ("float64 is computed in float64",), 0.0
    coarse = rounding(subject.row.layer, case.ours, FORMATS["float32"], forms=subject.row.forms)
    if within(o, precise.reference, coarse.bound + precise.bound)[0]:
        return Word.WRONG, ("float64 goes in and comes out, and float32 is what it was computed in",), np.inf
    raise NotApplicable("not the layer on generic inputs, in float64 or in float32: see there")


EXACTNESS = (
    Probe("whole numbers", "whole numbers come out exact", _integers, _last_bit, tags=("exact",)),
    Probe(
        "small residual",
        "a small residual beside large values is kept",
        _cancelled_residual,
        _residual_in_eight_bits,
        tags=("exact",),
    ),
    Probe("slow decay", "a gate near 1 still forgets", _slow_decay, _forgetting_nothing, tags=("exact",)),
    Probe("hand-over", "pieces that hand over the state equal one pass", _handover, _stateless, tags=("law",)),
    Probe("honest dtype", "float64 is computed in float64", _honesty, _in_float32, tags=("exact",)),
)
