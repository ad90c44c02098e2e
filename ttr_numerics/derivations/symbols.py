"""Arrays of symbols for a layer's own code, and the operations a derivation makes on them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import sympy

__all__ = ["Arrays", "limit", "matrix", "negative", "positive", "real", "step_from", "symbolic"]


class Arrays(NamedTuple):
    """Queries and keys (T, d_k), values (T, d_v) and an initial state (d_k, d_v) in real symbols."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    S0: np.ndarray


def symbolic(T: int = 2, d_k: int = 2, d_v: int = 1) -> Arrays:
    """Symbols q_tj, k_tj, v_tj and s_ij, numbered from 1."""
    return Arrays(real("q", T, d_k), real("k", T, d_k), real("v", T, d_v), real("s", d_k, d_v))


def real(name: str, *shape: int) -> np.ndarray:
    """Real symbols name_ij."""
    return _symbols(name, shape, real=True)


def positive(name: str, *shape: int) -> np.ndarray:
    """Positive symbols name_ij."""
    return _symbols(name, shape, positive=True)


def negative(name: str, *shape: int) -> np.ndarray:
    """Negative symbols name_ij: logarithms of gates below one."""
    return _symbols(name, shape, negative=True)


def matrix(rows: Any) -> np.ndarray:
    """An object array of the entries given: numbers become SymPy's."""
    array = np.array(rows, dtype=object)
    return np.vectorize(sympy.sympify, otypes=[object])(array) if array.size else array


def step_from(objective: Callable[[np.ndarray], sympy.Expr], at: np.ndarray, size: Any = 1) -> np.ndarray:
    """at - size ∇objective(at), by symbolic differentiation; `size` a number or an array that broadcasts."""
    unknown = _symbols("X", at.shape, real=True)
    value, here = objective(unknown), dict(zip(unknown.flat, at.flat, strict=True))
    gradient = np.empty(at.shape, dtype=object)
    for index in np.ndindex(at.shape):
        gradient[index] = sympy.diff(value, unknown[index]).subs(here, simultaneous=True)
    return at - size * gradient


def limit(x: np.ndarray, symbol: sympy.Symbol, to: Any) -> np.ndarray:
    """The limit of every entry as `symbol` goes `to` there."""
    return np.vectorize(lambda entry: sympy.limit(entry, symbol, to), otypes=[object])(x)


def _symbols(name: str, shape: tuple[int, ...], **assumptions: bool) -> np.ndarray:
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol(name + "".join(str(i + 1) for i in index), **assumptions)
    return array
