"""The measurement, as a study: a cell is one layer in one dimension, a row one age of a stored pair."""

from typing import Any

import numpy as np

from analysis.age import additive, erasing, robust, solved
from analysis.age.subject import Subject
from ttr_numerics import tasks
from ttr_numerics.measure import mean_interval
from ttr_numerics.study import Grid, Study

__all__ = ["LENGTH", "STUDY", "SUBJECTS", "measure_cell"]

SUBJECTS: tuple[Subject, ...] = (*additive.SUBJECTS, *erasing.SUBJECTS, *robust.SUBJECTS, *solved.SUBJECTS)
LENGTH = 6  # tokens a dimension
PIECE = 50  # sequences run together: their states stay in the cache


def measure_cell(cell: dict[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Error of the pair of each kept age after LENGTH d tokens, mean and standard error over sequences; its theory."""
    subject = next(s for s in SUBJECTS if s.label == cell["layer"])
    d, n = cell["d"], LENGTH * cell["d"]
    pieces = [min(PIECE, cell["trials"] - i) for i in range(0, cell["trials"], PIECE)]
    errors = np.concatenate([_errors(subject, rng, m, n, d) for m in pieces])
    theory = subject.theory(n, d)
    about = {"setting": subject.setting, "status": subject.status}
    return [_row(age, errors[:, age], float(theory[age])) | about for age in _kept(n)]


def _errors(subject: Subject, rng: np.random.Generator, m: int, n: int, d: int) -> np.ndarray:
    """‖o_i - v_i‖² (m, n) by the age of the pair, averaged over the writes of its token."""
    N = n * subject.writes
    K, V = subject.keys(rng, m, N, d), tasks.isotropic_unit_keys(rng, (m, N, d))
    O = subject.read(subject.layer, subject.arguments(K, V), K, V)
    found = np.sum((O - V) ** 2, axis=-1).reshape(m, n, subject.writes)
    return np.asarray(np.mean(found, axis=-1)[:, ::-1])


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
    20271,
)
