"""Pairs at half recall of each map, relative to plain keys of the same dimension, with an interval."""

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from analysis.kernel_shape.treatments import EXACT
from analysis.rows import Rows

__all__ = ["IDENTITY", "Ratio", "halves", "missing_ranks", "ratios"]

IDENTITY = "identity"


class Ratio(NamedTuple):
    """A ratio of geometric means, and its 95 % interval."""

    value: float
    low: float
    high: float


def halves(rows: Rows, source: str, treatment: str) -> list[dict[str, Any]]:
    """Rows of pairs at half recall."""
    return [r for r in rows if r["what"] == "half" and r["source"] == source and r["treatment"] == treatment]


def ratios(rows: Rows, source: str, treatment: str, features: int | None) -> dict[str, Ratio]:
    """By map, at `features`, the largest that the treatment has where None."""
    found = halves(rows, source, treatment)
    D = max((row["features"] for row in found), default=0) if features is None else features
    at = {row["shape"]: row for row in found if row["features"] == D}
    plain = at.get(IDENTITY)
    return {} if plain is None else {name: _ratio(row, plain) for name, row in at.items() if name != IDENTITY}


def missing_ranks(rows: Rows, source: str) -> dict[str, int]:
    """By map, D less the rank of its features where least squares was asked, the largest over D."""
    found: dict[str, int] = {}
    for r in rows:
        if (r["what"], r["source"], r.get("treatment")) == ("error", source, EXACT):
            short = round(min(r["features"], r["n"]) - r["n"] * (1 - r["expected"]))  # least squares leaves 1 - rank/n
            found[r["shape"]] = max(short, found.get(r["shape"], 0))
    return found


def _ratio(row: dict[str, Any], plain: dict[str, Any]) -> Ratio:
    """Welch's interval on logarithms, with the fewer degrees of freedom of the two."""
    t = float(stats.t.ppf(0.975, min(row["trials"], plain["trials"]) - 1))
    spread = float(np.hypot(*(np.log(r["high"] / r["value"]) / _t(r) for r in (row, plain))))
    value = row["value"] / plain["value"]
    return Ratio(value, value * np.exp(-t * spread), value * np.exp(t * spread))


def _t(row: dict[str, Any]) -> float:
    return float(stats.t.ppf(0.975, row["trials"] - 1))
