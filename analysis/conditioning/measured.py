"""The measurement: cells of seven parts, each by the module that asks its question.

A cell draws its own problems, and whatever the page sets beside each other on one problem is measured in one cell:
solvers, forms, chunks and queries, and the rates of forgetting. Kinds of ridge are cells of their own: nothing on the
page compares two of them on one problem.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.conditioning import forgetting, forms, keys, solvers, stored
from ttr_numerics import tasks
from ttr_numerics.study import Grid, Study

__all__ = ["STUDY", "measure_cell", "on_keys"]

SEED = 20261
PARTS: dict[str, Callable[[dict[str, Any], np.random.Generator], list[dict[str, Any]]]] = {
    "solvers": solvers.solver_rows,
    "forms": forms.form_rows,
    "fixed ridge": forgetting.fixed_ridge_rows,
    "recursive": forgetting.recursive_rows,
    "Gaussian keys": keys.gaussian_rows,
    "keys": keys.stored_rows,
    "digits of keys": stored.digit_rows,
}
DRAWS, FORM_DRAWS = 10, 2
DTYPES = ("float64", "float32")
CONDITIONS = {"float64": tuple(10.0**e for e in range(13)), "float32": tuple(10.0**e for e in range(6))}
HALVES = {
    "float64": (*(10.0 ** (e / 2) for e in range(11)), *(10.0**e for e in range(6, 11))),
    "float32": tuple(10.0 ** (e / 2) for e in range(11)),
}
DECADES = {"float64": tuple(10.0**e for e in range(9)), "float32": tuple(10.0**e for e in range(4))}


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The rows of one cell."""
    return PARTS[cell["part"]](cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """cond(K) of prefixes, and what the first tokens cost in each dtype, as long as the truth is affordable."""
    prefixes = tuple(n for n in (round(load * d) for load in keys.LOADS) if n <= T) or (T,)
    grids = [Grid({"part": ("keys",), "n": prefixes})]
    if d <= stored.WIDEST:
        treatments, n = tuple(keys.TREATMENTS), min(T, stored.TOKENS)
        grids.append(Grid({"part": ("digits of keys",), "treatment": treatments, "dtype": DTYPES, "n": (n,)}))
    return tuple(grids)


def _by_condition(
    part: str, conditions: dict[str, tuple[float, ...]], draws: int, **axes: Sequence[str]
) -> tuple[Grid, ...]:
    return tuple(
        Grid({"part": (part,), "dtype": (dtype,), "prescribed": conditions[dtype], **axes, "draws": (draws,)})
        for dtype in DTYPES
    )


STUDY = Study(
    "conditioning",
    "How many digits does each solver lose to the condition number of the keys, which form keeps them, and how well "
    "conditioned are real keys?",
    measure_cell,
    (
        *_by_condition("solvers", CONDITIONS, DRAWS),
        *_by_condition("forms", HALVES, FORM_DRAWS, ridge=(forms.TIED,)),
        *_by_condition("forms", DECADES, FORM_DRAWS, ridge=(forms.EDGE, forms.CONSTANT)),
        *_by_condition("fixed ridge", DECADES, FORM_DRAWS),
        Grid({"part": ("recursive",), "dtype": DTYPES, "draws": (FORM_DRAWS,)}),
        Grid({"part": ("Gaussian keys",), "aspect": keys.ASPECTS, "draws": (keys.GAUSSIAN_DRAWS,)}),
    ),
    SEED,
    on_keys,
    tasks.SHIPPED,
    ("numpy", "torch", "cupy"),
)
