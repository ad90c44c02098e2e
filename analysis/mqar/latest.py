"""Keys that are given new values: who answers the last one, and who the mean."""

from collections.abc import Callable

from analysis.mqar.lists import LATEST
from analysis.mqar.memories import DECAY, DELTA, GATED, GATED_DELTA, LINEAR, RIDGE, SOFTMAX
from analysis.mqar.rows import Row, Rows, chosen, distinct, line
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["EXACT_ERROR", "TIED", "figure"]

TIED = (LINEAR, RIDGE, SOFTMAX)  # the order of the list does not matter to them
EXACT_ERROR: dict[str, Callable[[int, int, int], float]] = {
    LINEAR: lambda j, b, d: bounds.reassigned_additive_error(j, b, d),
    GATED: lambda j, b, d: bounds.reassigned_additive_error(j, b, d, DECAY),
    DELTA: lambda j, b, d: bounds.reassigned_delta_error(j, b, d),
    GATED_DELTA: lambda j, b, d: bounds.reassigned_delta_error(j, b, d, 1.0, DECAY),
}
SHARE, BETWEEN = "share: last value scores highest", "pairs between two values"


def figure(rows: Rows) -> Figure:
    """Three panels: accuracy over values given, accuracy over pairs between, error over pairs between."""
    own = chosen(rows, part="reassigned")
    between, j = _middle(own, "between"), max(distinct(own, "assignments"))
    return Figure(
        name="latest",
        finding=_finding(chosen(own, assignments=j), j, between),
        caption="One key is given j values, each followed by pairs of other keys; it is asked at the end, and every "
        "value of the list is a word. A mean of the j values scores all of them alike: 1/j. Last panel: squared "
        "distance of the output to the last value, which counts what is left of older ones and of other pairs; delta "
        "rules are exact where nothing stands between.",
        panels=(
            _over_values(chosen(own, between=between), between),
            _over_pairs(chosen(own, assignments=j), j),
            _errors([row for row in chosen(own, assignments=j) if row["between"]], j),
        ),
        grid=f"d = {own[0]['d']}, 1 to {j} values, 0 to {max(distinct(own, 'between'))} pairs between, "
        f"{own[0]['trials']} lists, one question each.",
        interval="95 % Wilson for shares (an exact tie counts as its share); one standard error for errors.",
        theory="1/j is an upper bound for every layer that does not see order (values of one key are exchangeable). "
        "Errors: bounds.reassigned_additive_error and reassigned_delta_error, exact second moments.",
    )


def _middle(rows: Rows, name: str) -> int:
    found = distinct(rows, name)
    return int(found[len(found) // 2])


def _lines(rows: Rows, name: str) -> list[Series]:
    return [line(chosen(rows, layer=layer), layer, lambda row: row[name]) for layer in LATEST]


def _over_values(rows: Rows, between: int) -> Panel:
    given = distinct(rows, "assignments")
    tie = Theory("1/j", given, [1 / j for j in given], layer=LINEAR)
    lines = (*_lines(rows, "assignments"), tie)
    title, label = f"{between} pairs between", "values given to the key, j"
    return Panel(title, label, SHARE, lines, True, x_ticks=given, y_range=(-0.02, 1.05))


def _over_pairs(rows: Rows, j: int) -> Panel:
    return Panel(f"{j} values", BETWEEN, SHARE, tuple(_lines(rows, "between")), y_range=(-0.02, 1.05))


def _errors(rows: Rows, j: int) -> Panel:
    """Measured and exact, where something stands between."""
    series: list[Series] = []
    for layer in LATEST:
        own = sorted(chosen(rows, layer=layer), key=lambda row: row["between"])
        x, y, half = ([row[name] for row in own] for name in ("between", "error", "error_se"))
        ends = [[m + side * s for m, s in zip(y, half, strict=True)] for side in (-1, 1)]
        series.append(Measured(layer, x, y, *ends, layer=layer))
        if layer in EXACT_ERROR:
            theory = [EXACT_ERROR[layer](j, row["between"], row["d"]) for row in own]
            series.append(Theory(f"theory, {layer}", x, theory, of=layer, layer=layer))
    title = f"{j} values: error to the last"
    return Panel(title, BETWEEN, "squared error (value = 1)", tuple(series), x_log=True, y_log=True)


def _finding(rows: Rows, j: int, between: int) -> str:
    found: dict[str, Row] = {row["layer"]: row for row in chosen(rows, between=between)}
    tied = ", ".join(f"{found[layer]['value']:.2f} ({layer})" for layer in TIED)
    others = ", ".join(f"{found[layer]['value']:.2f} ({layer})" for layer in LATEST if layer not in TIED)
    return (
        f"A key that was given {j} values, {between} pairs apart: layers that add up or average answer all values "
        f"alike, and exact regression is no better, since the mean is what fits contradictory values best: last value "
        f"first in {tied}, 1/j = {1 / j:.3f}. What overwrites or forgets answers the last: {others}. How far apart "
        f"decides: from {min(distinct(rows, 'between'))} to {max(distinct(rows, 'between'))} pairs between, "
        f"{_by_distance(rows, DELTA)}, "
        f"{_by_distance(rows, GATED_DELTA)} and {_by_distance(rows, GATED)}."
    )


def _by_distance(rows: Rows, layer: str) -> str:
    own = sorted(chosen(rows, layer=layer), key=lambda row: row["between"])
    return f"{layer} {own[0]['value']:.2f} to {own[-1]['value']:.2f}"
