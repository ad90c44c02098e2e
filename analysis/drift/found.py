"""What the stored rows say: ratios to the filter with their intervals, deviations from closed form, and rates."""

from typing import Any

import numpy as np

from analysis.rows import Rows, chosen, values
from ttr_numerics.measure import bounds
from ttr_numerics.measure.fits import power_law
from ttr_numerics.measure.intervals import Interval

__all__ = [
    "METRICS",
    "approaches",
    "coloured_ratio",
    "deviations",
    "filter_ratio",
    "formula_ratios",
    "limit",
    "over_filter",
]

METRICS = {0.0: "keys as they are", 0.5: "metric Σ^-1/2", 1.0: "whitened, metric Σ^-1"}


def deviations(rows: Rows) -> np.ndarray:
    """(measured - closed form) in standard errors, one a setting of the gated delta rule."""
    found = chosen(rows, part="closed form")
    return np.array([(row["value"] - _formula(row)) / row["error"] for row in found])


def formula_ratios(rows: Rows) -> list[tuple[dict[str, Any], Interval]]:
    """Every setting with measured / closed form."""
    found = chosen(rows, part="closed form")
    return [(row, _scaled(row, 1 / _formula(row))) for row in found]


def _formula(row: dict[str, Any]) -> float:
    return bounds.gated_delta_rule_drift_error(row["d"], row["q"], row["gate"], row["beta"], row["noise"])


def filter_ratio(row: dict[str, Any]) -> Interval:
    """The best gated delta rule's closed form over the filter's measured excess."""
    best = bounds.best_gated_delta_rule(row["d"], row["qd"] / row["d"], row["noise"]).excess
    return Interval(best / row["value"], best / row["high"], best / row["low"], row["trials"])


def limit(qd: float, noise: float) -> float:
    """`filter_ratio` for d → ∞."""
    return bounds.best_gated_delta_rule_limit(qd, noise) / bounds.kalman_drift_limit(qd, noise)


def approaches(rows: Rows) -> list[Interval]:
    """r in (filter's excess)/(its limit) - 1 ~ d^-r, one for each drift and noise measured at three d or more."""
    found, exponents = chosen(rows, part="filter"), []
    for noise in values(found, "noise"):
        for qd in values(found, "qd"):
            own = chosen(found, noise=noise, qd=qd)
            gaps = np.array([row["value"] / bounds.kalman_drift_limit(qd, noise) - 1 for row in own])
            if len(own) > 2 and np.all(gaps > 0):
                p = power_law(np.array([row["d"] for row in own], dtype=float), gaps).exponent
                exponents.append(Interval(-p.value, -p.high, -p.low, p.trials))
    return exponents


def over_filter(row: dict[str, Any]) -> Interval | None:
    """A layer's excess over the filter's on the same draws; None where the filter's was zero."""
    if row["over"] is None:
        return None
    return Interval(row["over"], row["over_low"], row["over_high"], row["trials"])


def coloured_ratio(rows: Rows, cond: float, power: float) -> Interval | None:
    """Measured gated delta rule over measured filter on keys of one spectrum; None where either is missing."""
    found = chosen(rows, part="coloured keys", cond=cond)
    above, below = ([row for row in found if row["power"] == wanted] for wanted in (power, None))
    return _ratio(above[0], below[0]) if above and below else None


def _ratio(above: dict[str, Any], below: dict[str, Any]) -> Interval:
    """Of two means measured apart: relative half widths add in squares."""
    value = above["value"] / below["value"]
    half = value * float(np.hypot(*((row["high"] - row["low"]) / (2 * row["value"]) for row in (above, below))))
    return Interval(value, value - half, value + half, min(above["trials"], below["trials"]))


def _scaled(row: dict[str, Any], factor: float) -> Interval:
    return Interval(row["value"] * factor, row["low"] * factor, row["high"] * factor, row["trials"])
