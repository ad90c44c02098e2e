"""Figure: the error by age on stored keys, with their own values and with random ones, theory over both."""

from typing import Any

import numpy as np

from analysis.age.comparisons import Ratio, counted_given_keys, of_age, places, ratios
from analysis.age.deviations import percent
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from ttr_numerics.report import Figure, Measured, Panel, Theory
from ttr_numerics.report.notation import number

__all__ = ["age_words", "stored_figures"]

SHOWN = ("gated linear attention, scalar", "gated delta rule", "Mesa", "forgetting attention")
SOURCES = 3
OWN, RANDOM = "their own values", "random values"


def stored_figures(rows: Rows) -> tuple[Figure, ...]:
    """Two panels for each of the first SOURCES sources; no figure where no keys were asked."""
    if not rows:
        return ()
    sources = values(rows, "source")
    panels = [_panel(chosen(rows, source=source), kind) for source in sources[:SOURCES] for kind in (OWN, RANDOM)]
    heads = ", ".join(f"{source} {chosen(rows, source=source)[0]['heads']}" for source in sources)
    count = counted_given_keys(rows)
    figure = Figure(
        "stored",
        tuple(panels),
        finding=f"{_factor_words(rows)} {_order_words(rows)}".strip(),
        caption="Error ‖o - v‖² of a stored pair asked for with its own key after the last token of a window, mean "
        "over the pairs of a band of ages (drawn at its geometric middle); values have unit length. Left the values "
        f"that belong to the keys, right independent random ones. Keys are scaled to unit norm.{quantised(rows)}",
        grid=f"{_lengths(rows)} tokens a window, of {max(row['windows'] // row['heads'] for row in rows)} windows that "
        f"end at equal distances in the text; heads: {heads}. The table has all layers.",
        interval="Left one standard error over heads (none for one head), right over draws of the values.",
        theory="Dashed: left the closed form for isotropic random keys and values, same d and number of tokens; right "
        "what is expected of random values on these keys, 1 - 2w_ii + Σ_j w_ij², with the weights w of the pairs from "
        "an exact solver of the layer's problem: exact, up to the steps by which MesaNet and Gated KalmaNet stop "
        f"short of their solution. Of {count.points} errors {count.beyond} lie beyond three "
        f"standard errors of it ({count.expected:.1f} by chance), the worst {count.worst:.1f} or "
        f"{percent(count.worst_share)} of the error.",
    )
    return (figure,)


def age_words(rows: Rows, old: bool) -> str:
    """The youngest band behind the newest token, or the oldest, as most layers have it."""
    bands = [(row["first"], row["last"]) for source in values(rows, "source") for row in of_age(rows, source, old)]
    first, last = max(set(bands), key=bands.count)
    return f"{first} to {last} tokens" if last > first else f"{last} token{'s' * (last > 1)}"


def _factor_words(rows: Rows) -> str:
    """How the error compares with that of isotropic keys, young and old, with either kind of values."""
    own, random = ([ratios(rows, old, name) for old in (False, True)] for name in ("value", "random"))
    if not own[1]:
        return "No isotropic error is known beside these keys."
    young, old = (age_words(rows, x) for x in (False, True))
    below, largest = sum(ratio.value < 1 for ratio in own[1]), max(own[1])
    return (
        f"With the keys' own values the error is {_median(own[0])} times that of isotropic keys after {young} and "
        f"{_median(own[1])} times after {old}, medians over layers and sources; {below} of {len(own[1])} old errors "
        f"are below it, the largest, {largest.layer}, is {number(largest.value)} times it. With {RANDOM} on the same "
        f"keys the medians are {_median(random[0])} and {_median(random[1])}."
    )


def _median(found: list[Ratio]) -> str:
    return number(float(np.median([ratio.value for ratio in found]))) if found else "no"


def _order_words(rows: Rows) -> str:
    """Which layer errs least when pairs are old, on isotropic keys and on these."""
    found = {source: places(rows, source) for source in values(rows, "source")}
    first = {source: min(of, key=lambda move: move.stored).layer for source, of in found.items() if of}
    before = dict.fromkeys(min(of, key=lambda move: move.isotropic).layer for of in found.values() if of)
    if not first:
        return ""
    said = ", ".join(f"{layer} on {source}" for source, layer in first.items())
    return f"Least error of old pairs: {said}; on isotropic keys {', '.join(before)}."


def _lengths(rows: Rows) -> str:
    return ", ".join(str(n) for n in sorted(set(values(rows, "n"))))


def _panel(rows: Rows, kind: str) -> Panel:
    drawn: list[Measured | Theory] = []
    layers = values(rows, "layer")
    for layer in [layer for layer in SHOWN if layer in layers] or layers[: len(SHOWN)]:
        own = sorted(chosen(rows, layer=layer), key=lambda row: row["last"])
        since = [float(np.sqrt(row["first"] * row["last"])) for row in own]
        name, bar, theory = ("value", "error", "isotropic") if kind == OWN else ("random", "random_error", "given_keys")
        low, high = ([row[name] + sign * (row[bar] or 0.0) for row in own] for sign in (-1, 1))
        drawn.append(Measured(layer, since, [row[name] for row in own], low, high, layer=layer))
        drawn += _theory(layer, since, [row[theory] for row in own])
    title = f"{rows[0]['source']}, {kind}"
    return Panel(title, "tokens since the pair was written", "error ‖o - v‖²", tuple(drawn), x_log=True, y_log=True)


def _theory(layer: str, since: list[float], curve: list[Any]) -> list[Theory]:
    return [] if None in curve else [Theory(f"{layer}: theory", since, curve, of=layer, layer=layer)]
