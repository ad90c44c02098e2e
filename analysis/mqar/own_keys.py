"""Stored keys as the list: captured from a model, or the user's own."""

from analysis.mqar.lists import STORED
from analysis.mqar.memories import DELTA, LEAST, LINEAR, RIDGE, SOFTMAX
from analysis.mqar.rows import Rows, chosen, distinct, line
from analysis.words import span
from ttr_numerics.report import Figure, Panel, Series

__all__ = ["figure"]


def figure(rows: Rows) -> Figure:
    """A panel for each source."""
    own = chosen(rows, part="stored")
    sources = list(dict.fromkeys(row["source"] for row in own))
    last = max(distinct(own, "passes"))
    return Figure(
        name="own-keys",
        finding=_finding(own, last),
        caption="The first n keys and values of every head, each scaled to norm one, shown as pairs in their order and "
        f'asked for again; the answer is the value of the n that scores highest. "{last} passes": shown again in '
        "random orders.",
        panels=tuple(_panel(chosen(own, source=source), source, last) for source in sources),
        grid="n up to all tokens that are stored; heads are the repetitions.",
        interval="95 % Wilson over heads, whose sample size follows their spread.",
        theory="None: the formulas for lists are of random keys.",
    )


def _panel(rows: Rows, source: str, last: int) -> Panel:
    once, again = chosen(rows, passes=min(distinct(rows, "passes"))), chosen(rows, passes=last)
    series: list[Series] = [line(chosen(once, layer=layer), layer, lambda row: row["pairs"]) for layer in STORED]
    for layer in (DELTA, RIDGE) if again is not once and last > 1 else ():
        label = f"{layer}, {last} passes"
        series.append(line(chosen(again, layer=layer), label, lambda row: row["pairs"], layer))
    d = rows[0]["d"]
    return Panel(f"{source}, d = {d}", "pairs", "share of values recalled", tuple(series), True, y_range=(-0.02, 1.05))


def _finding(rows: Rows, last: int) -> str:
    """Of all sources the lowest and highest share at the longest list."""
    first = min(distinct(rows, "passes"))
    ends = [row for source in distinct(rows, "source") for row in _longest(chosen(rows, source=source))]
    shares = ", ".join(
        f"{layer} {span(row['value'] for row in chosen(ends, passes=first, layer=layer))}"
        for layer in (LINEAR, DELTA, RIDGE, LEAST, SOFTMAX)
    )
    return (
        f"Share of the values recalled from the longest lists of stored keys after one pass: {shares}. {last} passes "
        f"bring the delta rule to {span(row['value'] for row in chosen(ends, passes=last, layer=DELTA))}."
    )


def _longest(rows: Rows) -> Rows:
    return chosen(rows, pairs=max(distinct(rows, "pairs")))
