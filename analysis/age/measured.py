"""The measurement, as a study: a cell is one layer on random keys of one dimension, or on stored keys."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.age import additive, erasing, robust, solved
from analysis.age.stored import stored_rows, takes, window_length
from analysis.age.subject import PIECE, Subject, errors, unit_keys
from ttr_numerics import tasks
from ttr_numerics.measure import mean_interval
from ttr_numerics.study import Grid, Study

__all__ = ["LENGTH", "STUDY", "SUBJECTS", "measure_cell", "on_keys"]

SUBJECTS: tuple[Subject, ...] = (*additive.SUBJECTS, *erasing.SUBJECTS, *robust.SUBJECTS, *solved.SUBJECTS)
LENGTH = 6  # tokens a dimension


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """The error of pairs by age, and its theory: a row an age of random keys, a band of ages of stored ones."""
    subject = next(s for s in SUBJECTS if s.label == cell["layer"])
    return stored_rows(subject, cell, rng) if "keys" in cell else _random_rows(subject, cell, rng)


def on_keys(T: int, d: int) -> Sequence[Grid]:
    """Windows of half of the T tokens in every layer whose keys are drawn on the sphere."""
    n = window_length(T)
    return (Grid({"layer": tuple(s.label for s in SUBJECTS if s.keys is unit_keys and takes(s, n)), "n": (n,)}),)


def _random_rows(subject: Subject, cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Error of the pair of each kept age after LENGTH d tokens, mean and standard error over sequences; its theory."""
    d, n = cell["d"], LENGTH * cell["d"]
    pieces = [min(PIECE, cell["trials"] - i) for i in range(0, cell["trials"], PIECE)]
    found = np.concatenate([_errors(subject, rng, m, n, d) for m in pieces])
    theory = subject.theory(n, d)
    rows = [_row(age, found[:, age], float(theory[age])) for age in _kept(n)]
    rows[0] |= {"setting": subject.setting, "status": subject.status}  # once a curve: a third of the file otherwise
    return rows


def _errors(subject: Subject, rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """Errors (m, n) by age of m drawn sequences of n tokens."""
    N = n * subject.writes
    return errors(subject, subject.keys(rng, m, N, d), tasks.isotropic_unit_keys(rng, (m, N, d)))


def _row(age: int, errors: np.ndarray, theory: float) -> dict[str, Any]:
    return {"age": age, "theory": theory, **mean_interval(errors)._asdict()}


def _kept(n: int) -> list[int]:
    """Every age below 4, then in steps of about a quarter, and the oldest."""
    ages = np.unique(np.round(np.concatenate([np.arange(4), np.geomspace(4, n - 1, 16)])).astype(int))
    return [int(a) for a in ages if a < n]


STUDY = Study(
    "age",
    "How does the error of a stored pair grow with its age, and is that curve the one that theory predicts?",
    measure_cell,
    (
        Grid({"layer": tuple(s.label for s in SUBJECTS), "d": (16,), "trials": (600,)}),
        Grid({"layer": tuple(s.label for s in SUBJECTS), "d": (32,), "trials": (100,)}),
    ),
    20281,
    on_keys,
    tasks.SHIPPED,
)
