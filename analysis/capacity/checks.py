"""Table: every statement that is drawn, held against every row: bounds by violations, approximations by their miss."""

from typing import Any

import numpy as np

from analysis.capacity.exponential import exponents
from analysis.capacity.kernel_table import over_typical, quadratic_predicted
from analysis.capacity.kernels import GAINS
from analysis.capacity.notions import (
    ALL,
    ARGMAX,
    CLOSE,
    DENSE,
    EVERY,
    EXACT,
    GAIN,
    KERNELS,
    LEAST,
    LINEAR,
    LIST,
    MATRIX,
    QUADRATIC,
    SIGNS,
    SOFTMAX,
    THEOREM,
)
from analysis.capacity.transitions import Rows, chosen, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Table

__all__ = ["exponent_table", "statement_table", "statement_words", "statements", "theorem_table"]


def statement_table(found: list[tuple[Any, ...]]) -> Table:
    """What is stated, its status, in how many rows it was asked, and in how many it fails."""
    columns = ("statement", "status", "asked of", "broken", "largest deviation")
    note = (
        "Deviation: of the bound, the largest ratio of error to bound; of an approximation, in points of share, three "
        "standard errors taken off. A bound broken once would be an error here or in the bound; an approximation may "
        "miss by what is said."
    )
    return Table("Statements against every row", columns, found, note)


def statement_words(found: list[tuple[Any, ...]]) -> str:
    """One sentence on the proved ones of the `statements`."""
    proved = [line for line in found if line[1].startswith("proved")]
    broken = [line[0] for line in proved if line[3]]
    asked = sum(line[2] for line in proved)
    if broken:
        return f"What is proved is BROKEN in this measurement: {'; '.join(broken)}."
    return f"What is proved holds in all {asked} answers and rows that it speaks of."


def statements(rows: Rows) -> list[tuple[Any, ...]]:
    """Each statement: what, its status, of how many it was asked, how many break it, the largest deviation."""
    found = [_softmax_bound(rows), _up_to_width(rows), _beyond_width(rows), _theorem(rows), _single(rows)]
    found += [_independence(rows), _all_pairs(rows), _signs(rows), *_quadratic(rows), _typical(rows)]
    return [line for line in found if line[2]]


def _softmax_bound(rows: Rows) -> tuple[Any, ...]:
    own = [row for part in (SOFTMAX, GAIN, THEOREM, KERNELS) for row in chosen(rows, part=part, notion=CLOSE)]
    asked = sum(row["items"] * row["trials"] for row in own)
    tightest = max((row["bound_tightest"] for row in own), default=0.0)
    broken = sum(row["bound_broken"] for row in own)
    return ("‖o - v_i‖ ≤ 2(n-1)e^{-βΔ_i} max‖v‖, with rounding", "proved", asked, broken, tightest)


def _up_to_width(rows: Rows) -> tuple[Any, ...]:
    own = [row for row in _exact(rows) if row["n"] <= row["d"]]
    return ("least squares is exact for n ≤ d", "proved", len(own), sum(row["value"] < 1 for row in own), None)


def _beyond_width(rows: Rows) -> tuple[Any, ...]:
    own = [row for row in _exact(rows) if row["n"] > row["d"]]
    return (
        "no value is exact for n > d, least squares",
        "proved",
        len(own),
        sum(row["value"] > 0 for row in own),
        None,
    )


def _exact(rows: Rows) -> list[dict[str, Any]]:
    return chosen(rows, part=MATRIX, layer=LEAST, notion=EXACT)


def _theorem(rows: Rows) -> tuple[Any, ...]:
    own = chosen(rows, part=THEOREM, notion=CLOSE)
    broken = sum(row["value"] < 1 for row in own)
    return ("Ramsauer et al.: √p c^((d-1)/4) patterns are stored", "theorem, p = 0.001 a draw", len(own), broken, None)


def _single(rows: Rows) -> tuple[Any, ...]:
    own = [row for row in chosen(rows, part=MATRIX, notion=ARGMAX) if "float32_compared" in row]
    asked = sum(row["float32_compared"] for row in own)
    return ("float32 ranks as float64 does", "measured", asked, sum(row["float32_changed"] for row in own), None)


def _independence(rows: Rows) -> tuple[Any, ...]:
    own = chosen(rows, part=MATRIX, layer=LINEAR, notion=ARGMAX)
    misses = [_beyond(row, bounds.top1_accuracy(row["n"], row["n"], row["d"], row["d"])) for row in own]
    return ("independence approximation, argmax", "approximation", *_missed(misses))


