"""One array façade: NumPy, CuPy, torch, array-api-strict, SymPy expressions and rounded arithmetic.

This room alone names an array library. Everything else asks `namespace(x)` for the standard array API
(https://data-apis.org/array-api) and takes from here the few things the standard lacks.
"""

from ttr_numerics.arrays.distances import square_distances
from ttr_numerics.arrays.factor import (
    LinAlgError,
    cholesky,
    forward_substitution,
    inverse_posdef,
    least_squares,
    name_slices,
    solve_posdef,
    solve_triangular,
    unit_forward_substitution,
)
from ttr_numerics.arrays.gradient import Adjoint, untracked, with_adjoint
from ttr_numerics.arrays.library import (
    Array,
    all_finite,
    cast,
    concat,
    diagonal_matrix,
    eye,
    like,
    namespace,
    positions,
    quiet,
    row_maximum,
    smallest_positive,
    stabiliser,
    to_numpy,
    unit_roundoff,
    zeros,
)
from ttr_numerics.arrays.minimise import local_minimum
from ttr_numerics.arrays.orthogonal import causal_products, triangularised
from ttr_numerics.arrays.roles import as_residual, as_state

__all__ = [
    "Adjoint",
    "Array",
    "LinAlgError",
    "all_finite",
    "as_residual",
    "as_state",
    "cast",
    "causal_products",
    "cholesky",
    "concat",
    "diagonal_matrix",
    "eye",
    "forward_substitution",
    "inverse_posdef",
    "least_squares",
    "like",
    "local_minimum",
    "name_slices",
    "namespace",
    "positions",
    "quiet",
    "row_maximum",
    "smallest_positive",
    "solve_posdef",
    "solve_triangular",
    "square_distances",
    "stabiliser",
    "to_numpy",
    "triangularised",
    "unit_forward_substitution",
    "unit_roundoff",
    "untracked",
    "with_adjoint",
    "zeros",
]
