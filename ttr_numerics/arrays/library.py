"""Which library an array belongs to, and new arrays on the same device in the same dtype."""

import importlib
from typing import Any

import array_api_compat
import ml_dtypes
import numpy as np

from ttr_numerics.arrays import symbols

__all__ = [
    "Array",
    "all_finite",
    "cast",
    "concat",
    "diagonal_matrix",
    "eye",
    "like",
    "namespace",
    "positions",
    "quiet",
    "row_maximum",
    "smallest_positive",
    "stabiliser",
    "to_numpy",
    "unit_roundoff",
    "zeros",
]

# The array libraries share no base class: the name documents intent.
Array = Any

_NUMPY = array_api_compat.array_namespace(np.empty(0))


def namespace(*arrays: Array) -> Any:
    """The array-API namespace that all `arrays` (those that are not None) share.

    Object arrays are read as SymPy expressions. Raises TypeError when libraries are mixed.
    """
    present = [x for x in arrays if x is not None]
    if all(type(x) is np.ndarray and x.dtype.kind == "f" for x in present) and present:
        return _NUMPY  # found in a microsecond: inner loops ask hundreds of times
    if any(isinstance(x, np.ndarray) and x.dtype == np.dtype(object) for x in present):
        return symbols
    return array_api_compat.array_namespace(*present)


def like(x: Array) -> dict[str, Any]:
    """Keyword arguments `dtype`, `device` that create an array where and as `x` is."""
    if isinstance(x, np.ndarray):
        return {"dtype": x.dtype}
    return {"dtype": x.dtype, "device": array_api_compat.device(x)}


def zeros(x: Array, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` in the namespace, dtype and device of `x`."""
    return namespace(x).zeros(shape, **like(x))


def eye(x: Array, n: int) -> Array:
    """Identity matrix of order `n` in the namespace, dtype and device of `x`."""
    return namespace(x).eye(n, **like(x))


def positions(x: Array, n: int) -> Array:
    """Token positions 0..n-1 as integers on the device of `x`."""
    device = {} if isinstance(x, np.ndarray) else {"device": array_api_compat.device(x)}
    return namespace(x).arange(n, **device)


def diagonal_matrix(d: Array) -> Array:
    """Matrices (..., n, n) with diagonal `d` (..., n)."""
    return d[..., None] * eye(d, d.shape[-1])


def concat(arrays: list[Array], axis: int) -> Array:
    """Join along `axis`, after broadcasting nothing: shapes must agree elsewhere."""
    return namespace(*arrays).concat(arrays, axis=axis)


def unit_roundoff(x: Array) -> float:
    """Largest relative error of rounding to nearest in the dtype of `x`: half the spacing at 1.

    >>> unit_roundoff(np.ones(1)) == 2.0**-53
    True
    """
    return float(namespace(x).finfo(x.dtype).eps) / 2


def all_finite(x: Array) -> bool:
    """Whether `x` has neither NaN nor infinity. A finite sum proves it on NumPy without a second array."""
    if type(x) is np.ndarray and x.dtype != object:
        with quiet():
            if np.isfinite(np.sum(x)):
                return True
    xp = namespace(x)
    return bool(xp.all(xp.isfinite(x)))


def quiet() -> Any:
    """A context in which NumPy does not warn of overflow: for code that inspects the result and refuses it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def row_maximum(x: Array) -> Array:
    """Largest entry of each row, (..., 1): the stabiliser of a softmax."""
    xp = namespace(x)
    if hasattr(xp, "own_row_maximum"):
        return xp.own_row_maximum(x)
    return xp.max(x, axis=-1, keepdims=True)


def smallest_positive(x: Array) -> float:
    """The smallest positive number of the dtype of `x`; 0 for symbols.

    >>> smallest_positive(np.ones(1)) == 2.0**-1074
    True
    """
    if x.dtype == object:
        return 0.0
    limits = namespace(x).finfo(x.dtype)
    return float(limits.smallest_normal) * float(limits.eps)


def stabiliser(x: Array, y: Array) -> Array:
    """The larger of two logarithms, entry by entry: the unit in which a running sum of exponentials is kept."""
    xp = namespace(x, y)
    return xp.own_stabiliser(x, y) if hasattr(xp, "own_stabiliser") else xp.maximum(x, y)


def cast(x: np.ndarray, library: str, dtype: str) -> Array:
    """`x` as an array of the `library` (numpy, torch, cupy) in `dtype` (bfloat16 on NumPy is that of ml_dtypes)."""
    if library == "numpy":
        return np.array(x, dtype=ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    if library == "torch":
        torch = importlib.import_module("torch")
        return torch.tensor(np.asarray(x, dtype=np.float64)).to(getattr(torch, dtype))
    if library == "cupy":
        return importlib.import_module("cupy").asarray(np.asarray(x, dtype=dtype))
    raise ValueError(f"library: expected numpy, torch or cupy, got {library}")


def to_numpy(x: Array) -> np.ndarray:
    """A NumPy copy of `x`; bfloat16 as the dtype of that name in ml_dtypes, which NumPy itself lacks."""
    if isinstance(x, np.ndarray | np.generic):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu()
        return x.float().numpy().astype(ml_dtypes.bfloat16) if str(x.dtype) == "torch.bfloat16" else x.numpy()
    if array_api_compat.is_cupy_array(x):
        return np.asarray(x.get())
    if hasattr(x, "rounding"):  # a rounded array holds its numbers in float64
        return np.asarray(x.x)
    if hasattr(x, "to_device"):  # array-api-strict exports from its CPU device alone
        x = x.to_device(type(x.device)("CPU_DEVICE"))
    return np.asarray(x)