def _all_pairs(rows: Rows) -> tuple[Any, ...]:
    own = chosen(rows, part=EVERY, layer=LINEAR, notion=ALL)
    misses = [_beyond(row, bounds.all_recalled_probability(row["n"], row["d"])) for row in own]
    return ("all pairs: exp(-expected misses)", "heuristic", *_missed(misses))


def _signs(rows: Rows) -> tuple[Any, ...]:
    own = chosen(rows, part=DENSE, notion=SIGNS)
    misses = [_beyond(row, bounds.signs_recalled(row["n"], row["d"], row["degree"])) for row in own]
    return ("patterns without a wrong sign: Gaussian noise", "approximation", *_missed(misses))


def _quadratic(rows: Rows) -> list[tuple[Any, ...]]:
    own = {notion: chosen(rows, part=KERNELS, layer=QUADRATIC, notion=notion) for notion in (ARGMAX, LIST)}
    return [
        (
            f"degree 2, {notion}: independence approximation",
            "approximation",
            *_missed([_beyond(row, quadratic_predicted(row["n"], row["d"], notion)) for row in found]),
        )
        for notion, found in own.items()
    ]


def _typical(rows: Rows) -> tuple[Any, ...]:
    over = [np.log2(ratio) for layer in GAINS for ratio in over_typical(rows, layer)]
    return (
        "softmax, median error: typical weights, to a factor 2",
        "approximation",
        len(over),
        sum(bool(abs(x) > 1) for x in over),
        None,
    )


def _missed(misses: list[float]) -> tuple[int, int, float]:
    return len(misses), sum(miss > 0 for miss in misses), 100 * max(misses, default=0.0)


def _beyond(row: dict[str, Any], predicted: float) -> float:
    """By how much the share is off beyond three standard errors; 0 within them."""
    error = (row["high"] - row["low"]) / (2 * 1.96)
    return max(0.0, abs(row["value"] - predicted) - 3 * error)


def theorem_table(rows: Rows) -> Table:
    """The theorem's numbers, and what was recalled of as many patterns."""
    cells = [
        (row["d"], 9 * (row["d"] - 1), row["n"], row["value"], row["low"], bounds.softmax_exponent(9.0))
        for row in sorted(chosen(rows, part=THEOREM, notion=CLOSE), key=lambda row: row["d"])
    ]
    columns = ("d", "gain β", "patterns", "share within ε", "low", "exponent of mean weights, per d")
    note = (
        "Ramsauer et al., theorem 3, with K = 3, β = 1, p = 0.001: on unit keys the gain 9(d-1), and patterns growing "
        f"like e^(ad), a = {_theorem_exponent():.3g}; the mean weights would hold e^(ad) with the a of the last column."
    )
    return Table("As many patterns as the theorem promises", columns, cells, note)


def _theorem_exponent() -> float:
    """ln c / 4 of `ramsauer_capacity` for d → ∞ at K = 3, β = 1, p = 0.001."""
    return float(np.log(bounds.ramsauer_capacity(1001, 1.0, 3.0, 0.001) / 0.001**0.5)) / 1000


def exponent_table(rows: Rows) -> Table:
    """ln n = a d + b of softmax attention at one half, measured, by mean weights, and for d → ∞."""
    cells = []
    for notion in (CLOSE, ARGMAX):
        for gain in values(chosen(rows, part=SOFTMAX), "gain"):
            fit = exponents(rows, notion, gain)
            if fit:
                measured, predicted, limit, widths = fit
                slope, b = measured.slope, measured.intercept  # type: ignore[attr-defined]
                ends = (slope.low, slope.high, b.value, b.low, b.high)
                cells.append((notion, gain, widths, slope.value, *ends, predicted.slope.value, limit))  # type: ignore[attr-defined]
    columns = (
        *("notion", "β/d", "widths", "a", "low", "high", "b", "b low", "b high"),
        *("a of the mean weights, same d", "limit of a"),
    )
    note = (
        "Least squares in ln n over the widths at which one half was reached, 95 % intervals by Student's t. Limit: "
        "c - ψ(c) with c = β/d within ε, with 2c by argmax (Laplace's method, derived here)."
    )
    return Table("Softmax attention: ln n = a d + b", columns, cells, note)
