"""Figures of random keys: error over the spread of norms, and recall of unit keys over gain."""

from analysis.qk_norm.gain import ERROR
from analysis.qk_norm.readings import DIVIDED, PARTNER, QK_NORM, SOFTMAX
from analysis.qk_norm.spread import KEPT, RECALL
from analysis.rows import Rows, chosen, values
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory
from ttr_numerics.report.notation import count, number

__all__ = ["gain_answer", "gain_figure", "spread_answer", "spread_figure"]

DRAWN = tuple(name for name in KEPT if name != PARTNER)
AT = 0.5  # the spread of which the findings speak


def spread_answer(rows: Rows) -> str:
    """What norms cost recall, and how much of it dividing the weights out would give back."""
    own = chosen(rows, part="spread", task=RECALL)
    spread = min(values(own, "spread"), key=lambda x: abs(x - AT))
    words = []
    for gain in values(own, "gain"):
        at = {row["reading"]: row["value"] for row in chosen(own, spread=spread, gain=gain)}
        back = (at[SOFTMAX] - at[DIVIDED]) / (at[SOFTMAX] - at[QK_NORM])
        words.append(
            f"from {number(at[QK_NORM])} to {number(at[SOFTMAX])} at gain {gain:g}, of which dividing the weights out "
            f"gives back {count(round(100 * back))} %"
        )
    return (
        f"A spread of {spread:g} in ln‖k‖ raises the recall error of softmax {', and '.join(words)}: the weights are "
        "the whole difference to Nadaraya-Watson on the same keys, not to unit keys, for short keys also lie close "
        "together."
    )


def spread_figure(rows: Rows) -> Figure:
    """Recall and regression error against the spread of ln‖k‖, and what the weights amount to."""
    own = chosen(rows, part="spread")
    kinds = list(dict.fromkeys((row["task"], row["gain"]) for row in own))
    size = {task: next(row for row in own if row["task"] == task) for task in values(own, "task")}
    grids = "; ".join(f"{task}: n = {row['n']}, d = {row['d']}" for task, row in size.items())
    last = max(own, key=lambda row: (row["task"] == RECALL, row["spread"], row["gain"]))
    return Figure(
        name="spread",
        finding=f"{spread_answer(rows)} At a spread of {last['spread']:g} and gain {last['gain']:g} the weights are "
        f"worth {number(last['size'] * last['n'])} of {last['n']} equal ones, the longest tenth of the keys gets "
        f"{100 * last['captured']:.0f} % of the attention, and {100 * last['taken']:.0f} % of the keys have a larger "
        "inner product with another key than with themselves, which no gain undoes.",
        caption="Σ‖o - v‖²/Σ‖v‖² against the standard deviation of ln‖k‖, E‖k‖² = 1. Recall: each key asks for its "
        "own unit value. Regression: values are a rotation of k/‖k‖ and noise 0.1, fresh queries of the same law ask. "
        "QK-norm: queries and keys scaled to unit norm. Last panel: (Σγ)²/Σγ² over n, the effective sample size of "
        "the weights, and the attention that the longest tenth of the keys gets.",
        grid=f"{grids}; {own[0]['trials']} draws of keys with log-normal norms and isotropic directions.",
        interval="One standard error over draws.",
        theory="None is needed: softmax and its exact partner, Nadaraya-Watson with these weights, agree in every row "
        "to rounding (table), so that only one of them is drawn.",
        panels=(*(_errors(own, task, gain) for task, gain in kinds), _weights(own)),
    )


def gain_answer(rows: Rows) -> str:
    """What gain unit keys need, one sentence."""
    needed = chosen(rows, part="needed")
    cells = chosen(rows, part="gain")
    mild = [row for row in cells if "attention" in row]
    broken = sum(row["violated"] for row in cells) + sum(row["violated"] for row in needed)
    worst = min(mild, key=lambda row: row["n"])
    return (
        f"Unit keys at a gain of 1/√d recall next to nothing: of {worst['n']} keys, d = {worst['d']}, none gives "
        f"itself more than {100 * worst['attention']:.1f} % of its attention, where equal shares are "
        f"{100 / worst['n']:.1f} %. All are recalled to {ERROR:g} from {number(min(row['value'] for row in needed))} "
        f"to {number(max(row['value'] for row in needed))} of the gain ln(2(n-1)/ε)/Δ on (means by n and d), which "
        f"always suffices ({broken} violations)."
    )


