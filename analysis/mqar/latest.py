"""Keys that are given new values: who answers the last one, and who the mean."""

from collections.abc import Callable

from analysis.mqar.lists import LATEST
from analysis.mqar.memories import DECAY, DELTA, GATED, GATED_DELTA, LINEAR, RIDGE, SOFTMAX
from analysis.mqar.rows import Row, Rows, distinct, line, of_part, where
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
SHARE = "last value scores highest"


def figure(rows: Rows) -> Figure:
    """Three panels: accuracy over values given, accuracy over pairs between, error over pairs between."""
    own = of_part(rows, "reassigned")
    between, j = _middle(own, "between"), max(distinct(own, "assignments"))
    d = own[0]["d"]
    given = where(own, between=between)
    return Figure(
        name="latest",
        finding=_finding(where(own, assignments=j), j, between),
        caption="One key is given j values, each followed by pairs of other keys; it is asked at the end, and every "
        "value of the list is a word. A mean of the j values scores all of them alike: 1/j. Last panel: squared "
        "distance of the output to the last value, which counts what is left of older ones and of other pairs; delta "
        "rules are exact where nothing stands between.",
        panels=(
            Panel(
                f"{between} pairs between",
                "values given to the key, j",
                SHARE,
                (*_lines(given, "assignments"), _tie(distinct(given, "assignments"))),
                True,
                x_ticks=distinct(given, "assignments"),
                y_range=(-0.02, 1.05),
            ),
            Panel(
                f"{j} values",
                "pairs between two values",
                SHARE,
                tuple(_lines(where(own, assignments=j), "between")),
                y_range=(-0.02, 1.05),
            ),
            Panel(
                f"{j} values: error to the last",
                "pairs between two values",
                "squared error (value = 1)",
                tuple(_errors([row for row in where(own, assignments=j) if row["between"]], d)),
                x_log=True,
                y_log=True,
            ),
        ),
        grid=f"d = {d}, 1 to {j} values, 0 to {max(distinct(own, 'between'))} pairs between, {own[0]['trials']} lists, "
        "one question each.",
        interval="95 % Wilson for shares (an exact tie counts as its share); one standard error for errors.",
        theory="1/j is an upper bound for every layer that does not see order (values of one key are exchangeable). "
        "Errors: bounds.reassigned_additive_error and reassigned_delta_error, exact second moments.",
    )


def _middle(rows: Rows, name: str) -> int:
    values = distinct(rows, name)
    return int(values[len(values) // 2])


def _lines(rows: Rows, name: str) -> list[Series]:
    return [line(where(rows, layer=layer), layer, lambda row: row[name]) for layer in LATEST]


def _tie(values: list[int]) -> Theory:
    return Theory("1/j", values, [1 / j for j in values], layer=LINEAR)


def _errors(rows: Rows, d: int) -> list[Series]:
    series: list[Series] = []
    for layer in LATEST:
        own = sorted((row for row in where(rows, layer=layer)), key=lambda row: row["between"])
        x, y, half = ([row[name] for row in own] for name in ("between", "error", "error_se"))
        ends = [[m + side * s for m, s in zip(y, half, strict=True)] for side in (-1, 1)]
        series.append(Measured(layer, x, y, *ends, layer=layer))
        if layer in EXACT_ERROR:
            theory = [EXACT_ERROR[layer](row["assignments"], row["between"], d) for row in own]
            series.append(Theory(f"theory, {layer}", x, theory, of=layer, layer=layer))
    return series


def _finding(rows: Rows, j: int, between: int) -> str:
    found: dict[str, Row] = {row["layer"]: row for row in where(rows, between=between)}
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
    own = sorted(where(rows, layer=layer), key=lambda row: row["between"])
    return f"{layer} {own[0]['value']:.2f} to {own[-1]['value']:.2f}"
