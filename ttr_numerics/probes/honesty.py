"""Honest dtypes: what is asked for in a dtype is computed in it, and comes back in it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arrays import quiet
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.exactness import promised
from ttr_numerics.probes.probe import Found, NotApplicable, Probe, bound_of, drawn, mutated, within
from ttr_numerics.probes.subject import Subject
from ttr_numerics.tolerance import row_norms
from ttr_numerics.verdict import Word

__all__ = ["HONESTY"]

COARSER = {"float64": ("float32",), "float32": ("tf32", "float16", "bfloat16"), "float16": ("bfloat16",)}


def _honesty(subject: Subject, rng: np.random.Generator) -> Found:
    """Not the layer to rounding, and the same output for q, k and v rounded to a coarser format: that is the cause.

    A wrong formula may lie within the rounding of the coarser format too; but it sees its inputs.
    """
    arrays = drawn(subject, rng)
    case = subject.case(arrays)
    o, precise = subject.answer(case).o, bound_of(subject, case)
    if within(o, precise.reference, precise.bound)[0]:
        return Found(Word.ROUNDING, (f"{subject.dtype} is computed in {subject.declared}",), 0.0)
    for name in COARSER.get(subject.dtype, ()):
        rounded = subject.case(arrays | {n: FORMATS[name].nearest(arrays[n]) for n in "qkv"})
        moved = row_norms(np.asarray(subject.row.layer(**rounded.ours).o) - precise.reference)
        same = within(o, subject.answer(rounded).o, 2 * precise.bound)[0]
        if same and (moved > 4 * precise.bound).any():
            said = f"{subject.dtype} goes in and comes out; rounded to {name} before, it gives the same output"
            cause = "operands" if name == "tf32" else "dtype"
            return Found(Word.WRONG, (said,), np.inf, f"contract.{cause}={name}")
    raise NotApplicable(f"not the layer on generic inputs, and no coarser format is what {subject.dtype} is cut to")


def _output_dtype(subject: Subject, rng: np.random.Generator) -> Found:
    """The dtype that an output comes in is the one declared; a wider one is no fault, but is said."""
    due, got = promised(subject).output, subject.answer(subject.case(drawn(subject, rng))).dtype
    if got == due.name:
        return Found(Word.ROUNDING, (f"{subject.dtype} in, {got} out",), 0.0)
    said = f"{subject.dtype} in, {got} out: expected {due.name}"
    if got in FORMATS and FORMATS[got].precision >= due.precision and FORMATS[got].largest >= due.largest:
        return Found(Word.ROUNDING, (f"{said}, and no digit is lost",), 0.0)
    return Found(Word.WRONG, (f"{said}: digits or range are lost",), np.inf, f"contract.output={got}")


def _in_float32(row: Pairing) -> Callable[..., Any]:
    """Float64 taken and given, float32 in between."""

    def faulty(**arrays: Any) -> Any:
        narrow = {n: x.astype(np.float32) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
        with quiet():
            return np.asarray(row.layer(**narrow).o, dtype=np.float64)

    return lambda q, k, v, **named: faulty(q=q, k=k, v=v, **named)


def _half_out(row: Pairing) -> Callable[..., Any]:
    """An output in float16, whatever came in."""
    return mutated(row, lambda out, a: out.o.astype(np.float16))


HONESTY = (
    Probe("honest dtype", "a dtype is computed in", _honesty, _in_float32, tags=("exact",)),
    Probe("output dtype", "a dtype that goes in comes out", _output_dtype, _half_out, tags=("law",)),
)
