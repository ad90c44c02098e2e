"""Stored keys as the list: captured from a model, or the user's own."""

from analysis.mqar.lists import STORED
from analysis.mqar.memories import DELTA, LEAST, LINEAR, RIDGE, SOFTMAX
from analysis.mqar.rows import Rows, distinct, line, of_part, where
from ttr_numerics.report import Figure, Panel, Series

__all__ = ["figure"]


def figure(rows: Rows) -> Figure:
    """A panel for each source."""
    own = of_part(rows, "stored")
    sources = list(dict.fromkeys(row["source"] for row in own))
    last = max(distinct(own, "passes"))
    return Figure(
        name="own-keys",
        finding=_finding(own, last),
        caption="The first n keys and values of every head, each scaled to norm one, shown as pairs in their order and "
        f'asked for again; the answer is the value of the n that scores highest. "{last} passes": shown again in '
        "random orders.",
        panels=tuple(_panel(where(own, source=source), source, last) for source in sources),
        grid="n up to all tokens that are stored; heads are the repetitions.",
        interval="95 % Wilson over heads, whose sample size follows their spread.",
        theory="",
    )


def _panel(rows: Rows, source: str, last: int) -> Panel:
    once, again = where(rows, passes=min(distinct(rows, "passes"))), where(rows, passes=last)
    series: list[Series] = [line(where(once, layer=layer), layer, lambda row: row["pairs"]) for layer in STORED]
    for layer in (DELTA, RIDGE) if again is not once and last > 1 else ():
        label = f"{layer}, {last} passes"
        series.append(line(where(again, layer=layer), label, lambda row: row["pairs"], layer))
    d = rows[0]["d"]
    return Panel(f"{source}, d = {d}", "pairs", "share of values recalled", tuple(series), True, y_range=(-0.02, 1.05))


def _finding(rows: Rows, last: int) -> str:
    """Of all sources the lowest and highest share at the longest list."""
    first = min(distinct(rows, "passes"))
    ends = [row for source in distinct(rows, "source") for row in _longest(where(rows, source=source))]
    shares = ", ".join(
        f"{layer} {_between(where(ends, passes=first, layer=layer))}"
        for layer in (LINEAR, DELTA, RIDGE, LEAST, SOFTMAX)
    )
    return (
        f"Share of the values recalled from the longest lists of stored keys after one pass: {shares}. {last} passes "
        f"bring the delta rule to {_between(where(ends, passes=last, layer=DELTA))}."
    )


def _longest(rows: Rows) -> Rows:
    return where(rows, pairs=max(distinct(rows, "pairs")))


def _between(rows: Rows) -> str:
    low, high = (f"{end(row['value'] for row in rows):.2f}" for end in (min, max))
    return low if low == high else f"{low} to {high}"
