"""The error of each solver of one least-squares problem with prescribed cond(K), against rational arithmetic.

Measured: the true error of the solution matrix, and LAPACK's residual ratio on the data (K, V).
A solver that refuses is recorded as refused.
"""

from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.arrays import Array, LinAlgError, eye, namespace, solve_posdef, to_numpy, zeros
from ttr_numerics.axes import Moments
from ttr_numerics.backward import solve_ratio
from ttr_numerics.measure import condition_number, forward_error, geometric_interval, residual_ratio
from ttr_numerics.study import placed

__all__ = ["judge", "solution", "solve", "solver_rows"]

PAIRS, DIMENSION, VALUES = 32, 16, 4
LEAST_NORM, RIDGE, DUAL = "exact.least_norm", "exact.ridge", "exact.ridge_dual"
CHOLESKY = "Cholesky of the Gram matrix"
PREFIXES, RECURSIVE, MESA = "ridge_prefixes_by_moments", "recursive_least_squares_by_tokens", "layers.mesa"
SOLVERS = (LEAST_NORM, RIDGE, CHOLESKY, DUAL, PREFIXES, RECURSIVE, MESA)
NEED_RIDGE = (DUAL, RECURSIVE)  # they get a hundredth of the smallest eigenvalue of K'K, the others solve without
ERROR, RATIO, GRAM = "relative error", "residual ratio", "Gram ratio"


def solver_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """One row for each solver: the fate of all draws, and the geometric means over those that were solved."""
    kind = np.dtype(cell["dtype"]).type
    problems = [
        tasks.solved_problem(rng, PAIRS, DIMENSION, VALUES, cell["prescribed"], kind) for _ in range(cell["draws"])
    ]
    stored = geometric_interval(np.array([float(condition_number(p.K.astype(float))) for p in problems])).value
    return [{"cond": stored} | row for solver in SOLVERS for row in _rows_of(cell, solver, problems)]


def solution(cell: dict[str, Any], solver: str, K: np.ndarray, V: np.ndarray, ridge: float) -> np.ndarray:
    """The solution matrix (d, d_v) as `solver` computes it in the library of the cell; raises LinAlgError."""
    keys, values = placed(cell, K, V)
    return to_numpy(solve(solver, keys, values, ridge if solver in NEED_RIDGE else 0.0))


def solve(solver: str, K: Array, V: Array, ridge: float) -> Array:
    """The solution matrix (d, d_v) in the dtype of K (T, d) and V (T, d_v); raises LinAlgError."""
    KT = namespace(K).matrix_transpose(K)
    match solver:
        case "exact.least_norm":
            return exact.least_norm(K, V).S
        case "exact.ridge":
            return exact.ridge(K, V, ridge).S
        case "exact.ridge_dual":
            return exact.ridge_dual(K, V, ridge)
        case "Cholesky of the Gram matrix":
            return solve_posdef(KT @ K + ridge * eye(K, K.shape[-1]), KT @ V)
        case "recursive_least_squares_by_tokens":
            return exact.recursive_least_squares_by_tokens(K, K, V, ridge=ridge).state.S
    # The moments do not depend on the ridge: they are collected under a large one, then read at the small one by
    # tokens that write nothing, with the identity as queries.
    queries, silent = eye(K, K.shape[-1]), zeros(K, (K.shape[-1],))
    empty = zeros(V, (K.shape[-1], V.shape[-1]))
    if solver == PREFIXES:
        state: Moments = exact.ridge_prefixes_by_moments(K, K, V, ridge=1.0).state
        return exact.ridge_prefixes_by_moments(
            queries, 0 * queries, empty, ridge=ridge, weights=silent, initial_state=state
        ).o
    state = layers.mesa(K, K, V, ridge=1.0).state
    return layers.mesa(queries, 0 * queries, empty, ridge=ridge, beta=silent, initial_state=state).o


def judge(solver: str, problem: tasks.SolvedProblem, S: np.ndarray) -> dict[str, float]:
    """True error of S (d, d_v), and without a ridge its residual ratio on the data and on the Gram system."""
    K, V = problem.K, problem.V
    if solver in NEED_RIDGE:  # with a ridge the data do not fit, and their residual says nothing about rounding
        return {ERROR: float(forward_error(S.astype(float), problem.S_ridge))}
    return {
        ERROR: float(forward_error(S.astype(float), problem.S)),
        RATIO: float(residual_ratio(K, S, V)),
        GRAM: float(solve_ratio(K.T @ K, S, K.T @ V)),
    }


def _rows_of(cell: dict[str, Any], solver: str, problems: list[tasks.SolvedProblem]) -> list[dict[str, Any]]:
    """A row for each metric of one solver."""
    found: dict[str, list[float]] = {ERROR: []} if solver in NEED_RIDGE else {ERROR: [], RATIO: [], GRAM: []}
    refused = 0
    for problem in problems:
        try:
            S = solution(cell, solver, problem.K, problem.V, problem.ridge)
        except LinAlgError:
            refused += 1
            continue
        for metric, value in judge(solver, problem, S).items():
            found[metric].append(value)
    rows = []
    for metric, values in found.items():
        kept = np.maximum(np.array(values), np.finfo(float).tiny)
        state = "solved" if not refused else "partly refused" if values else "refused"
        mean = geometric_interval(kept)._asdict() if values else dict.fromkeys(("value", "low", "high"))
        largest = {"largest": float(np.max(kept)) if values else None}
        row = {"solver": solver, "metric": metric, "refused": refused, "state": state, "trials": len(values)}
        rows.append(row | mean | largest)
    return rows
