"""Figure: recall of random pairs over the load of each law, theory over measurement."""

from collections.abc import Callable, Sequence

from analysis.capacity.notions import ARGMAX, BEST_DELTA, DELTA, EXACT, LEAST, LINEAR, LIST, MATRIX, list_length
from analysis.capacity.transitions import Rows, chosen, half, number, values
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory
from ttr_numerics.report.notation import count

__all__ = ["recall_figure"]

Load = Callable[[int, int], float]


def _per_width(n: int, d: int) -> float:
    return n / d


def _per_square(n: int, d: int) -> float:
    return n / d**2


def _argmax_load(n: int, d: int) -> float:
    return float(bounds.argmax_load(n, d))


WIDTH, ARGMAX_LOAD, SQUARE = "n/d", "2 n ln n / d²", "n/d²"
LOAD: dict[str, Load] = {WIDTH: _per_width, ARGMAX_LOAD: _argmax_load, SQUARE: _per_square}
PANELS = (
    (EXACT, LEAST, WIDTH, 0.2, 4.1),
    (ARGMAX, LINEAR, ARGMAX_LOAD, 0.1, 5.0),
    (ARGMAX, LEAST, ARGMAX_LOAD, 0.1, 5.0),
    (ARGMAX, BEST_DELTA, ARGMAX_LOAD, 0.1, 5.0),
    (ARGMAX, DELTA, WIDTH, 0.2, 20.0),
    (LIST, LINEAR, SQUARE, 0.04, 1.0),
)


def recall_figure(rows: Rows) -> Figure:
    """Six panels, a line for each d."""
    own = chosen(rows, part=MATRIX)
    draws = values(own, "trials")
    return Figure(
        name="recall",
        finding=_finding(own),
        caption="Share of pairs recalled against the load n/d, 2 n ln n/d² or n/d², by notion and layer: exactly (to "
        "half the digits of float64), ranked first among all n stored values, or among the best 5 % of them (a whole "
        "number, at least one, hence the steps at few pairs; guessing gives 0.05).",
        panels=tuple(_panel(own, *each) for each in PANELS),
        grid=f"d = d_v from {values(own, 'd')[0]} to {values(own, 'd')[-1]}, n up to {values(own, 'n')[-1]} unit keys "
        f"and unit values in one pass; {draws[0]} to {draws[-1]} draws, of each up to {max(values(own, 'items'))} "
        "random items ranked against all n values.",
        interval="95 % Wilson intervals whose sample size follows the spread over draws (over items where there is one "
        "draw).",
        theory="Exact: n = d, where independent keys end (proved). Argmax and list, linear attention: the independence "
        f"approximation (not a bound); measurement minus it runs, in points of share, {_bias(own)}. Least squares and "
        "the delta rule with its best constant step: the vertical d² = 2 n ln n, proved as an order, conjectured as a "
        "constant for the best memory of any kind (arXiv 2605.05189; a second route in 2605.10795). Delta rule, β = 1: "
        "none.",
    )


def _finding(rows: Rows) -> str:
    d = values(rows, "d")[-1]
    at = {key: half(chosen(rows, d=d, layer=key[1], notion=key[0])) for key in ((a, b) for a, b, *_ in PANELS)}
    exact = [row["n"] for row in chosen(rows, layer=LEAST, notion=EXACT, d=d) if row["value"] == 1.0]
    loads = {layer: at[ARGMAX, layer] for layer in (LINEAR, LEAST, BEST_DELTA)}
    said = ", ".join(f"{_load(n, d)} by {layer}" for layer, n in loads.items())
    delta, listed = at[ARGMAX, DELTA], at[LIST, LINEAR]
    return (
        f"At d = {d} least squares gives back {max(exact, default=0)} values themselves; half of the pairs still rank "
        f"first at a load 2 n ln n/d² of {said}; the delta rule with β = 1 forgets and is at one half at n = "
        f"{'none' if delta is None else number(delta / d)} d; half are in the best 5 % at n = "
        f"{'none' if listed is None else number(listed / d**2)} d²."
    )


def _load(n: float | None, d: int) -> str:
    return "none" if n is None else number(float(bounds.argmax_load(round(n), d)))


def _panel(rows: Rows, notion: str, layer: str, load: str, least: float, most: float) -> Panel:
    lines: list[Series] = []
    for d in values(chosen(rows, layer=layer, notion=notion), "d"):
        own = [row for row in chosen(rows, layer=layer, notion=notion, d=d) if least <= LOAD[load](row["n"], d) <= most]
        x = [LOAD[load](row["n"], d) for row in own]
        y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
        lines.append(Measured(f"d = {d}", x, y, low, high, layer=layer))
        if layer == LINEAR:
            predicted = [_predicted(row["n"], d, notion) for row in own]
            lines.append(Theory(f"theory, d = {d}", x, predicted, of=f"d = {d}", layer=layer))
    law = {WIDTH: "n = d", ARGMAX_LOAD: "d² = 2 n ln n", SQUARE: ""}[load]
    if law and layer not in (LINEAR, DELTA):
        lines.append(Theory(law, (1.0, 1.0), (0.0, 1.0)))
    word = {EXACT: "recalled exactly", ARGMAX: "ranked first", LIST: "in the best 5 %"}[notion]
    return Panel(f"{layer}: {word}", load, f"share of pairs {word}", _ordered(lines), x_log=True, y_range=(-0.02, 1.05))


def _ordered(lines: Sequence[Series]) -> tuple[Series, ...]:
    return tuple(sorted(lines, key=lambda series: isinstance(series, Theory)))


def _predicted(n: int, d: int, notion: str) -> float:
    return bounds.list_recall_probability(n, 1 if notion == ARGMAX else list_length(n), d, d)


def _bias(rows: Rows) -> str:
    """From how far below the approximation to how far above it measurement lies, in points of share, for each d."""
    gaps = {
        d: [
            100 * (row["value"] - _predicted(row["n"], d, notion))
            for notion in (ARGMAX, LIST)
            for row in chosen(rows, layer=LINEAR, notion=notion, d=d)
        ]
        for d in values(chosen(rows, layer=LINEAR), "d")
    }
    ends = ((d, *(count(round(end)) for end in (min(gap), max(gap)))) for d, gap in gaps.items())
    return ", ".join(f"{low} to {high} (d = {d})" for d, low, high in ends)
