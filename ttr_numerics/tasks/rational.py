"""Least-squares problems of prescribed conditioning whose exact solution is known."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ttr_numerics.tasks.synthetic import conditioned_keys

__all__ = ["SolvedProblem", "rational_least_squares", "solved_problem"]


@dataclass(frozen=True)
class SolvedProblem:
    """K (T, d), V (T, d_v), and the exact minimisers S of ‖V - K S‖² and S_ridge of ‖V - K S‖² + ridge‖S‖²."""

    K: np.ndarray
    V: np.ndarray
    ridge: float
    S: np.ndarray
    S_ridge: np.ndarray


def solved_problem(
    rng: np.random.Generator, T: int, d: int, d_v: int, cond: float, dtype: type[np.floating]
) -> SolvedProblem:
    """`conditioned_keys` and V = K S*, S* standard normal, both rounded to `dtype`; ridge = 0.01/cond².

    The solutions belong to the *rounded* K and V: rounding the data is no error here. The ridge is a hundredth of the
    smallest eigenvalue of K'K, for solvers that need one; it is rounded to `dtype` too.
    """
    exact = conditioned_keys(rng, T, d, cond)
    K = exact.astype(dtype)
    V = (exact @ rng.standard_normal((d, d_v))).astype(dtype)
    ridge = float(dtype(0.01 / cond**2))
    return SolvedProblem(K, V, ridge, rational_least_squares(K, V), rational_least_squares(K, V, ridge))


def rational_least_squares(K: np.ndarray, V: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """S (d, d_v) = (K'K + ridge I)⁻¹ K'V in rational arithmetic, rounded once to float64: no error but that.

    Floats are integers times a power of two; the integer system is solved without fractions (Bareiss). K (T, d) of
    full column rank, or ridge > 0. Meant for d up to about 32.

    >>> rational_least_squares(np.array([[3.0], [4.0]]), np.array([[1.0], [0.0]])) == 3 / 25
    array([[ True]])
    """
    from sympy import ZZ  # here: SymPy takes longer to import than everything else in this room
    from sympy.polys.matrices import DomainMatrix

    A, a = _integers(K)
    B, b = _integers(V)
    penalty = Fraction(ridge) * a * a
    gram = (A.T @ A) * penalty.denominator
    gram[np.diag_indices(len(gram))] += penalty.numerator
    right = (A.T @ B) * penalty.denominator
    system, data = (DomainMatrix([[ZZ(x) for x in row] for row in M], M.shape, ZZ) for M in (gram, right))
    numerators, denominator = system.solve_den(data)
    scale = Fraction(a, int(denominator) * b)
    return np.array([[float(int(x) * scale) for x in row] for row in numerators.to_list()])


def _integers(X: np.ndarray) -> tuple[np.ndarray, int]:
    """Integers and a power of two with X = integers / power, exactly."""
    exact = [[Fraction(float(x)) for x in row] for row in X]
    power = max(x.denominator for row in exact for x in row)
    return np.array([[int(x * power) for x in row] for row in exact], dtype=object), power
