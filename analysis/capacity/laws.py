"""Figure: the number of pairs at one half against d, for each notion, over the laws d, d²/(2 ln n) and d²."""

import math
from collections.abc import Callable

import numpy as np

from analysis.capacity.notions import (
    ALL,
    ARGMAX,
    BEST_DELTA,
    DELTA,
    EVERY,
    EXACT,
    GATED,
    GATED_DELTA,
    LEAST,
    LINEAR,
    LIST,
    LIST_SHARE,
    LOG_DECAY,
    MATRIX,
    MESA,
)
from analysis.capacity.transitions import Rows, chosen, halves, number, values, with_interval
from ttr_numerics.measure import bounds, power_law
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["at_half", "laws_figure"]

# How fast a pair fades and how large the noise of a score is, by d.
FORGETTING: dict[str, Callable[[int], tuple[float, float]]] = {
    DELTA: lambda d: (1 / d, 1 / d),
    GATED: lambda d: (-LOG_DECAY, 1 / (-math.expm1(2 * LOG_DECAY) * d * d)),
}
RANKED = (LINEAR, LEAST, MESA, BEST_DELTA, DELTA, GATED, GATED_DELTA)


def laws_figure(rows: Rows) -> Figure:
    """Four panels: where argmax ends, where the others end, the load there, and all pairs at once."""
    draws = values(chosen(rows, part=EVERY), "trials") or [0]
    return Figure(
        name="laws",
        finding=_finding(rows),
        caption="Number of pairs n at which half are recalled, by notion and layer, against d (first two panels; exact "
        "recall: the last n measured with all pairs exact); the load 2 n ln n/d² there; and the share of draws in "
        "which all n pairs rank first.",
        panels=(_argmax_panel(rows), _other_panel(rows), _load_panel(rows), _all_panel(rows)),
        grid=f"As above; the last panel ranks all n pairs in {draws[0]} to {draws[-1]} draws, fewest at the largest d.",
        interval="First three panels: none, the points are read off fitted transitions; the intervals of the "
        "fitted constants are in the table. Last panel: 95 % Wilson intervals over draws.",
        theory="n = d is proved; d² for a short list and d²/(2 ln n) for the first rank are proved as orders (arXiv "
        "2605.05189), the constant ½ conjectured; d²/1.645² at finite d and the load are where the independence "
        "approximation is one half. Its load tends to 1, but only like ln ln n/(2 ln n). All pairs: "
        "exp(-expected misses), a heuristic. Forgetting: n = ln(1/(2σ² ln n))/r, a heuristic, drawn where the memory "
        "has forgotten its beginning.",
    )


def at_half(rows: Rows, layer: str, notion: str) -> tuple[np.ndarray, np.ndarray]:
    """d, and the n at which half of the pairs are recalled (exactly: the last n with all of them)."""
    own = chosen(rows, part=EVERY if notion == ALL else MATRIX, layer=layer, notion=notion)
    if notion != EXACT:
        return halves(own)
    last = {d: max((row["n"] for row in chosen(own, d=d) if row["value"] == 1.0), default=0) for d in values(own, "d")}
    kept = [(d, n) for d, n in last.items() if n]
    return np.array([d for d, _ in kept], dtype=float), np.array([n for _, n in kept], dtype=float)


def _finding(rows: Rows) -> str:
    fitted = {layer: at_half(rows, layer, ARGMAX) for layer in RANKED}
    said = ", ".join(
        f"{with_interval(power_law(d, n).exponent)} for {layer}" for layer, (d, n) in fitted.items() if len(d) > 1
    )
    d, n = at_half(rows, LINEAR, LIST)
    listed = with_interval(power_law(d, n).exponent) if len(d) > 1 else "none"
    d, n = at_half(rows, LINEAR, ARGMAX)
    load = 2 * n * np.log(n) / d**2
    ends = f"{number(min(load))} and {number(max(load))}" if len(d) else "none"
    return (
        f"As powers of d, with 95 % intervals, the pairs at one half by argmax grow with exponent {said}; by list with "
        f"{listed} for linear attention. Linear attention keeps to d² = 2 n ln n: its load at one half lies between "
        f"{ends} at all widths."
    )


