"""SymPy expressions as an array namespace, so that a layer's own code can be proved.

NumPy object arrays already add, multiply and contract expressions; this module adds the functions that
NumPy would look for as methods of the elements. It is used as a namespace: `symbols.exp(x)`. Functions named
`own_...` are what this façade asks a namespace for where the standard array API has nothing.
"""

from typing import Any

import numpy as np
import sympy

__all__ = [
    "cos",
    "exp",
    "expm1",
    "log",
    "maximum",
    "own_cholesky",
    "own_row_maximum",
    "own_solve_triangular",
    "own_stabiliser",
    "pi",
    "sign",
    "sin",
    "sqrt",
    "tanh",
]

exp = np.vectorize(sympy.exp, otypes=[object])
expm1 = np.vectorize(lambda x: sympy.exp(x) - 1, otypes=[object])
log = np.vectorize(sympy.log, otypes=[object])
sqrt = np.vectorize(sympy.sqrt, otypes=[object])
tanh = np.vectorize(sympy.tanh, otypes=[object])
cos = np.vectorize(sympy.cos, otypes=[object])
sign = np.vectorize(sympy.sign, otypes=[object])
sin = np.vectorize(sympy.sin, otypes=[object])
pi = sympy.pi
maximum = np.vectorize(sympy.Max, otypes=[object])


def __getattr__(name: str) -> Any:
    """Everything else is NumPy's: it acts on object arrays through the operators of the elements."""
    return getattr(np, name)


def own_row_maximum(x: np.ndarray) -> np.ndarray:
    """Zero: a softmax's stabiliser cancels in exact arithmetic, and symbols do not overflow."""
    return np.zeros((*x.shape[:-1], 1), dtype=object)


def own_stabiliser(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Zero, as for a softmax: the unit of a running sum of exponentials cancels in exact arithmetic."""
    return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=object)


def own_cholesky(a: np.ndarray) -> np.ndarray:
    """Lower factor L with L L' = a, column by column (Cholesky-Crout)."""
    factor = np.zeros_like(a)
    for j in range(a.shape[-1]):
        rest = a[..., j:, j] - (factor[..., j:, :j] @ factor[..., j, :j, None])[..., 0]
        factor[..., j:, j] = rest / sqrt(rest[..., :1])
    return factor


def own_solve_triangular(factor: np.ndarray, b: np.ndarray, transpose: bool = False) -> np.ndarray:
    """x with L x = b (or L' x = b), by substitution."""
    n = b.shape[-2]
    matrix = factor.mT if transpose else factor
    x = np.zeros_like(b)
    for i in reversed(range(n)) if transpose else range(n):
        known = (matrix[..., i, None, :] @ x)[..., 0, :]
        x[..., i, :] = (b[..., i, :] - known) / matrix[..., i, i, None]
    return x
