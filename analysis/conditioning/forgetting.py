"""The forms with forgetting: prefix ridge with a fixed ridge by κ, recursive least squares by decay.

Beside a fixed ridge no two positions share a factor: Chebyshev steps on innovations, or a Cholesky factor a position.
A ridge that is forgotten with the data leaves P = (H_t + Γ_tΛ)⁻¹ growing as 1/Γ_t wherever no key has pointed yet.
All rates of a cell are tried on the same problems.
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
    RANDOM,
    RECALL,
    ROOT,
    Contenders,
    Form,
    Problem,
)
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import diagonal_matrix, zeros
from ttr_numerics.study import placed

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
FIXED_RIDGE: dict[str, Callable[..., Any]] = {
    CHEBYSHEV: exact.ridge_prefixes_by_chebyshev,
    MOMENTS: exact.ridge_prefixes_by_moments,
}


def fixed_ridge_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The largest error of both forms with a fixed ridge of 0.01/cond², for both kinds of query and each mild decay."""
    problems = [forms.problem(rng, cell["dtype"], cell["prescribed"], forms.TIED) for _ in range(cell["draws"])]
    kappa = max(forms.kappa(p.k, p.ridge) for p in problems)
    return [{"kappa": kappa} | row for log_decay in MILD for row in _fixed_ridge_rows(cell, problems, log_decay)]


def recursive_rows(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The largest error of the three forms of recursive least squares by decay, random unit keys, ridge 0.01 before
    token 1.
    """
    problems = [_unit_problem(rng, cell["dtype"]) for _ in range(cell["draws"])]
    return [row for log_decay in DECAYS for row in _recursive_rows(cell, problems, log_decay)]


def _fixed_ridge_rows(cell: dict[str, Any], problems: list[Problem], log_decay: float) -> list[dict[str, Any]]:
    gate = np.full(forms.T, log_decay, dtype=cell["dtype"])
    solutions = [truth.prefix_solutions(p.k, p.v, forms.POSITIONS, p.ridge, log_decay=float(gate[0])) for p in problems]
    contenders: Contenders = {(name, None): _forgetting(cell, form, gate) for name, form in FIXED_RIDGE.items()}
    taken = [forms.chosen_form(cell, p.k, p.ridge, gate) for p in problems]
    errors = forms.errors_of(cell, contenders, problems, solutions, forms.POSITIONS)
    return [
        {"log_decay": log_decay, "query": query, "form": form, "taken": taken.count(form)} | forms.largest(each)
        for (query, form, _), each in errors.items()
    ]


def _recursive_rows(cell: dict[str, Any], problems: list[Problem], log_decay: float) -> list[dict[str, Any]]:
    gate = np.full(T, log_decay, dtype=cell["dtype"])
    decay = float(gate[0])
    solutions = [truth.prefix_solutions(p.k, p.v, POSITIONS, p.ridge, decay, ageing=decay) for p in problems]
    contenders: Contenders = {(name, None): _forgetting(cell, form, gate) for name, form in RECURSIVE.items()}
    k, placed_gate = placed(cell, problems[0].k, gate)
    chosen = exact.choose_recursive_least_squares(k, diagonal_matrix(zeros(k, (DIMENSION,)) + 1 / FIXED), placed_gate)
    taken = {form: len(problems) * (RECURSIVE[form] is chosen) for form in RECURSIVE}
    errors = forms.errors_of(cell, contenders, problems, solutions, POSITIONS)
    return [
        {"log_decay": log_decay, "query": query, "form": form, "taken": taken[form]} | forms.largest(each)
        for (query, form, _), each in errors.items()
    ]


def _forgetting(cell: dict[str, Any], form: Callable[..., Any], gate: np.ndarray) -> Form:
    (log_decay,) = placed(cell, gate)
    return lambda q, k, v, ridge: form(q, k, v, ridge=ridge, log_decay=log_decay).o


def _unit_problem(rng: np.random.Generator, dtype: str) -> Problem:
    k = tasks.isotropic_unit_keys(rng, (T, DIMENSION)).astype(dtype)
    v, q = (rng.standard_normal((T, n)).astype(dtype) for n in (VALUES, DIMENSION))
    return Problem(k, v, {RANDOM: q, RECALL: k}, float(k.dtype.type(FIXED)))
