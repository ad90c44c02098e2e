"""What stored keys and values cost: the error of each solver and form of the prefix ridge on these very numbers.

The first n tokens of up to `HEADS` heads, their first `VALUES` value channels and their own queries, in float32 and
float64. The truth belongs to the numbers as stored: solvers are judged against the solution of least norm of them all,
those that need a ridge against theirs, forms against the ridge solution of the tokens so far.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.conditioning import forms, solvers, truth
from analysis.conditioning.forms import DENSE, INNOVATION, MOMENTS, ROOT, Form, Problem
from analysis.conditioning.keys import TREATMENTS, of_unit_size, singular_values
from analysis.conditioning.truth import IntegerMoments
from ttr_numerics import exact, tasks
from ttr_numerics.arrays import Array, LinAlgError, namespace

__all__ = ["digit_rows", "heads_asked"]

TOKENS, VALUES, HEADS = 256, 4, 4
WIDEST = 128  # key channels: the truth costs d³ operations of 80 digits
RATIOS = (1.0, 1e-4, 1e-8)  # ridge over the mean square of the norm of a key
FORMS: dict[str, Form] = {
    INNOVATION: lambda q, k, v, ridge: exact.ridge_prefixes_by_innovation(q, k, v, ridge=ridge).o,
    ROOT: lambda q, k, v, ridge: exact.ridge_prefixes_by_square_root(q, k, v, ridge=ridge).o,
    MOMENTS: forms.by_moments,
}
REFUSED = {"value": None, "state": "refused"}

Row = dict[str, Any]


def digit_rows(cell: Row, rng: np.random.Generator) -> list[Row]:
    """A row for each head and solver, and for each ridge and form: of the head that errs most."""
    found = tasks.stored(cell["keys"])
    heads, n, dtype = heads_asked(*found.k.shape[::2]), cell["n"], cell["dtype"]
    treated = TREATMENTS[cell["treatment"]](of_unit_size(found.k[:, :n].astype(float)))
    keys = of_unit_size(treated).astype(dtype)
    values = of_unit_size(found.v[:, :n, :VALUES].astype(float)).astype(dtype)
    queries = of_unit_size(found.q[:: len(found.q) // len(found.k), :n].astype(float)).astype(dtype)
    source = {"source": found.name, "d": keys.shape[-1]}
    by_solver, by_form = [], []
    for head in range(heads):
        k, v = keys[head], values[head]
        moments = truth.integer_moments(k, v, _positions(k))
        by_solver += [source | {"head": head} | row for row in _solver_rows(cell, k, v, moments)]
        by_form.append(_form_rows(cell, queries[head], k, v, moments))
    return by_solver + [source | _worst(of_heads) for of_heads in zip(*by_form, strict=True)]


def heads_asked(heads: int, d: int) -> int:
    """How many of the heads: fewer where the keys are wide."""
    return min(heads, max(1, HEADS * 64 // max(d, 64)))


def _solver_rows(cell: Row, k: np.ndarray, v: np.ndarray, moments: IntegerMoments) -> list[Row]:
    """The error of each solution matrix, beside cond(K), the rank in floating point, and Wedin's sensitivity."""
    s = singular_values(cell, k.astype(float))
    rank = int(np.sum(s > max(k.shape) * float(np.finfo(k.dtype).eps) * s[0]))
    smallest = float(s[rank - 1]) if rank else 1.0
    ridge = float(k.dtype.type(0.01 * smallest**2))
    last = moments.last
    whole = truth.ridge_solutions(last, 0.0) if rank == k.shape[-1] else truth.least_norm_solutions(last)
    right = {True: truth.ridge_solutions(last, ridge), False: whole}
    regular = rank == min(k.shape)
    row = {"kind": "solver", "rank": rank, "cond": float(s[0]) / smallest if regular else None}
    row["sensitivity"] = _sensitivity(float(s[0]), smallest, k, v, whole[0].astype(float)) if regular else None
    rows = []
    for solver in solvers.SOLVERS:
        try:
            S = solvers.solution(cell, solver, k, v, ridge)
        except LinAlgError:
            rows.append(row | {"solver": solver} | REFUSED)
            continue
        exactly = right[solver in solvers.NEED_RIDGE]
        rows.append(row | {"solver": solver} | _judged(S.reshape(1, -1), exactly.reshape(1, -1)))
    return rows


def _form_rows(cell: Row, q: np.ndarray, k: np.ndarray, v: np.ndarray, moments: IntegerMoments) -> list[Row]:
    """The larger error at t = d and t = n of each form and ridge, and which of them the choice takes."""
    at = np.array(_positions(k)) - 1
    mean_square = float(np.mean(np.sum(k.astype(float) ** 2, axis=-1))) or 1.0
    rows = []
    for ratio in RATIOS:
        ridge = float(k.dtype.type(ratio * mean_square))
        right = truth.answers(q[at], truth.ridge_solutions(moments, ridge))
        taken = forms.chosen_form(cell, k, ridge)
        row = {"kind": "form", "ratio": ratio, "kappa": forms.kappa(k, ridge)}
        for name, form in (*FORMS.items(), (DENSE, _dense_qr_at(_positions(k)))):
            beside = row | {"form": name, "taken": int(name == taken)}
            try:
                o = forms.answered(cell, form, q, Problem(k, v, {}, ridge))
            except LinAlgError:
                rows.append(beside | REFUSED)
                continue
            rows.append(beside | _judged(o if name == DENSE else o[at], right))
    return rows


def _worst(of_heads: Sequence[Row]) -> Row:
    """The row with the largest error, how many heads were asked and refused, and for how many the form is taken."""
    solved = [row for row in of_heads if row["value"] is not None]
    worst = max(solved, key=lambda row: row["value"]) if solved else of_heads[0]
    taken = sum(row["taken"] for row in of_heads)
    return worst | {"heads": len(of_heads), "refused": len(of_heads) - len(solved), "taken": taken}


def _positions(k: np.ndarray) -> list[int]:
    return sorted({min(k.shape), len(k)})


def _dense_qr_at(positions: list[int]) -> Form:
    def answered(q: Array, k: Array, v: Array, ridge: float) -> Array:
        rows = [q[t - 1 : t, :] @ exact.ridge(k[:t, :], v[:t, :], ridge).S for t in positions]
        return namespace(q).concat(rows, axis=0)

    return answered


def _sensitivity(largest: float, smallest: float, k: np.ndarray, v: np.ndarray, S: np.ndarray) -> float | None:
    """κ(2 + (κ + 1)ρ), ρ = ‖V - KS‖/(‖K‖₂‖S‖): u times this bounds, to first order, what rounding the data does to S.

    Reference: Wedin; Higham, Accuracy and Stability of Numerical Algorithms, theorem 20.1.
    """
    size = float(np.linalg.norm(S))
    if size == 0:
        return None
    residual = float(np.linalg.norm(v.astype(float) - k.astype(float) @ S)) / (largest * size)
    return largest / smallest * (2 + (largest / smallest + 1) * residual)


def _judged(computed: np.ndarray, right: np.ndarray) -> Row:
    error = truth.largest_error(computed, right)
    return {"value": error, "state": "solved"} if np.isfinite(error) else {"value": None, "state": "not finite"}
