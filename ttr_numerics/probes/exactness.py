"""Inputs made so that sound arithmetic makes no error, or one of known size: here the tolerance is zero, or sharp.

They see what no comparison on generic inputs can: a state, a residual or an operand kept in fewer bits. What a declared
contract keeps in few bits is no fault; where none is declared, 16-bit arrays are taken to be worked on in float32.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.arrays import quiet
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS, Contract, contract_named, throughout
from ttr_numerics.probes.probe import (
    Found,
    NotApplicable,
    Probe,
    check_domain,
    largest_ratio,
    mutated,
)
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tolerance import row_norms, run_as
from ttr_numerics.verdict import Word

__all__ = ["EXACTNESS", "promised"]

Arrays = dict[str, Any]
RESIDUAL_BITS = 13  # of 4098
KEYS = ((1, 0), (0, 1), (1, 1))  # of the cancelled residual
SHORT = ("tf32", "bfloat16", "float16")  # what matrix units cut operands to


def promised(subject: Subject) -> Contract:
    """The declared contract; if there is none, operands and output in the dtype and float32 inside, or float64."""
    if subject.contract:
        return contract_named(subject.contract)
    dtype = FORMATS[subject.dtype]
    inside = dtype if dtype.precision > FORMATS["float32"].precision else FORMATS["float32"]
    return replace(throughout(inside), operands=dtype, output=dtype)


def _less_precise(subject: Subject, said: str, ratio: float, cause: str) -> Found:
    """Less precise than promised; where nothing was declared, with the words that would declare it."""
    format_ = cause.rpartition("=")[2]
    meant = "" if subject.contract else f"; if that is meant, declare it (--contract {subject.dtype},{cause[9:]})"
    if not subject.contract and format_ == subject.dtype:
        meant = f"; if all of it is meant to be {format_}, declare it (--contract {format_})"
    return Found(Word.CONVENTION, (f"{said} ({cause.removeprefix('contract.')}){meant}",), ratio, cause)


def _neutral(row: Pairing, rng: np.random.Generator, T: int, d: int, heads: int = 1) -> Arrays:
    """An example with steps of 1, gates of 1, no momentum, and every other row a token brings equal to its key."""
    arrays = row.example(rng, (1, heads), T=T, d_k=d, d_v=d)
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
    contract = promised(subject)
    sums = min(contract.state, contract.residual, contract.accumulator, key=lambda f: f.precision)
    if np.max(np.abs(reference)) > 1 / sums.u:
        raise NotApplicable(f"sums of this length are beyond the whole numbers of {sums.name}, which is declared")
    o, expected = subject.answer(case).o, contract.output.nearest(reference)
    return _bit_for_bit(o, expected, f"{T} tokens of one-hot keys and whole values")


def _bit_for_bit(o: np.ndarray, expected: np.ndarray, words: str) -> Found:
    wrong = np.argwhere((o != expected).any(axis=-1))
    if not len(wrong):
        return Found(Word.ROUNDING, (f"{words} come out bit for bit",), 0.0)
    place = tuple(int(i) for i in wrong[0])
    got, due = (x[place][np.argmax(o[place] != expected[place])] for x in (o, expected))
    said = f"{words}: {len(wrong)} outputs are not exact, first at {place}, where {got:.9g} stands for {due:.9g}"
    return Found(Word.WRONG, (said,), np.inf)


def _full_operands(subject: Subject, rng: np.random.Generator) -> Found:
    """Every key is written once and read alone: out comes the value, to the last bit of the operands' format.

    In a second head the values are 1 and the queries have all bits: there no state has to hold more than one.
    """
    row, d, contract = subject.row, 16, promised(subject)
    arrays = _neutral(row, rng, d, d, heads=2)
    if arrays["k"].shape != arrays["q"].shape or arrays["v"].shape != arrays["q"].shape:
        raise NotApplicable("a token of this layer brings several keys or values")
    bits = min(f.precision for f in (contract.operands, contract.state, contract.residual, contract.output))
    # Odd numbers of exactly as many bits: one bit less, and none of them is left as it was.
    odd = (2 * rng.integers(2 ** (bits - 2), 2 ** (bits - 1), arrays["v"].shape[1:]) + 1) * 2.0**-bits
    k = np.eye(d)[rng.permutation(d)]
    v = np.stack([odd[0], np.ones((d, d))])[None]
    q = np.stack([k, k * odd[1]])[None]
    case = subject.case(_fed_back(arrays | {"q": q, "k": np.broadcast_to(k, q.shape).copy(), "v": v}))
    scale = float(case.ours["q"][0, 0].max())
    exact = np.array_equal(case.ours["q"], scale * q) and np.array_equal(case.ours["v"], v)
    if not (exact and np.array_equal(case.ours["k"][0, 0], k) and np.log2(scale) % 1 == 0):
        raise NotApplicable("the declared scale or normalisation is not exact on these numbers")
    check_domain(subject, case)
    reference = np.asarray(row.layer(**case.ours).o)
    if not np.array_equal(reference, scale * (q @ np.ones((d, 1))) * v):
        raise NotApplicable(f"{row.name} does not read back what was written once")
    o = subject.answer(case).o
    found = _bit_for_bit(o, reference, f"values and queries of {bits} bits read back alone")
    cut = (n for n in SHORT if np.array_equal(o[:, 1], FORMATS[n].nearest(reference[:, 1])) and found.ratio)
    name = next(cut, None) if not np.array_equal(o[:, 1], reference[:, 1]) else None
    return found._replace(cause=f"contract.operands={name}") if name else found


def _cancelled_residual(subject: Subject, rng: np.random.Generator) -> Found:
    """Rows of 4096 and 2 are read together against the value 4096: the residual -2 is all there is to learn.

    A converged delta rule lives there. With step 1/2 the small row becomes 1; a residual taken in few bits leaves it.
    A second head has 512 and 1, which 11 bits tell apart and 8 do not.
    """
    row, contract = subject.row, promised(subject)
    coarse = min(contract.residual, contract.accumulator, key=lambda f: f.precision)
    if coarse.precision < RESIDUAL_BITS:
        raise NotApplicable(f"residuals are declared to be taken in {coarse.name}")
    case = subject.case(_large_and_small(row, rng))
    if not np.array_equal(case.ours["k"][0, 0, :, :2], KEYS):
        raise NotApplicable("the declared normalisation changes these keys")
    check_domain(subject, case)

    def learnt(o: np.ndarray) -> np.ndarray:
        return o[0, :, -1, 0] / case.ours["q"][0, :, -1, 1] / np.array([1.0, 0.5])

    if (np.abs(learnt(np.asarray(row.layer(**case.ours).o)) - 1) > np.sqrt(FORMATS["float32"].u)).any():
        raise NotApplicable(f"{row.name} takes no residual of -2 here, or not half of it")
    read = learnt(subject.answer(case).o)
    off = np.abs(read - 1)
    if (off < 0.5).all():
        return Found(Word.ROUNDING, ("a residual of -2 beside 4096 is kept",), float(off.max() * 2))
    said = f"a residual of -2 beside 4096 is lost (read {read[0]:g} for 1): it is taken in too few bits"
    cause = {(False, False): "contract.residual=bfloat16", (False, True): "contract.residual=float16"}
    lost = off[0] < 0.5, bool(off[1] < 0.5)
    found = cause.get(lost) if np.isfinite(read).all() else None
    return Found(Word.WRONG, (said,), np.inf) if found is None else _less_precise(subject, said, np.inf, found)


def _large_and_small(row: Pairing, rng: np.random.Generator) -> Arrays:
    """Two heads of three tokens: a large value, a small one, the large one again for both keys with step 1/2."""
    arrays = _neutral(row, rng, 3, 4, heads=2)
    if arrays["k"].shape != arrays["q"].shape:
        raise NotApplicable("a token of this layer brings several keys")
    k, v, q = (np.zeros_like(arrays[n]) for n in "kvq")
    k[..., :2] = KEYS
    v[0, :, :, 0] = [[4096, 2, 4096], [512, 1, 512]]
    q[..., 1] = 1.0
    if "beta" in row.arrays and np.ndim(arrays["beta"]) >= 3:
        arrays["beta"][:, :, 2] = 0.5
    return _fed_back(arrays | {"k": k, "v": v, "q": q})


def _slow_decay(subject: Subject, rng: np.random.Generator) -> Found:
    """One write, then 1 024 tokens of decay e^-2e-4 without any: a state in few bits does not forget at all.

    In a second head the gate is 1 - 2^-8, which 8 bits hold; a state that has no more still forgets at another pace.
    """
    row, T, d = subject.row, 1024, 4
    gates = {x.name for x in row.takes if x.domain is Domain.LOG_GATE and "momentum" not in x.name}
    if not gates:
        raise NotApplicable(f"{row.name} has no gate that it always takes")
    arrays = _neutral(row, rng, T, d, heads=2)
    k, v = np.zeros_like(arrays["k"]), np.zeros_like(arrays["v"])
    k[0, :, 0, ..., 0], v[0, :, 0] = 1.0, 1.0
    arrays = _fed_back(arrays | {"q": np.ones_like(arrays["q"]), "k": k, "v": v})
    slow = subject.case(arrays | {n: _by_head(arrays[n], [-2e-4, np.log1p(-(2.0**-8))]) for n in gates})
    check_domain(subject, slow)
    reference = np.asarray(row.layer(**slow.ours).o)
    contract = promised(subject)
    coarse = min(contract.state, contract.gate, key=lambda f: f.precision)
    # T roundings of the state and of exp of a gate may drift by T u each; a log gate's own rounding is on both sides.
    drift = sum(max(f.u, FORMATS["float32"].u) for f in (contract.state, contract.gate))
    allowed = T * drift + 2 * FORMATS[subject.dtype].u
    forgotten = _apart(np.asarray(row.layer(**subject.case(arrays).ours).o)[:, :1], reference[:, :1])
    if not (_apart(_in_single(row, slow.ours), reference) <= allowed and forgotten > 0.1):
        raise NotApplicable(f"{row.name} does not simply forget one write")
    if allowed >= forgotten / 2:
        raise NotApplicable(f"state or gate is declared to be kept in {coarse.name}, which forgets nothing so slowly")
    o = subject.answer(slow).o
    error = _apart(o, reference)
    if error <= allowed:
        return Found(Word.ROUNDING, (f"{T} slow decays arrive within {error:.1e}",), error / allowed)
    said, cause = f"{T} slow decays are off by {error:.1e}", _coarse_role(row, slow.ours, o, contract, allowed)
    if cause is None:
        return Found(Word.WRONG, (f"{said}; no coarser format explains it",), error / allowed)
    return _less_precise(subject, f"{said}: state or gate is kept in too few bits", error / allowed, cause)


def _by_head(x: np.ndarray, values: list[float]) -> np.ndarray:
    """Each head of x (1, heads, T, ...) at one value."""
    return np.zeros_like(x) + np.reshape(values, (-1,) + (1,) * (x.ndim - 2))


def _coarse_role(row: Pairing, arrays: Arrays, o: np.ndarray, contract: Contract, allowed: float) -> str | None:
    """The key of the role and format with which the layer's own code gives `o`, if there is one."""
    coarse = ("bfloat16", "float16")
    formats = (contract.output.name,) if contract.output.name in coarse else coarse
    for form, role, name in product((row.layer, *row.forms), ("state", "gate"), formats):
        run = run_as(form, arrays, replace(contract, **{role: FORMATS[name]}))
        if _apart(o, run) <= allowed + 2 * FORMATS[name].u:  # read before it is stored, or after
            return f"contract.{role}={name}"
    return None


def _apart(o: np.ndarray, reference: np.ndarray) -> float:
    """The largest ‖o_t - reference_t‖ / ‖reference_t‖."""
    return largest_ratio(row_norms(o - reference), row_norms(reference))


def _in_single(row: Pairing, arrays: Arrays) -> np.ndarray:
    """The layer's own output in float32."""
    narrow = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    with quiet():
        return np.asarray(row.layer(**narrow).o, dtype=np.float64)


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


def _operands_cut(row: Pairing) -> Callable[..., Any]:
    """The layer on q, k and v of eleven bits, as matrix units take them unless they are told not to."""
    short = FORMATS["tf32"].nearest
    return lambda q, k, v, **named: row.layer(short(q), short(k), short(v), **named)


EXACTNESS = (
    Probe("whole numbers", "whole numbers come out exact", _integers, _last_bit, tags=("exact",)),
    Probe("full operands", "values are read back to their last bit", _full_operands, _operands_cut, tags=("exact",)),
    Probe(
        "small residual",
        "a small residual beside large values is kept",
        _cancelled_residual,
        _residual_in_eight_bits,
        tags=("exact",),
    ),
    Probe("slow decay", "a gate near 1 still forgets", _slow_decay, _forgetting_nothing, tags=("exact",)),
)
