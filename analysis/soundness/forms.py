"""Sound ways to compute one layer, each with errors of its own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ttr_numerics.arrays import LinAlgError, cast, quiet, to_numpy
from ttr_numerics.layers import chunked
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS

__all__ = ["outputs"]

Arrays = Mapping[str, Any]
Form = Callable[[Pairing, Arrays, str], np.ndarray | None]
CHUNKS = (5, 8, 32)  # none of them a length that the tolerance itself has run


def outputs(row: Pairing, arrays: Arrays, dtype: str) -> Iterator[tuple[str, np.ndarray]]:
    """(name of the form, its output as float64) for every form that the layer has in this format."""
    for name, form in FORMS.items():
        try:
            o = form(row, arrays, dtype)
        except LinAlgError:  # it refuses: a matrix is not definite in this format
            continue
        if o is not None:
            yield name, o


def _run(layer: Callable[..., Any], arrays: Arrays, library: str, dtype: str) -> np.ndarray:
    given = {n: cast(x, library, dtype) if isinstance(x, np.ndarray) else x for n, x in arrays.items()}
    with quiet():
        return np.asarray(to_numpy(layer(**given).o), dtype=np.float64)


def _numpy(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
    return None if dtype == "bfloat16" else _run(row.layer, arrays, "numpy", dtype)


def _torch(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
    return _run(row.layer, arrays, "torch", dtype)


def _flushed(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
    """Subnormal numbers taken for zero, as most kernels are compiled to do."""
    if not torch.set_flush_denormal(True):  # a processor that cannot
        return None
    try:
        return _run(row.layer, arrays, "torch", dtype)
    finally:
        torch.set_flush_denormal(False)


def _chunks(length: int) -> Form:
    def form(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
        layer = getattr(chunked, row.name, None)
        if layer is None:
            return None
        return _run(lambda **x: layer(**x, chunk=length), arrays, "torch" if dtype == "bfloat16" else "numpy", dtype)

    return form


def _other_order(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
    """Key channels from the last to the first, where the layer does not know their order."""
    batch, turned = arrays["q"].ndim - 2, dict(arrays)
    for x in (row.queries, *row.arguments):
        given = arrays.get(x.name)
        if isinstance(given, np.ndarray):
            shape = next((s for s in x.shapes if len(s) == given.ndim - batch), ())
            axes = [given.ndim - len(shape) + i for i, axis in enumerate(shape) if axis == "d_k"]
            turned[x.name] = np.ascontiguousarray(np.flip(given, tuple(axes)))
    with quiet():
        one, other = (np.asarray(row.layer(**a).o) for a in (arrays, turned))
    if np.max(np.abs(one - other), initial=0.0) > np.sqrt(FORMATS["float64"].u) * np.max(np.abs(one), initial=0.0):
        return None
    return _run(row.layer, turned, "torch", dtype)


def _single_inside(row: Pairing, arrays: Arrays, dtype: str) -> np.ndarray | None:
    """Arrays of 16 bits, everything in between in float32: what most kernels do."""
    if FORMATS[dtype].precision >= 24:
        return None
    return FORMATS[dtype].nearest(_run(row.layer, arrays, "numpy", "float32"))


FORMS: dict[str, Form] = {
    "NumPy, token by token": _numpy,
    "torch, token by token": _torch,
    "torch, subnormals flushed": _flushed,
    **{f"chunks of {length}": _chunks(length) for length in CHUNKS},
    "channels in another order": _other_order,
    "float32 inside": _single_inside,
}
