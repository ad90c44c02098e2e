"""cond(K) of Gaussian and of stored keys, as a sentence, a figure and a table of stored rows."""

from typing import Any

import numpy as np

from analysis.conditioning.keys import CENTRED, RAW, TREATMENTS, UNIT
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory
from ttr_numerics.report.notation import number

__all__ = ["keys_answer", "keys_figure", "keys_table"]

GAUSSIAN = "Gaussian keys"


def keys_answer(rows: Rows) -> str:
    """The range of cond(K) over the heads of the first source, one sentence; empty without stored keys."""
    first = _longest(chosen(rows, part="keys"))[: len(TREATMENTS)]
    if not first:
        return ""
    by = {row["treatment"]: _range(row) for row in first}
    heads = first[0]["heads"]
    return (
        f"The {f'{heads} key heads' if heads > 1 else 'key head'} of {first[0]['source']} "
        f"{'have' if heads > 1 else 'has'} cond(K) {by[RAW]}, and {by[CENTRED]} once the mean key is removed: "
        "the Gram matrix squares that."
    )


def keys_figure(rows: Rows) -> Figure:
    """cond(K) against d/n."""
    random, stored = chosen(rows, part="Gaussian keys"), chosen(rows, part="keys")
    panels = [
        Panel(title, "d/n (key channels per pair)", "cond(K)", (*lines, *_gaussian_lines(random)), y_log=True)
        for title, lines in _by_source(stored)
    ]
    return Figure(
        name="keys",
        panels=tuple(panels),
        finding=_finding(stored),
        caption="cond(K) against d/n for the first n tokens: median head, bars from the best to the worst head; keys "
        "as captured, centred, scaled to unit norm. A head whose keys are singular to rounding is left out (table)."
        f"{quantised(stored)}",
        grid=f"Gaussian keys: d = {random[0]['d']}, {random[0]['trials']} draws of each n.",
        interval="Gaussian keys: geometric mean and 95 % interval over draws. Stored keys: all heads.",
        theory="Marchenko-Pastur: the limit (1+√(d/n))/(1-√(d/n)) of Gaussian keys, below which finite sizes lie.",
    )


def keys_table(rows: Rows) -> Table:
    """cond(K) of all stored keys of each source, of the longest prefix."""
    own = _longest(chosen(rows, part="keys"))
    fields = ("source", "n", "d", "heads", "treatment", "low", "value", "high", "singular")
    lines = [(*(row[name] for name in fields), _limit(row)) for row in own]
    columns = ("keys", "n", "d", "heads", "treatment", "smallest head", "median head", "largest head", "singular heads")
    after = " SmolLM2's keys are taken after the rotary embedding." if quantised(own) else ""
    return Table(
        "cond(K) of stored keys",
        (*columns, "Marchenko-Pastur limit"),
        lines,
        "The ratio of the largest to the smallest of min(n, d) singular values; cond(K'K) is the square. A head is "
        "singular where its smallest is at rounding level, max(n, d) eps of its largest, in float64: it is left out "
        f"of the others' columns.{after}{quantised(own)}",
    )


def _finding(stored: Rows) -> str:
    first = _longest(stored)[: len(TREATMENTS)]
    if not first:
        return "Gaussian keys follow the limit of Marchenko and Pastur."
    by, limit = {row["treatment"]: row["value"] for row in first}, _limit(first[0])
    tokens = f"of {first[0]['source']}, n = {first[0]['n']}, the median cond(K) is {_plain(by[RAW])}"
    if by[RAW] is None or limit is None:
        return f"O{tokens[1:]}, and {_plain(by[CENTRED])} once centred."
    times = by[RAW] / limit
    verdict = "Stored keys are much worse conditioned than random ones: o" if times > 2 else "O"
    return (
        f"{verdict}{tokens[1:]}, {number(times)} times the {_plain(limit)} of Gaussian keys of that shape. Removing "
        f"the mean key leaves {_plain(by[CENTRED])}; scaling the keys to unit norm leaves {_plain(by[UNIT])}."
    )


def _by_source(stored: Rows) -> list[tuple[str, list[Series]]]:
    """A title and lines for each source; Gaussian keys stand alone where there is none."""
    found = []
    for source in values(stored, "source"):
        lines: list[Series] = []
        for treatment in TREATMENTS:
            own = [row for row in chosen(stored, source=source, treatment=treatment) if row["value"] is not None]
            x = [row["d"] / row["n"] for row in own]
            lines.append(Measured(treatment, x, *([row[name] for row in own] for name in ("value", "low", "high"))))
        found.append((source, lines))
    return found or [(GAUSSIAN, [])]


def _gaussian_lines(random: Rows) -> list[Series]:
    x = [row["d"] / row["n"] for row in random]
    fine = np.linspace(min(x), min(max(x), 0.98), 60).tolist()
    limits = [bounds.marchenko_pastur_condition(aspect) for aspect in fine]
    return [
        Measured(GAUSSIAN, x, *([row[name] for row in random] for name in ("value", "low", "high"))),
        Theory("Marchenko-Pastur", fine, limits, of=GAUSSIAN),
    ]


def _longest(stored: Rows) -> list[dict[str, Any]]:
    """Rows of the longest prefix of each source."""
    last = {row["source"]: row["n"] for row in sorted(stored, key=lambda row: row["n"])}
    return [row for row in stored if row["n"] == last[row["source"]]]


def _limit(row: dict[str, Any]) -> float | None:
    """Of Gaussian keys of that shape; K and K' have the same singular values."""
    aspect = min(row["d"] / row["n"], row["n"] / row["d"])
    return bounds.marchenko_pastur_condition(aspect) if aspect < 1 else None


def _range(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "of ∞ to rounding"
    ends = f"from {_plain(row['low'])} to {_plain(row['high'])}" if row["heads"] > 1 else f"of {_plain(row['value'])}"
    return f"{ends}{' where finite' if row['singular'] else ''}"


def _plain(cond: float | None) -> str:
    """As a whole number as long as that is short."""
    return "∞" if cond is None else f"{cond:.0f}" if 10 <= cond < 1e5 else number(cond)
