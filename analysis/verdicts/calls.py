"""Faults in how a function treats its caller: inputs written into, strides ignored, another format inside."""

from typing import Any

import numpy as np

from analysis.verdicts.operands import Arrays, Run
from ttr_numerics.arrays import Array, concat, namespace

__all__ = ["consuming", "narrowed", "striding", "writing"]


def writing(run: Run, argument: str, factor: float) -> Run:
    """The caller's own `argument` is multiplied in place, after the answer was formed."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        result, x = run(a), a.get(argument)
        if x is not None and hasattr(x, "dtype"):
            x = x.detach() if hasattr(x, "detach") else x
            x[...] = x * factor
        return result

    return changed


def narrowed(run: Run, form: str) -> Run:
    """Arrays of the caller's dtype computed in another, and the answer given back in the caller's."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        if not form:
            return run(a)
        xp = namespace(a["q"])
        short = {n: xp.astype(x, getattr(xp, form)) if hasattr(x, "dtype") else x for n, x in a.items()}
        o, state = run(short)
        return xp.astype(o, a["q"].dtype), state

    return changed


def striding(run: Run, argument: str, ignored: bool) -> Run:
    """`argument` read from memory as if its entries lay there one after the other."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        x = a[argument]
        whole = x.is_contiguous() if hasattr(x, "is_contiguous") else x.flags.c_contiguous
        return run(a if whole or not ignored else {**a, argument: _in_memory(x)})

    return changed


def _in_memory(x: Array) -> Array:
    """The numbers from the first entry of x on, in the order of memory, repeated where they end."""
    if hasattr(x, "untyped_storage"):
        n = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
        flat = x.detach().as_strided((n,), (1,), x.storage_offset())
        return concat([flat] * -(-x.numel() // n), 0)[: x.numel()].reshape(x.shape)
    base = x
    while isinstance(base.base, np.ndarray):
        base = base.base
    flat = base.reshape(-1, order="A")
    start = (x.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // x.itemsize
    return np.resize(flat[start:], x.shape)


def consuming(run: Run, factor: float) -> Run:
    """A state is written over by the call that takes it."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        o, state = run(a)
        given = a.get("initial_state")
        if given is not None and hasattr(given, "dtype"):
            given = given.detach() if hasattr(given, "detach") else given
            given[...] = given + factor * (state.detach() if hasattr(state, "detach") else state)
        return o, state

    return changed
