"""Every closed form and bound that is drawn, over every row it speaks of: how many break it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.chance import COLUMNS, counted, expected_beyond
from analysis.mqar.latest import EXACT_ERROR, TIED
from analysis.mqar.list_recall import deviations, matched
from analysis.mqar.lists import WORDS
from analysis.mqar.memories import DELTA, LEAST, LINEAR
from analysis.mqar.passes import RUNS
from analysis.mqar.rows import Rows, chosen, distinct
from ttr_numerics.measure import bounds
from ttr_numerics.report import Table

__all__ = ["broken", "convolution_table", "table"]

Cells = tuple[Any, ...]
EXACT, PROVED, APPROXIMATE = "exact mean", "proved", "approximation"
LIST_ERROR: dict[str, tuple[str, Callable[[int, int], float]]] = {
    LINEAR: ("(n-1)/d", bounds.linear_attention_error),
    DELTA: ("delta_rule_errors", lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0)))),
    LEAST: ("max(0, 1-d/n)", bounds.least_squares_floor),
}
ROUNDING = 1e-9  # means with smaller standard errors are exact zeros but for rounding


def table(rows: Rows) -> Table:
    """Formula, status, means, how many miss it, how many would by chance, and by how much at most."""
    lists, again, steps = (chosen(rows, part=part) for part in ("list", "reassigned", "kaczmarz"))
    cells = [
        *_of_lists(lists),
        *_of_last_values(again),
        *(_kaczmarz(chosen(steps, order=order), order) for order in distinct(steps, "order")),
        *(_approximate(lists, name) for name in ("argmax_accuracy", "top1_accuracy") if lists),
    ]
    if lists and chosen(rows, part="sizes"):
        count, total, chance = matched(rows)
        cells.append(
            ("ids after a convolution = list of bigrams, accuracy", "as measured", total, count, chance, None, None)
        )
    return Table(
        "Formulas and bounds against every mean they speak of",
        (*COLUMNS, "largest, in its unit"),
        [cell for cell in cells if cell[2]],
        f"Exact means: both sides; bounds: above only. Argmax among {WORDS} words. Kaczmarz is proved for drawn keys; "
        "shuffled passes are beside it for comparison.",
    )


def broken(rows: Rows) -> tuple[int, int, float]:
    """Over everything that is exact or proved: means that break it, means, and how many would by chance."""
    counts = [cell for cell in table(rows).rows if cell[1] in (EXACT, PROVED)]
    total, count, chance = (sum(cell[i] or 0 for cell in counts) for i in (2, 3, 4))  # type: ignore[misc]
    return int(count), int(total), float(chance)


def convolution_table(rows: Rows) -> Table:
    """With the convolution and without, over all sizes that were asked both ways."""
    sizes = chosen(rows, part="sizes")
    cells = []
    for layer in dict.fromkeys(row["layer"] for row in sizes):
        bare, shifted = [], []
        for row in chosen(sizes, convolution="none", layer=layer):
            same = {name: row[name] for name in ("filler", "d", "length", "pairs", "layer")}
            bare.append(row)
            shifted += chosen(sizes, convolution="keys shifted", **same)
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


def _of_lists(lists: Rows) -> list[Cells]:
    """Recall error after one list, where a closed form is its mean."""
    lines = []
    for layer, (name, formula) in LIST_ERROR.items():
        own = chosen(lists, layer=layer)
        lines.append(_means(f"{name}, {layer}", own, [formula(row["pairs"], row["d"]) for row in own]))
    return lines


def _of_last_values(again: Rows) -> list[Cells]:
    """Errors to the last of several values, and how often order-blind layers can have it first."""
    lines = []
    for layer, error in EXACT_ERROR.items():
        own = chosen(again, layer=layer)
        expected = [error(row["assignments"], row["between"], row["d"]) for row in own]
        lines.append(_means(f"error to the last value, {layer}", own, expected))
    tied = [row for layer in TIED for row in chosen(again, layer=layer)]
    share, most = (np.array(x) for x in ([row["value"] for row in tied], [1 / row["assignments"] for row in tied]))
    errors = (most * (1 - most) / np.array([row["trials"] for row in tied])) ** 0.5  # binomial, at the bound
    return [
        *lines,
        _one_sided("share of the last value ≤ 1/j, layers without order", PROVED, share - most, errors, tied),
    ]


def _means(what: str, rows: Rows, expected: list[float]) -> Cells:
    off = np.array([row["error"] for row in rows]) - expected
    errors = np.maximum([row["error_se"] for row in rows], ROUNDING)
    line = counted(what, EXACT, [(float(x), int(row["trials"])) for x, row in zip(off / errors, rows, strict=True)])
    return (*line, float(np.max(np.abs(off), initial=0.0)))


def _one_sided(what: str, status: str, off: np.ndarray, errors: np.ndarray, rows: Rows) -> Cells:
    """Only what lies above counts, by chance half as often as either side."""
    above = np.maximum(off, 0.0) / np.maximum(errors, ROUNDING)
    found = counted(what, status, [(float(x), int(row["trials"])) for x, row in zip(above, rows, strict=True)])
    return (*found[:4], found[4] / 2, found[5], float(np.max(off, initial=0.0)))


def _kaczmarz(rows: Rows, order: str) -> Cells:
    """One mean a list, over its orders; rows carry how many of them lie above."""
    lists = sum(row["lists"] for row in rows)
    above, worst = sum(row["violations"] for row in rows), max(row["value"] - row["bound"] for row in rows)
    status = PROVED if order == "drawn" else "not proved"
    chance = expected_beyond([RUNS] * lists) / 2
    return f"kaczmarz_bound, keys {order}", status, lists, above, chance, None, max(0.0, worst)


def _approximate(lists: Rows, name: str) -> Cells:
    means = len(chosen(lists, layer=LINEAR))
    return f"{name}, {LINEAR}", APPROXIMATE, means, None, None, None, deviations(lists, name)
