"""Inputs made so that sound arithmetic makes no error, or one of known size: here the tolerance is zero, or sharp.

They see what no comparison on generic inputs can: a state or a residual kept in fewer bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.choices import GradientStep, Leak, Linear, StochasticGradient
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.laws import timed
from ttr_numerics.probes.probe import NotApplicable, Probe, bound_of, drawn, mutated, within
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tolerance import rounding
from ttr_numerics.verdict import Word

__all__ = ["EXACTNESS"]

FORGETTING = StochasticGradient(leak=Leak.BEFORE_ERROR)
Found = tuple[Word, tuple[str, ...], float]
Arrays = dict[str, Any]


def _linear_state(row: Pairing) -> None:
    """Only a matrix state that sums products of q, k, v, gates and steps: its sums of whole numbers are exact."""
    plain = set(row.arrays) <= {"beta", "log_decay"} and row.choices.function_class == Linear()
    if not plain or row.choices.optimiser not in (GradientStep(), StochasticGradient(), FORGETTING):
        raise NotApplicable(f"{row.name} is no plain sum of products of its inputs")


def _neutral(row: Pairing, T: int) -> Arrays:
    """Steps of 1 and gates of 1."""
    values = {Domain.LOG_GATE: 0.0}
    return {x.name: np.full((1, 1, T), values.get(x.domain, 1.0)) for x in row.takes}


def _integers(subject: Subject, rng: np.random.Generator) -> Found:
    """One-hot keys, small whole values, steps and gates of 1: every order of summation is exact."""
    row, T, d = subject.row, 150, 16
    _linear_state(row)
    k = np.eye(d)[rng.integers(0, d, T)][None, None]
    q, v = (rng.integers(-3, 4, (1, 1, T, d)).astype(float) for _ in range(2))
    case = subject.case({"q": q, "k": k, "v": v, **_neutral(row, T)})
    # A scale of the border may not be a power of two: its product with q is rounded once, on both sides.
    if not all(np.array_equal(case.ours[n], x) for n, x in (("q", q), ("k", k), ("v", v))):
        raise NotApplicable("the declared scale or normalisation is not exact on whole numbers")
    reference = np.asarray(row.layer(**case.ours).o)
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
    if row.name not in ("delta_rule", "gated_delta_rule"):
        raise NotApplicable(f"{row.name} forms no residual of this kind")
    k, v, q = (np.zeros((1, 1, 3, d)) for _ in range(3))
    k[0, 0, :, :2] = [[1, 0], [0, 1], [1, 1]]
    v[0, 0, :, 0] = [4096, 2, 4096]
    q[..., 1] = 1.0
    case = subject.case({"q": q, "k": k, "v": v, **_neutral(row, 3), "beta": np.array([[[1.0, 1.0, 0.5]]])})
    if not np.array_equal(case.ours["k"], k):
        raise NotApplicable("the declared normalisation changes these keys")
    read = subject.answer(case).o[0, 0, -1, 0] / case.ours["q"][0, 0, -1, 1]
    if abs(read - 1) < 0.5:
        return Word.ROUNDING, ("a residual of -2 beside 4096 is kept",), float(abs(read - 1) * 2)
    return (
        Word.WRONG,
        (f"a residual of -2 beside 4096 is lost (read {read:g} for 1): it is taken in too few bits",),
        np.inf,
    )


def _slow_decay(subject: Subject, rng: np.random.Generator) -> Found:
    """One write, then 4 096 tokens of decay e^-8e-5 without any: a state in few bits does not forget at all."""
    row, T, d = subject.row, 4096, 4
    _linear_state(row)
    if "log_decay" not in row.arrays:
        raise NotApplicable(f"{row.name} has no gate")
    k, v = np.zeros((1, 1, T, d)), np.zeros((1, 1, T, d))
    k[..., 0, 0], v[..., 0, :] = 1.0, 1.0
    arrays = {"q": np.ones((1, 1, T, d)), "k": k, "v": v, **_neutral(row, T)}
    arrays["log_decay"] = np.full((1, 1, T), -8e-5)
    case = subject.case(arrays)
    o, reference = subject.answer(case).o, np.asarray(row.layer(**case.ours).o)
    error = float(np.max(np.abs(o - reference) / np.abs(reference)))
    # T roundings of the state in float32 may drift by T u; a gate rounded to the dtype is on both sides.
    allowed = T * FORMATS["float32"].u + 2 * FORMATS[subject.dtype].u
    if error <= allowed:
        return Word.ROUNDING, (f"4 096 slow decays arrive within {error:.1e}",), error / allowed
    return (
        Word.WRONG,
        (f"4 096 slow decays are off by {error:.1e}: state or gate is kept in too few bits",),
        error / allowed,
    )


def _handover(subject: Subject, rng: np.random.Generator) -> Found:
    """One pass against pieces that hand the state over: 1 token, 16, and the rest."""
    row = subject.row
    if not subject.takes("initial_state"):
        raise NotApplicable("the subject takes no initial_state")
    arrays = row.example(rng, (1, 2), T=40, d_k=16, d_v=16)
    case, axis = subject.case(arrays), 2
    whole, allowed, state, pieces = subject.answer(case).o, bound_of(subject, case).bound, None, []
    long = timed(row)
    for start, stop in ((0, 1), (1, 17), (17, 18), (18, 40)):
        cut = {n: x.take(range(start, stop), axis) if n in long else x for n, x in arrays.items()}
        answer = subject.answer(subject.case(cut), state)
        if answer.state is None:
            raise NotApplicable("the subject returns no final state")
        state = answer.state
        pieces.append(answer.o)
    good, ratio, first = within(whole, np.concatenate(pieces, axis=-2), 2 * allowed)
    if good:
        return Word.ROUNDING, ("pieces of 1, 16, 1 and 22 tokens give what one pass gives",), ratio
    return Word.WRONG, (f"pieces that hand over the state differ from one pass, first at {first}",), ratio


def _residual_in_eight_bits(row: Pairing) -> Callable[..., Any]:
    """A delta rule whose residual is formed from a prediction rounded to eight bits, and a state that never decays."""

    def faulty(q: Any, k: Any, v: Any, beta: Any = None, log_decay: Any = None, **named: Any) -> Any:
        S = np.zeros((*k.shape[:-2], k.shape[-1], v.shape[-1]))
        rows = []
        for t in range(k.shape[-2]):
            key, value = k[..., t, :, None], v[..., t, None, :]
            predicted = FORMATS["bfloat16"].nearest(np.swapaxes(key, -1, -2) @ S)
            S = S + key @ ((1.0 if beta is None else beta[..., t, None, None]) * (value - predicted))
            rows.append(q[..., t, None, :] @ S)
        return np.concatenate(rows, axis=-2)

    return faulty


def _last_bit(row: Pairing) -> Callable[..., Any]:
    """Whole numbers off by a little."""
    return mutated(row, lambda out, a: out.o * 1.01)


def _stateless(row: Pairing) -> Callable[..., Any]:
    """The initial state is taken, and dropped."""

    def faulty(q: Any, k: Any, v: Any, initial_state: Any = None, **named: Any) -> Any:
        return row.layer(q, k, v, **named)

    return faulty


def _in_float32(row: Pairing) -> Callable[..., Any]:
    """Float64 taken and given, float32 in between."""

    def faulty(**given: Any) -> Any:
        narrow = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in given.items()}
        return np.asarray(row.layer(**narrow).o, dtype=np.float64)

    return lambda q, k, v, **named: faulty(q=q, k=k, v=v, **named)


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
    Probe("slow decay", "a gate near 1 still forgets", _slow_decay, _residual_in_eight_bits, tags=("exact",)),
    Probe("hand-over", "pieces that hand over the state equal one pass", _handover, _stateless, tags=("law",)),
    Probe("honest dtype", "float64 is computed in float64", _honesty, _in_float32, tags=("exact",)),
)
