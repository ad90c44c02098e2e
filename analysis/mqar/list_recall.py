"""The outside check: one convolution and one layer on ids must recall as the list of their bigrams does."""

from collections.abc import Sequence

from analysis.mqar.latest import TIED
from analysis.mqar.lists import ONCE, WORDS
from analysis.mqar.memories import DELTA, LINEAR, RIDGE
from analysis.mqar.rows import Row, Rows, apart, chosen, distinct, line
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["deviations", "figure", "matched"]

WIDTHS = (16, 32, 64)  # drawn; the table of sizes has the others
SHARE = "share of questions answered"


def figure(rows: Rows) -> Figure:
    """Four panels: three layers over what is stored, as lists and as ids; all layers at one width."""
    lists, tokens = chosen(rows, part="list"), _tokens(rows)
    widths = [d for d in distinct(lists, "d") if d in WIDTHS] or distinct(lists, "d")
    d = widths[-1]
    count, total, expected = matched(rows)
    worst, old = (deviations(lists, name) for name in ("argmax_accuracy", "top1_accuracy"))
    return Figure(
        name="list",
        finding="One short convolution and one layer on ids recall what the list of their bigrams does: of "
        f"{total} accuracies of layers without order, at an equal number of stored associations, {count} differ by "
        f"more than three standard errors ({expected:.1f} would by chance). The formula bounds.argmax_accuracy is "
        f"within {100 * worst:.0f} points of linear attention everywhere; the cruder bounds.top1_accuracy, whose "
        f"rivals are independent outright, is up to {100 * old:.0f} off.",
        caption=f'{SHARE.capitalize()}, among {WORDS} values. "d = ...": pairs as single tokens, key and value side '
        'by side, no convolution. "ids": sequences with neutral filler and a convolution, whose pairs p make 2p '
        "bigrams; of these only the bigrams of the list are asked for, never the newest, which costs the delta rule "
        "a little. Nothing is trained.",
        panels=(
            *(_panel(lists, tokens, layer, widths) for layer in (LINEAR, DELTA, RIDGE)),
            Panel(
                f"every layer, d = {d}, pairs as single tokens",
                "associations stored",
                SHARE,
                tuple(line(chosen(lists, d=d, layer=layer), layer, _pairs) for layer in ONCE),
                True,
                y_range=(-0.02, 1.05),
            ),
        ),
        grid=f"{lists[0]['pairs']} to {max(distinct(lists, 'pairs'))} pairs, d = d_v, 12 to 48 lists a point, one draw "
        "of the embedding a point.",
        interval="95 % Wilson over lists, whose sample size follows their spread.",
        theory="bounds.argmax_accuracy: an approximation, Gaussian noise and rivals independent given the output, no "
        "fitted constant.",
    )


def matched(rows: Rows) -> tuple[int, int, float]:
    """Ids against lists at equal stored associations: how many differ, of how many, how many by chance.

    Of layers to which order does not matter: ages and gates see that a question stands later on ids.
    """
    lists = chosen(rows, part="list")
    return apart(
        (token, listed)
        for token in _tokens(rows)
        if token["layer"] in TIED
        for listed in chosen(lists, d=token["d"], pairs=2 * token["pairs"], layer=token["layer"])
    )


def deviations(lists: Rows, name: str) -> float:
    """The largest distance of linear attention's accuracies from a formula."""
    return max(abs(row["value"] - _predicted(row["pairs"], row["d"], name)) for row in chosen(lists, layer=LINEAR))


def _predicted(n: int, d: int, name: str) -> float:
    if name == "top1_accuracy":
        return bounds.top1_accuracy(n, WORDS, d, d)
    return bounds.argmax_accuracy(n - 1, n - 1, WORDS, d, d)


def _tokens(rows: Rows) -> list[Row]:
    return chosen(chosen(rows, part="sizes"), filler="neutral", convolution="keys shifted", length=256)


def _pairs(row: Row) -> float:
    return float(row["pairs"])


def _panel(lists: Rows, tokens: Rows, layer: str, widths: Sequence[int]) -> Panel:
    series: list[Series] = []
    for d in widths:
        own = chosen(lists, d=d, layer=layer)
        series.append(line(own, f"d = {d}", _pairs, layer))
        if layer == LINEAR:
            n = sorted(row["pairs"] for row in own)
            y = [_predicted(m, d, "argmax_accuracy") for m in n]
            series.append(Theory(f"theory, d = {d}", n, y, of=f"d = {d}", layer=layer))
        series.append(line(chosen(tokens, d=d, layer=layer), f"ids, d = {d}", lambda row: row["stored"], layer))
    return Panel(layer, "associations stored", SHARE, tuple(series), True, y_range=(-0.02, 1.05))
