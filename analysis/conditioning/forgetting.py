"""The forms with forgetting: prefix ridge with a fixed ridge by κ, recursive least squares by decay.

Beside a fixed ridge no two positions share a factor: Chebyshev steps on innovations, or a Cholesky factor a position.
A ridge that is forgotten with the data leaves P = (H_t + Γ_tΛ)⁻¹ growing as 1/Γ_t wherever no key has pointed yet.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.conditioning import forms, truth
from analysis.conditioning.forms import (
    CHEBYSHEV,
    FIXED,
    INNOVATION,
    MOMENTS,
    NAMED,
    RANDOM,
    RECALL,
    ROOT,
    Contenders,
    Problem,
)
from analysis.conditioning.solvers import SEED
from ttr_numerics import exact, tasks

__all__ = ["fixed_ridge_rows", "recursive_rows"]

MILD = (-0.02, -0.1)  # nats a token
DECAYS = (0.0, -0.02, -0.5, -2.0, -5.0, -10.0, -50.0)
T, DIMENSION, VALUES = 32, 8, 4
POSITIONS = tuple(range(1, T + 1))
TOKENS = "token by token"
RECURSIVE: dict[str, Callable[..., Any]] = {
    TOKENS: exact.recursive_least_squares_by_tokens,
    INNOVATION: exact.recursive_least_squares_by_innovation,
    ROOT: exact.recursive_least_squares_by_square_root,
}


def fixed_ridge_rows(dtype: str, cond: float, log_decay: float, draws: int = forms.DRAWS) -> list[dict[str, Any]]:
    """The largest error of both forms with a fixed ridge of 0.01/cond², for both kinds of query."""
    problems = [forms.problem(dtype, cond, forms.TIED, draw) for draw in range(draws)]
    gate = np.full(forms.T, log_decay, dtype=dtype)
    solutions = [truth.prefix_solutions(p.k, p.v, forms.POSITIONS, p.ridge, log_decay=float(gate[0])) for p in problems]
    contenders: Contenders = {
        (CHEBYSHEV, None): _forgetting(exact.ridge_prefixes_by_chebyshev, gate),
        (MOMENTS, None): _forgetting(exact.ridge_prefixes_by_moments, gate),
    }
    taken = [NAMED[exact.choose_ridge_prefixes(p.k, p.ridge, gate).__name__] for p in problems]
    cell = {"part": "fixed ridge", "dtype": dtype, "prescribed": cond, "log_decay": log_decay, "draws": draws}
    cell["kappa"] = max(forms.kappa(p.k, p.ridge) for p in problems)
    return [
        cell | {"query": query, "form": form, "taken": taken.count(form)} | forms.largest(errors)
        for (query, form, _), errors in forms.errors_of(contenders, problems, solutions, forms.POSITIONS).items()
    ]


def recursive_rows(dtype: str, log_decay: float, draws: int = forms.DRAWS) -> list[dict[str, Any]]:
    """The largest error of the three forms of recursive least squares, random unit keys, ridge 0.01 before token 1."""
    problems = [_unit_problem(dtype, draw) for draw in range(draws)]
    gate = np.full(T, log_decay, dtype=dtype)
    decay = float(gate[0])
    solutions = [truth.prefix_solutions(p.k, p.v, POSITIONS, p.ridge, decay, ageing=decay) for p in problems]
    contenders: Contenders = {(name, None): _forgetting(form, gate) for name, form in RECURSIVE.items()}
    chosen = exact.choose_recursive_least_squares(problems[0].k, np.eye(DIMENSION, dtype=dtype) / FIXED, gate)
    cell = {"part": "recursive", "dtype": dtype, "log_decay": log_decay, "draws": draws}
    return [
        cell | {"query": query, "form": form, "taken": draws * (RECURSIVE[form] is chosen)} | forms.largest(errors)
        for (query, form, _), errors in forms.errors_of(contenders, problems, solutions, POSITIONS).items()
    ]


def _forgetting(form: Callable[..., Any], gate: np.ndarray) -> Callable[[np.ndarray, Problem], np.ndarray]:
    return lambda q, p: form(q, p.k, p.v, ridge=p.ridge, log_decay=gate).o


def _unit_problem(dtype: str, draw: int) -> Problem:
    rng = np.random.default_rng([SEED, int(dtype[-2:]), draw])
    k = tasks.isotropic_unit_keys(rng, (T, DIMENSION)).astype(dtype)
    v, q = (rng.standard_normal((T, n)).astype(dtype) for n in (VALUES, DIMENSION))
    return Problem(k, v, {RANDOM: q, RECALL: k}, float(k.dtype.type(FIXED)))
