"""The error of each solver of one least-squares problem with prescribed cond(K), against rational arithmetic.

Measured: the true error of the solution matrix, and LAPACK's residual ratio on the data (K, V).
A solver that refuses is recorded as refused.
"""

from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.arrays import LinAlgError, solve_posdef
from ttr_numerics.axes import Moments
from ttr_numerics.backward import solve_ratio
from ttr_numerics.measure import condition_number, forward_error, geometric_interval, residual_ratio

__all__ = ["judge", "solve", "solver_rows"]

SEED = 20261
PAIRS, DIMENSION, VALUES = 32, 16, 4
CONDITIONS = {"float64": tuple(10.0**e for e in range(13)), "float32": tuple(10.0**e for e in range(6))}
DRAWS = 10
LEAST_NORM, RIDGE, DUAL = "exact.least_norm", "exact.ridge", "exact.ridge_dual"
CHOLESKY = "Cholesky of the Gram matrix"
PREFIXES, RECURSIVE, MESA = "ridge_prefixes_by_moments", "recursive_least_squares_by_tokens", "layers.mesa"
# What really computes: numpy.linalg takes float32 to float64 and rounds the result, SciPy does not.
ROUTINE = {
    LEAST_NORM: ("SVD (LAPACK gelsd, SciPy)", "float32 throughout"),
    RIDGE: ("QR of K and triangular solve (NumPy)", "both in float64, rounded between"),
    CHOLESKY: (
        "K'K and K'V formed, arrays.solve_posdef",
        "Gram in float32; factor, solves in float64, rounded between",
    ),
    DUAL: ("Cholesky of KK' + λI (NumPy)", "as Cholesky of the Gram matrix"),
    PREFIXES: ("Cholesky of K'K (NumPy), last position", "as Cholesky of the Gram matrix"),
    RECURSIVE: ("Sherman-Morrison on (K'K + λI)⁻¹", "float32 throughout"),
    MESA: ("Cholesky of K'K (NumPy), Gram summed token by token", "as Cholesky of the Gram matrix"),
}
BACKWARD_STABLE = (LEAST_NORM, RIDGE)
NEED_RIDGE = (DUAL, RECURSIVE)  # they get 0.01/cond², the others solve without
ERROR, RATIO, GRAM = "relative error", "residual ratio", "Gram ratio"


def solve(solver: str, problem: tasks.SolvedProblem) -> np.ndarray:
    """The solution matrix (d, d_v) as `solver` computes it in the dtype of the problem; raises LinAlgError."""
    K, V, ridge = problem.K, problem.V, problem.ridge if solver in NEED_RIDGE else 0.0
    match solver:
        case "exact.least_norm":
            return exact.least_norm(K, V).S
        case "exact.ridge":
            return exact.ridge(K, V, ridge).S
        case "exact.ridge_dual":
            return exact.ridge_dual(K, V, ridge)
        case "Cholesky of the Gram matrix":
            return solve_posdef(K.T @ K + K.dtype.type(ridge) * np.eye(K.shape[-1], dtype=K.dtype), K.T @ V)
        case "recursive_least_squares_by_tokens":
            return exact.recursive_least_squares_by_tokens(K, K, V, ridge=ridge).state.S
    # The moments do not depend on the ridge: they are collected under a large one, then read at the small one by
    # tokens that write nothing, with the identity as queries.
    eye, silent = np.eye(K.shape[-1], dtype=K.dtype), np.zeros(K.shape[-1], dtype=K.dtype)
    empty = np.zeros((K.shape[-1], V.shape[-1]), dtype=V.dtype)
    if solver == PREFIXES:
        state: Moments = exact.ridge_prefixes_by_moments(K, K, V, ridge=1.0).state
        return exact.ridge_prefixes_by_moments(eye, 0 * eye, empty, ridge=ridge, weights=silent, initial_state=state).o
    state = layers.mesa(K, K, V, ridge=1.0).state
    return layers.mesa(eye, 0 * eye, empty, ridge=ridge, beta=silent, initial_state=state).o


def solver_rows(dtype: str, cond: float, draws: int) -> list[dict[str, Any]]:
    """One row for each solver: the fate of all draws, and the geometric means over those that were solved."""
    seeds = [[SEED, int(dtype[-2:]), round(np.log10(cond)), draw] for draw in range(draws)]
    kind = np.dtype(dtype).type
    problems = [
        tasks.solved_problem(np.random.default_rng(seed), PAIRS, DIMENSION, VALUES, cond, kind) for seed in seeds
    ]
    stored = geometric_interval(np.array([float(condition_number(p.K.astype(float))) for p in problems])).value
    cell = {"part": "solvers", "dtype": dtype, "prescribed": cond, "cond": stored}
    rows = []
    for solver in ROUTINE:
        metrics = (ERROR,) if solver in NEED_RIDGE else (ERROR, RATIO, GRAM)
        found: dict[str, list[float]] = {metric: [] for metric in metrics}
        refused = 0
        for problem in problems:
            try:
                S = solve(solver, problem)
            except LinAlgError:
                refused += 1
                continue
            for metric, value in judge(solver, problem, S).items():
                found[metric].append(value)
        for metric, values in found.items():
            row = cell | {"solver": solver, "metric": metric, "refused": refused, "draws": draws}
            kept = np.maximum(np.array(values), np.finfo(float).tiny)
            state = {"state": "solved" if not refused else "partly refused" if values else "refused"}
            mean = geometric_interval(kept)._asdict() if values else dict.fromkeys(("value", "low", "high"))
            largest = {"largest": float(np.max(kept)) if values else None}
            rows.append(row | state | {"trials": len(values)} | mean | largest)
    return rows


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