def _measured(label: str, x: np.ndarray, y: np.ndarray, layer: str) -> Measured:
    return Measured(label, x.tolist(), y.tolist(), layer=layer)


def _argmax_panel(rows: Rows) -> Panel:
    lines: list[Series] = [_measured(layer, *at_half(rows, layer, ARGMAX), layer) for layer in RANKED]
    d = values(chosen(rows, part=MATRIX), "d")
    lines.append(Theory("d² = 2 n ln n", d, [bounds.argmax_capacity(x) for x in d]))
    for layer, law in FORGETTING.items():
        wide = [x for x in d if law(x)[0] * bounds.forgetting_half(*law(x)) > 2]
        label = f"forgetting, {'β = 1' if layer == DELTA else 'γ'}"
        lines.append(Theory(label, wide, [bounds.forgetting_half(*law(x)) for x in wide], of=layer))
    return Panel("Half of the pairs rank first", "d", "pairs n", tuple(lines), x_log=True, y_log=True, x_ticks=d)


def _other_panel(rows: Rows) -> Panel:
    shown = (("exact", LEAST, EXACT), ("all first", LINEAR, ALL), ("best 5 %", LINEAR, LIST))
    lines: list[Series] = [
        _measured(f"{word}, {layer}", *at_half(rows, layer, notion), layer) for word, layer, notion in shown
    ]
    d = values(chosen(rows, part=MATRIX), "d")
    lines.append(Theory("d", d, d, of=lines[0].label))
    lines.append(Theory("d² = 8 n ln n", d, [bounds.argmax_capacity(x / 2) for x in d], of=lines[1].label))
    share = [bounds.half_recalled(x, LIST_SHARE) for x in d]
    lines.append(Theory("d²/1.645², finite d", d, share, of=lines[2].label))
    return Panel("The other notions", "d", "pairs n", tuple(lines), x_log=True, y_log=True, x_ticks=d)


def _load_panel(rows: Rows) -> Panel:
    lines: list[Series] = []
    for layer in (LINEAR, LEAST, BEST_DELTA):
        d, n = at_half(rows, layer, ARGMAX)
        lines.append(_measured(layer, d, 2 * n * np.log(n) / d**2, layer))
    ds = values(chosen(rows, part=MATRIX), "d")
    n = np.array([bounds.half_recalled(d) for d in ds])
    approximate = (2 * n * np.log(n) / np.square(ds)).tolist()
    lines.append(Theory("independence approximation", ds, approximate, of=LINEAR))
    lines.append(Theory("1, conjectured for d → ∞", ds, [1.0] * len(ds)))
    return Panel("The load at one half", "d", "2 n ln n / d²", tuple(lines), x_log=True, x_ticks=ds)


def _all_panel(rows: Rows) -> Panel:
    lines: list[Series] = []
    theory: list[Series] = []
    own = chosen(rows, part=EVERY, layer=LINEAR)
    for d in values(own, "d"):
        of_d = chosen(own, d=d)
        x = [4 * float(bounds.argmax_load(row["n"], d)) for row in of_d]
        y, low, high = ([row[name] for row in of_d] for name in ("value", "low", "high"))
        lines.append(Measured(f"d = {d}", x, y, low, high, layer=LINEAR))
        predicted = [bounds.all_recalled_probability(row["n"], d) for row in of_d]
        theory.append(Theory(f"heuristic, d = {d}", x, predicted, of=f"d = {d}", layer=LINEAR))
    return Panel(
        "All n pairs rank first, linear attention",
        "8 n ln n / d²",
        "share of draws",
        (*lines, *theory),
        x_log=True,
        y_range=(-0.02, 1.05),
    )
