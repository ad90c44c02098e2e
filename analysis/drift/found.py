"""What the stored rows say: ratios to the filter with their intervals, and how often the closed form was missed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ttr_numerics.measure import bounds
from ttr_numerics.measure.intervals import Interval

__all__ = [
    "METRICS",
    "Rows",
    "coloured_ratio",
    "deviations",
    "filter_ratio",
    "formula_ratios",
    "on_the_edge",
    "own",
    "ratio",
    "values",
]

Rows = Sequence[dict[str, Any]]

METRICS = {0.0: "keys as they are", 0.5: "metric Σ^-1/2", 1.0: "whitened, metric Σ^-1"}


def own(rows: Rows, **wanted: Any) -> list[dict[str, Any]]:
    """The rows with these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def values(rows: Rows, name: str) -> list[Any]:
    """The different values of a column, in order of appearance."""
    return list(dict.fromkeys(row[name] for row in rows))


def deviations(rows: Rows) -> np.ndarray:
    """(measured - closed form) in standard errors, one a setting of the gated delta rule."""
    found = own(rows, part="closed form")
    return np.array([(row["value"] - _formula(row)) / row["error"] for row in found])


def formula_ratios(rows: Rows) -> list[tuple[dict[str, Any], Interval]]:
    """Every setting with measured / closed form."""
    found = own(rows, part="closed form")
    return [(row, _scaled(row, 1 / _formula(row))) for row in found]


def _formula(row: dict[str, Any]) -> float:
    return bounds.gated_delta_rule_drift_error(row["d"], row["q"], row["gate"], row["beta"], row["noise"])


def filter_ratio(row: dict[str, Any]) -> Interval:
    """The best gated delta rule's closed form over the filter's measured excess."""
    best = bounds.best_gated_delta_rule(row["d"], row["qd"] / row["d"], row["noise"]).excess
    return Interval(best / row["value"], best / row["high"], best / row["low"], row["trials"])


def coloured_ratio(rows: Rows, cond: float, power: float) -> Interval | None:
    """Measured gated delta rule over measured filter on keys of one spectrum; None where either is missing."""
    found = own(rows, part="coloured keys", cond=cond)
    above, below = ([row for row in found if row["power"] == wanted] for wanted in (power, None))
    return ratio(above[0], below[0]) if above and below else None


def ratio(above: dict[str, Any], below: dict[str, Any]) -> Interval:
    """Of two means measured apart: relative half widths add in squares."""
    value = above["value"] / below["value"]
    half = value * float(np.hypot(*((row["high"] - row["low"]) / (2 * row["value"]) for row in (above, below))))
    return Interval(value, value - half, value + half, min(above["trials"], below["trials"]))


def _scaled(row: dict[str, Any], factor: float) -> Interval:
    return Interval(row["value"] * factor, row["low"] * factor, row["high"] * factor, row["trials"])


def on_the_edge(
    chosen: Sequence[tuple[str, str]], methods: Mapping[str, tuple[Any, Mapping[str, Sequence[float]]]]
) -> str:
    """How many choices "parameter value, ..." of each method lie at an end of a grid of three values or more."""
    words = []
    for name in dict.fromkeys(name for name, _ in chosen):
        grid = methods[name][1] if name in methods else {}
        ends = {f"{x} {end:g}" for x, tried in grid.items() if len(tried) > 2 for end in (min(tried), max(tried))}
        mine = [set(said.split(", ")) for of, said in chosen if of == name]
        if ends:
            words.append(f"{name} {sum(bool(ends & said) for said in mine)} of {len(mine)}")
    return f"choices at an end of three values or more: {', '.join(words) or 'none were made'}"