def gain_figure(rows: Rows) -> Figure:
    """Recall over gain, and the gain needed against the one that suffices."""
    own = chosen(rows, part="gain")
    needed = chosen(rows, part="needed")
    d, draws = own[0]["d"], [*(row["trials"] for row in own), *(row["draws"] for row in needed)]
    return Figure(
        name="gain",
        finding=gain_answer(rows),
        caption=f"First panel: mean squared recall error of unit keys and unit values against the gain β, d = {d}; the "
        f"first point is 1/√d. Second: the least gain with every pair within ε = {ERROR:g} of its value, against "
        "ln(2(n-1)/ε)/Δ, Δ = 1 - max k_i·k_j the smallest gap of all pairs.",
        grid=f"{min(draws)} to {max(draws)} draws a point, fewer for more keys; bisection in each draw.",
        interval="First panel: one standard error over draws. Second: none, means over draws.",
        theory="Dashed: 1 - 1/n, what equal attention leaves; and y = x, which by the bound 2(n-1)exp(-βΔ) ≥ ‖o - v‖ "
        "no draw can exceed.",
        panels=(_over_gain(own), _needed(needed)),
    )


def _errors(own: Rows, task: str, gain: float) -> Panel:
    series: list[Series] = []
    for name in DRAWN:
        line = sorted(chosen(own, task=task, gain=gain, reading=name), key=lambda row: row["spread"])
        x, y, low, high = ([row[field] for row in line] for field in ("spread", "value", "low", "high"))
        series.append(Measured(name, x, y, low, high))
    title = f"{task[0].upper()}{task[1:]}, gain {gain:g}"
    return Panel(title, "spread of ln‖k‖", "relative squared error", tuple(series), y_log=True)


def _weights(own: Rows) -> Panel:
    series: list[Series] = []
    for gain in values(chosen(own, task=RECALL), "gain"):
        line = chosen(own, task=RECALL, gain=gain, reading=SOFTMAX)
        line.sort(key=lambda row: row["spread"])
        x = [row["spread"] for row in line]
        series.append(Measured(f"sample size, gain {gain:g}", x, [row["size"] for row in line], layer=SOFTMAX))
        series.append(Measured(f"longest tenth, gain {gain:g}", x, [row["captured"] for row in line], layer=SOFTMAX))
    return Panel("What the weights amount to", "spread of ln‖k‖", "share", tuple(series), y_range=(0.0, 1.05))


def _over_gain(own: Rows) -> Panel:
    series: list[Series] = []
    for n in values(own, "n"):
        line = sorted(chosen(own, n=n), key=lambda row: row["gain"])
        line = [row for row in line if row["value"] > 1e-12]
        x, y, low, high = ([row[field] for row in line] for field in ("gain", "value", "low", "high"))
        series.append(Measured(f"n = {n}", x, y, low, high, layer=QK_NORM))
        series.append(Theory(f"1 - 1/n, n = {n}", [min(x), 1.0], [1 - 1 / n] * 2, of=f"n = {n}"))
    return Panel("Recall of unit keys", "gain β", "mean squared error", tuple(series), x_log=True, y_log=True)


def _needed(needed: Rows) -> Panel:
    series: list[Series] = []
    for d in values(needed, "d"):
        line = sorted(chosen(needed, d=d), key=lambda row: row["n"])
        x, y = ([row[field] for row in line] for field in ("sufficient", "needed"))
        series.append(Measured(f"d = {d}", x, y, layer=QK_NORM))
    ends = [min(row["needed"] for row in needed), max(row["sufficient"] for row in needed)]
    series.append(Theory("y = x", ends, ends))
    return Panel("Gain that recalls all pairs", "ln(2(n-1)/ε)/Δ", "least gain", tuple(series), x_log=True, y_log=True)
