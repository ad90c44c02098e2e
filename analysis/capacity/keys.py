"""Figure and table: what memories recall of the first n keys of a stored source."""

from typing import Any

import numpy as np

from analysis.capacity.notions import (
    ARGMAX,
    DELTA,
    EXACT,
    GATED,
    GATED_DELTA,
    KEYS,
    LEAST,
    LINEAR,
    LIST,
    MESA,
    SMOOTHER,
)
from analysis.capacity.stored import OWN
from analysis.capacity.transitions import Rows, chosen
from analysis.rows import values
from analysis.sources import quantised, stored_names
from ttr_numerics.report import Figure, Measured, Panel, Table

__all__ = ["end_table", "keys_figures"]

SHOWN = (LINEAR, GATED, DELTA, GATED_DELTA, MESA, LEAST, SMOOTHER)


def keys_figures(rows: Rows) -> tuple[Figure, ...]:
    """A panel for each source and kind of values; no figure where no keys were asked."""
    own = chosen(rows, part=KEYS)
    if not own:
        return ()
    heads = ", ".join(f"{source}: {found[0]['trials']}" for source, found in _by_source(own).items())
    panels = tuple(
        _panel(f"{source}, {kind}", chosen(found, values=kind, notion=ARGMAX))
        for source, found in _by_source(own).items()
        for kind in values(found, "values")
    )
    figure = Figure(
        name="keys",
        finding=_finding(own),
        caption="Share of pairs ranked first among n values, first n tokens of each source, keys and values scaled to "
        f"unit norm, with the values that belong to the keys or with random ones.{quantised(own)}",
        panels=panels,
        grid=f"Repetitions are the heads ({heads}).",
        interval="95 % Wilson intervals whose sample size follows the spread over heads.",
        theory="None: no law is stated for keys that are not isotropic.",
    )
    return (figure,)


def end_table(rows: Rows) -> tuple[Table, ...]:
    """What is recalled of all stored tokens, by notion; no table where no keys were asked."""
    own = chosen(rows, part=KEYS)
    cells: list[tuple[Any, ...]] = []
    for source, found in _by_source(own).items():
        last = [row for row in found if row["n"] == found[-1]["n"] and row["values"] == OWN]
        n, d = last[0]["n"], last[0]["d"]
        for notion, capacity in ((EXACT, float(d)), (ARGMAX, d * d / (2 * np.log(max(n, 2)))), (LIST, float(d * d))):
            share = {row["layer"]: row["value"] for row in chosen(last, notion=notion)}
            at_end = [share.get(layer) for layer in SHOWN]
            cells.append((source, notion, n, capacity, bool(n >= capacity), *at_end))
    columns = ("keys", "notion", "pairs at the end", "capacity scale", "reached", *SHOWN)
    note = (
        "Capacity scale: d, d²/(2 ln n) and d². The last columns are the shares recalled of all tokens, with the "
        f"values that belong to the keys, mean over heads.{quantised(own)}"
    )
    return (Table("Where the stored keys end", columns, cells, note),) if cells else ()


def _by_source(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    return {name: chosen(rows, source=name) for name in stored_names(rows)}


def _finding(rows: Rows) -> str:
    said = []
    for source, found in _by_source(rows).items():
        last = [row for row in found if row["n"] == found[-1]["n"] and row["values"] == OWN and row["notion"] == ARGMAX]
        share = {row["layer"]: row["value"] for row in last}
        said.append(
            f"{source}, {last[0]['n']} pairs: {100 * share[LINEAR]:.0f} % by linear attention, "
            f"{100 * share[LEAST]:.0f} % by least squares, {100 * share[SMOOTHER]:.0f} % by softmax attention"
        )
    return f"Of the pairs of stored keys, these rank first: {'; '.join(said)}."


def _panel(title: str, rows: Rows) -> Panel:
    lines = []
    for layer in values(rows, "layer"):
        own = chosen(rows, layer=layer)
        y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
        lines.append(Measured(layer, [row["n"] for row in own], y, low, high, layer=layer))
    return Panel(title, "pairs n", "share of pairs ranked first", tuple(lines), x_log=True, y_range=(-0.02, 1.05))
