"""How far measured errors lie from their formula, and how far is to be expected; where a curve is halfway."""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from analysis.age.measured import LENGTH
from analysis.chance import BEYOND, expected_beyond
from analysis.rows import Rows

__all__ = ["Count", "Half", "counted", "deviation", "half_age", "of_layers", "percent", "rounding", "statuses"]


class Count(NamedTuple):
    """Errors compared, those beyond three standard errors, how many chance gives, the worst in both units."""

    points: int
    beyond: int
    expected: float
    worst: float
    worst_share: float


class Half(NamedTuple):
    """The age at which the error is halfway from the newest pair's to the oldest's, both by theory.

    Measured, between which ages a 95 % band passes, and by theory.
    """

    value: float
    low: float
    high: float
    theory: float


def deviation(row: dict[str, Any]) -> float:
    """(measured - theory)/standard error; 0 where both are rounding: a pair that is recalled exactly."""
    gap, error = row["value"] - row["theory"], row["value"] - row["low"]
    return 0.0 if abs(gap) <= rounding(LENGTH * row["d"]) else float(gap / error)


def rounding(n: int, size: float = 1.0) -> float:
    """What rounding may leave of an error of `size` after n tokens.

    An error of n d u in an output of size 1 is squared in the measured error; the formula adds some 10 n terms.
    """
    return 10 * n * 2.0**-53 * size


def statuses(rows: Rows) -> dict[str, str]:
    """What the formula of each layer is; the youngest row of a curve says it for all."""
    return {row["layer"]: row["status"] for row in rows if "status" in row}


def of_layers(rows: Rows, d: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of one dimension by layer, youngest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted((row for row in rows if row["d"] == d), key=lambda row: row["age"]):
        found.setdefault(row["layer"], []).append(row)
    order = list(dict.fromkeys(row["layer"] for row in rows))
    return {layer: found[layer] for layer in order if layer in found}


def counted(rows: Rows) -> Count:
    """Over all of `rows`; the expected number by Student's t."""
    z = np.array([abs(deviation(row)) for row in rows])
    share = [abs(row["value"] / row["theory"] - 1) for row in rows if deviation(row)]
    expected = expected_beyond(row["trials"] for row in rows)
    worst = float(np.max(z, initial=0.0))
    return Count(len(rows), int(np.sum(z > BEYOND)), expected, worst, max(share, default=0.0))


def percent(share: float) -> str:
    """A share for a sentence."""
    return f"{100 * share:.1f} %"


def half_age(rows: Rows) -> Half | None:
    """Of one layer's rows; None where theory is flat, or rises by less than its own bars can tell."""
    age, value, theory = (np.array([row[name] for row in rows]) for name in ("age", "value", "theory"))
    bar = stats.norm.ppf(0.975) * np.array([row["value"] - row["low"] for row in rows])
    if np.ptp(theory) <= 1e-9 * np.max(theory):
        return None
    middle = (theory[0] + theory[-1]) / 2
    late, found, early, exact = (_passes(age, curve, middle) for curve in (value - bar, value, value + bar, theory))
    return Half(found, early, late, exact)


def _passes(age: np.ndarray, curve: np.ndarray, level: float) -> float:
    """The first age at which `curve` reaches `level`, linear between; the oldest where it does not."""
    above = np.flatnonzero(curve >= level)
    if not len(above) or above[0] == 0:
        return float(age[-1] if not len(above) else age[0])
    i = int(above[0])
    return float(age[i - 1] + (age[i] - age[i - 1]) * (level - curve[i - 1]) / (curve[i] - curve[i - 1]))
