"""What length does: nothing by itself. With random filler every token is one more bigram, and bigrams are the load."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from math import log

from analysis.mqar.memories import AT_EVERY_TOKEN, DELTA, LINEAR
from analysis.mqar.rows import Row, Rows, apart, chosen, distinct, explained, line
from analysis.mqar.sequences import VOCABULARY
from analysis.mqar.sizes import fillers
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["figure"]

WORDS = VOCABULARY // 2
SHARE = "share of questions answered"


def figure(rows: Rows) -> Figure:
    """Six panels: two over length, four over what is stored."""
    sizes, load = chosen(chosen(rows, part="sizes"), convolution="keys shifted"), chosen(rows, part="load")
    d, pairs = _longest(sizes)
    wide = _middle(load)
    lengths = chosen(sizes, d=d, pairs=pairs)
    panels = [_over_length(lengths, filler, f"{filler} filler, d = {d}, {pairs} pairs") for filler in fillers(lengths)]
    return Figure(
        name="load",
        finding=f"{_by_length(lengths)} {_by_load(load, wide)}",
        caption=f"{SHARE.capitalize()} by the right one of {WORDS} values, after one short convolution, k_t = x_(t-1), "
        "and one layer, nothing trained. Over bigrams a point is the questions asked within one octave: of all "
        "bigrams in memory, or of those written after the pair that is asked for.",
        panels=(
            *panels,
            _collapsed(
                chosen(load, d=wide, by="load", layer=LINEAR), f"{LINEAR}, d = {wide}", "stored bigrams / d", wide
            ),
            _widths(chosen(load, by="load", layer=LINEAR)),
            _collapsed(
                chosen(load, d=wide, by="load", layer=DELTA), f"delta rule, d = {wide}", "stored bigrams / d", wide
            ),
            _collapsed(
                chosen(load, d=wide, by="age", layer=DELTA),
                f"delta rule, d = {wide}",
                "bigrams written since / d",
                wide,
            ),
        ),
        grid=f"Length: {_several(lengths, 'length')} tokens, questions soon after the list (power 0.01), 8 to 24 "
        f"sequences a point. Load: {_several(load, 'pairs')} pairs in {_several(load, 'length')} tokens, d = "
        f"{_several(load, 'd')}, questions spread evenly (power 1), random filler.",
        interval="95 % Wilson; over sequences in the first two panels.",
        theory="bounds.argmax_accuracy for linear attention with half of the stored bigrams ending in a value: an "
        "approximation (Gaussian noise, rivals independent given the output).",
    )


def _longest(sizes: Rows) -> tuple[int, int]:
    """The width and the most pairs that were asked at the most lengths."""

    def lengths(d: int, pairs: int) -> tuple[int, int]:
        return len(distinct(chosen(sizes, d=d, pairs=pairs), "length")), pairs

    found = {(row["d"], row["pairs"]) for row in sizes}
    return max(sorted(found), key=lambda cell: lengths(*cell))


def _middle(load: Rows) -> int:
    widths = distinct(load, "d")
    return int(widths[len(widths) // 2])


def _several(rows: Rows, name: str) -> str:
    *most, last = (str(value) for value in distinct(rows, name))
    return f"{', '.join(most)} and {last}" if most else last


def _over_length(rows: Rows, filler: str, title: str) -> Panel:
    own = chosen(rows, filler=filler)
    series = [line(chosen(own, layer=layer), layer, lambda row: row["length"]) for layer in AT_EVERY_TOKEN]
    ticks = distinct(own, "length")
    return Panel(title, "sequence length, tokens", SHARE, tuple(series), True, x_ticks=ticks, y_range=(-0.02, 1.05))


def _collapsed(rows: Rows, title: str, label: str, d: int) -> Panel:
    """A line for each number of pairs and each length: they fall together if the axis is what matters."""
    cells = sorted({(row["pairs"], row["length"]) for row in rows})
    series: list[Series] = [
        line(
            chosen(rows, pairs=pairs, length=length),
            f"{pairs} pairs, {length} tokens",
            lambda row: row["place"] / d,
            rows[0]["layer"],
        )
        for pairs, length in cells
    ]
    if rows and rows[0]["layer"] == LINEAR:
        series.append(_theory(rows, d, "theory", lambda n: n / d))
    return Panel(title, label, SHARE, tuple(series), True, y_range=(-0.02, 1.05))


def _widths(rows: Rows) -> Panel:
    """Every width at the longest length and the most pairs, over the load of argmax recall."""
    length, pairs = max(distinct(rows, "length")), max(distinct(rows, "pairs"))
    series: list[Series] = []
    for d in distinct(rows, "d"):
        own = chosen(rows, d=d, length=length, pairs=pairs)
        series.append(line(own, f"d = {d}", lambda row: _argmax_load(row["place"], row["d"]), LINEAR))
        series.append(_theory(own, d, f"theory, d = {d}", partial(_argmax_load, d=d), f"d = {d}"))
    title = f"{LINEAR}, {pairs} pairs, {length} tokens"
    return Panel(title, "load 2 n ln N / d², N words", SHARE, tuple(series), True, y_range=(-0.02, 1.05))


def _argmax_load(n: float, d: int) -> float:
    return 2 * n * log(WORDS) / d**2


def _theory(rows: Rows, d: int, label: str, x: Callable[[float], float], of: str | None = None) -> Theory:
    places = sorted(row["place"] for row in rows)
    y = [bounds.argmax_accuracy(n - 1, round(n / 2), WORDS, d, d) for n in places]
    return Theory(label, [x(n) for n in places], y, of=of, layer=LINEAR)


def _extremes(rows: Rows, layer: str) -> tuple[Row, Row]:
    own = sorted(chosen(rows, layer=layer), key=lambda row: row["length"])
    return own[0], own[-1]


def _by_length(rows: Rows) -> str:
    words = []
    for filler in fillers(rows):
        first, last = _extremes(chosen(rows, filler=filler), LINEAR)
        words.append(
            f"with {filler} filler linear attention answers {first['value']:.2f} at {first['length']} tokens and "
            f"{last['value']:.2f} at {last['length']}"
        )
    count, total, chance = _unequal(chosen(rows, filler="neutral"))
    return (
        f"Length by itself costs nothing: {'; '.join(words)}. With neutral filler {count} of {total} differences "
        f"between two lengths, over all layers, exceed three standard errors ({chance:.1f} by chance)."
    )


def _unequal(rows: Rows) -> tuple[int, int, float]:
    """Accuracies of one layer at two lengths: how many pairs differ, of how many, how many by chance."""
    return apart(pair for layer in AT_EVERY_TOKEN for pair in combinations(chosen(rows, layer=layer), 2))


def _by_load(load: Rows, d: int) -> str:
    linear, delta, aged = (
        chosen(load, d=d, by=by, layer=layer) for by, layer in (("load", LINEAR), ("load", DELTA), ("age", DELTA))
    )
    shares = [
        f"{100 * explained(of, by):.3g} %"
        for of, by in ((linear, "octave"), (linear, "length"), (linear, "pairs"), (delta, "octave"), (aged, "octave"))
    ]
    return (
        f"With random filler the stored bigrams explain {shares[0]} of the variance of linear attention's accuracy at "
        f"d = {d}, length {shares[1]} and the number of pairs {shares[2]}; for the delta rule the load explains "
        f"{shares[3]}, the age of the pair {shares[4]}."
    )
