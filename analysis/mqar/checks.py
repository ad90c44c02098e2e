"""Every closed form and bound that is drawn, over every row it speaks of: how many break it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.mqar.latest import EXACT_ERROR, TIED
from analysis.mqar.list_recall import deviations, matched
from analysis.mqar.lists import WORDS
from analysis.mqar.memories import DELTA, LEAST, LINEAR
from analysis.mqar.rows import Row, Rows, beyond, of_part, where
from ttr_numerics.measure import bounds
from ttr_numerics.report import Table

__all__ = ["broken", "convolution_table", "table"]

EXACT, PROVED, APPROXIMATE = "exact mean", "proved", "approximation"
LIST_ERROR: dict[str, tuple[str, Callable[[int, int], float]]] = {
    LINEAR: ("(n-1)/d", bounds.linear_attention_error),
    DELTA: ("delta_rule_errors", lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0)))),
    LEAST: ("max(0, 1-d/n)", bounds.least_squares_floor),
}
ROUNDING = 1e-9  # means with smaller standard errors are exact zeros but for rounding


def table(rows: Rows) -> Table:
    """Formula, status, rows, how many break it, how many would by chance, and the largest deviation."""
    cells: list[tuple[Any, ...]] = []
    lists, again = of_part(rows, "list"), of_part(rows, "reassigned")
    for layer, (name, formula) in LIST_ERROR.items():
        own = where(lists, layer=layer)
        cells.append(_means(f"{name}, {layer}", own, [formula(row["pairs"], row["d"]) for row in own]))
    for layer, error in EXACT_ERROR.items():
        own = where(again, layer=layer)
        expected = [error(row["assignments"], row["between"], row["d"]) for row in own]
        cells.append(_means(f"error to the last value, {layer}", own, expected))
    cells.append(_tied(again))
    steps = of_part(rows, "kaczmarz")
    for order in sorted({row["order"] for row in steps}):
        cells.append(_kaczmarz(where(steps, order=order), order))
    if lists:
        for name in ("argmax_accuracy", "top1_accuracy"):
            worst = deviations(lists, name)
            cells.append((f"{name}, {LINEAR}", APPROXIMATE, len(where(lists, layer=LINEAR)), None, None, worst))
    if lists and of_part(rows, "sizes"):
        count, total, chance = matched(rows)
        cells.append(("ids after a convolution = list of bigrams, accuracy", "as measured", total, count, chance, None))
    return Table(
        "Formulas and bounds against every row they speak of",
        ("what", "status", "rows", "beyond three standard errors", "expected by chance", "largest deviation"),
        [cell for cell in cells if cell[2]],
        f"Exact means: both sides; bounds: above only. Deviations in the formula's own unit. Argmax among {WORDS} "
        "words. Kaczmarz is proved for drawn keys; shuffled passes are beside it for comparison.",
    )


def broken(rows: Rows) -> tuple[int, int, float]:
    """Over everything that is exact or proved: rows that break it, rows, and how many would by chance."""
    counted = [cell for cell in table(rows).rows if cell[1] in (EXACT, PROVED)]
    count, total, chance = (sum(cell[i] or 0 for cell in counted) for i in (3, 2, 4))  # type: ignore[misc]
    return int(count), int(total), float(chance)


def convolution_table(rows: Rows) -> Table:
    """With the convolution and without, over all sizes that were asked both ways."""
    sizes = of_part(rows, "sizes")
    cells = []
    for layer in dict.fromkeys(row["layer"] for row in sizes):
        bare, shifted = [], []
        for row in where(sizes, convolution="none", layer=layer):
            same = {name: row[name] for name in ("filler", "d", "length", "pairs", "layer")}
            bare.append(row)
            shifted += where(sizes, convolution="keys shifted", **same)
        if bare and shifted:
            with_it = [row["value"] for row in shifted]
            without = [row["value"] for row in bare]
            high = max(row["high"] for row in bare)
            guess = max(row["value"] * row["pairs"] for row in bare)
            cells.append((layer, len(bare), min(with_it), max(with_it), min(without), max(without), high, guess))
    return Table(
        "One layer on ids, with the convolution and without",
        (
            *("layer", "sizes", "keys shifted: least", "most", "none: least", "most of the means"),
            *("highest end of an interval", "most, in units of 1/pairs"),
        ),
        cells,
        "k_t = x_(t-1) against k_t = x_t, over fillers and numbers of pairs at equal d and length. Picking any value "
        f"is right once in {WORDS}, picking one of the list once in `pairs`, 1 in the last column.",
    )


def _means(what: str, rows: Rows, expected: list[float]) -> tuple[Any, ...]:
    off = np.array([row["error"] for row in rows]) - expected
    errors = np.maximum([row["error_se"] for row in rows], ROUNDING)
    count, chance = beyond(off, errors, [_trials(row) for row in rows])
    return (what, EXACT, len(rows), count, chance, float(np.max(np.abs(off), initial=0.0)))


def _tied(again: Rows) -> tuple[Any, ...]:
    own = [row for layer in TIED for row in where(again, layer=layer)]
    share = np.array([row["value"] for row in own])
    most = np.array([1 / row["assignments"] for row in own])
    error = np.sqrt(most * (1 - most) / np.array([row["trials"] for row in own]))
    count = int(np.count_nonzero(share - most > 3 * np.maximum(error, ROUNDING)))
    _, chance = beyond(share, share, [row["trials"] for row in own])
    what = "share of the last value ≤ 1/j, layers without order"
    return (what, PROVED, len(own), count, chance / 2, float(np.max(share - most, initial=0.0)))


def _kaczmarz(rows: Rows, order: str) -> tuple[Any, ...]:
    means = sum(row["lists"] for row in rows)
    _, chance = beyond(np.zeros(1), np.ones(1), [64])
    above = max(row["value"] - row["bound"] for row in rows)
    status = PROVED if order == "drawn" else "not proved"
    what = f"kaczmarz_bound, keys {order}"
    return (what, status, means, sum(row["violations"] for row in rows), means * chance / 2, max(0.0, above))


def _trials(row: Row) -> int:
    return int(row["trials"])
