"""Lists shown again and again: how fast the delta rule becomes least squares, and who gains nothing."""

from analysis.mqar.memories import DELTA, GATED_DELTA, LEAST, LINEAR, RIDGE
from analysis.mqar.passes import HALF_STEP, WRITTEN
from analysis.mqar.rows import Row, Rows, chosen, distinct
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory

__all__ = ["REFERENCE", "figure", "reference_table", "standard_errors"]

# n = d/2, d = 64, step 1: values computed beforehand by an independent program, to the digits given.
REFERENCE = ((0.29, 2), (0.12, 2), (0.063, 3), (0.035, 3), (0.022, 3), (0.013, 3), (0.009, 3), (0.006, 3))
REFERENCE_SIZE = (32, 64)
ERROR = "recall error"


def figure(rows: Rows) -> Figure:
    """A panel for each number of pairs, then the distance to least squares over the bound."""
    own, steps = chosen(rows, part="passes"), chosen(rows, part="kaczmarz")
    orders = distinct(steps, "order")
    return Figure(
        name="passes",
        finding=_finding(own, steps),
        caption="Upper panels: mean of ‖o - v‖² over all pairs after each pass, values of norm one, keys in a new "
        "random order every pass; additive layers at the best scale for their list. Lower panels: squared distance of "
        "the delta rule's state from the least-squares solution of least norm, as a share of what it was at the start, "
        "for keys drawn one by one and for shuffled passes.",
        panels=(
            *(_errors(chosen(own, pairs=n), n) for n in distinct(own, "pairs")),
            *(_distances(chosen(steps, order=order), order) for order in orders),
        ),
        grid=f"d = {own[0]['d']}, {own[0]['trials']} lists a point above; below {steps[0]['lists']} lists, each in 64 "
        "random orders.",
        interval="One standard error, over lists.",
        theory="Above: the least-squares residual of these lists. Below: randomised Kaczmarz, (1 - σ_min²/‖K‖²)^k "
        "(Strohmer and Vershynin), proved for drawn keys; for shuffled passes it is only drawn beside.",
    )


def standard_errors(rows: Rows) -> list[tuple[int, float, float, float, float]]:
    """(pass, measured, its standard error, reference, deviation beyond the reference's rounding in standard errors)."""
    n, d = REFERENCE_SIZE
    found = sorted(chosen(chosen(rows, part="passes"), pairs=n, d=d, layer=DELTA), key=lambda row: row["passed"])
    cells = []
    for row, (value, digits) in zip(found, REFERENCE, strict=False):
        error = row["high"] - row["value"]
        off = max(0.0, abs(row["value"] - value) - 0.5 * 10.0**-digits) / error
        cells.append((row["passed"], row["value"], error, value, off))
    return cells


def reference_table(rows: Rows) -> Table:
    """The delta rule's eight passes beside the values computed beforehand."""
    own = chosen(chosen(rows, part="passes"), layer=DELTA)
    trials = own[0]["trials"] if own else 0
    return Table(
        f"Delta rule with step 1, n = 32 pairs, d = 64, random order in each pass, {trials} lists",
        ("pass", "measured", "standard error", "reference", "standard errors apart"),
        standard_errors(rows),
        "Reference: computed beforehand by an independent program and given to two or three decimals, without a "
        "standard error of its own; the distance counts what its rounding does not explain.",
    )


def _errors(rows: Rows, n: int) -> Panel:
    series: list[Series] = []
    for layer in (*WRITTEN, RIDGE):
        own = sorted(chosen(rows, layer=layer), key=lambda row: row["passed"])
        y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
        series.append(Measured(layer, _passes(own), y, low, high, layer=layer))
    floor = [row["value"] for row in chosen(rows, layer=LEAST)]
    if floor and floor[0] > 0.01:
        series.append(Theory("least squares", (1, max(distinct(rows, "passed"))), (floor[0], floor[0])))
    d = rows[0]["d"]
    return Panel(f"{n} pairs, d = {d}", "passes over the list", ERROR, tuple(series), y_log=True)


def _distances(rows: Rows, order: str) -> Panel:
    series: list[Series] = []
    for n in distinct(rows, "pairs"):
        own = sorted(chosen(rows, pairs=n), key=lambda row: row["passed"])
        y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
        series.append(Measured(f"{n} pairs", _passes(own), y, low, high, layer=DELTA))
        bound = [row["bound"] for row in own]
        series.append(Theory(f"bound, {n} pairs", _passes(own), bound, of=f"{n} pairs", layer=DELTA))
    title = "keys drawn independently" if order == "drawn" else "each key once a pass"
    return Panel(f"{DELTA}: {title}", "passes", "‖S - S*‖² / ‖S*‖²", tuple(series), y_log=True)


def _passes(rows: Rows) -> list[int]:
    return [row["passed"] for row in rows]


def _last(rows: Rows, **wanted: object) -> Row:
    return max(chosen(rows, **wanted), key=lambda row: row["passed"])


def _finding(own: Rows, steps: Rows) -> str:
    counts = distinct(own, "pairs")
    few, most, d = counts[len(counts) // 2 - 1] if len(counts) > 1 else counts[0], counts[-1], own[0]["d"]
    first = next(row for row in chosen(own, pairs=few, layer=DELTA) if row["passed"] == 1)
    last, ridge, gated, linear = (_last(own, pairs=few, layer=layer) for layer in (DELTA, RIDGE, GATED_DELTA, LINEAR))
    over = ", ".join(
        f"{_last(own, pairs=most, layer=layer)['value']:.2f} ({layer})" for layer in (DELTA, HALF_STEP, LEAST)
    )
    return (
        f"Repetition turns the delta rule into least squares while a solution exists: with {few} pairs at d = {d} its "
        f"error falls from {first['value']:.3f} to {last['value']:.4f} in {last['passed']} passes (mesa's to "
        f"{ridge['value']:.4f}); a gate stops it at {gated['value']:.3f}, and linear attention gains nothing "
        f"({linear['value']:.3f}). With {most} pairs it ends elsewhere: {over}. {_bound(steps)}"
    )


def _bound(steps: Rows) -> str:
    if not steps:
        return ""
    drawn = chosen(steps, order="drawn") or list(steps)
    n = distinct(drawn, "pairs")[len(distinct(drawn, "pairs")) // 2]
    row = _last(drawn, pairs=n)
    beyond = sum(row["violations"] for row in drawn)
    return (
        f"Against Kaczmarz's bound: {row['value']:.3f} of the distance is left where it allows "
        f"{row['bound']:.3f} ({n} pairs), and of {sum(row['lists'] for row in drawn)} means {beyond} lie three "
        "standard errors above it."
    )
