"""Small multiples: the error by age of each family, measured, with its formula drawn over it."""

from collections.abc import Sequence
from typing import Any

from analysis.age.deviations import counted, of_layers, percent
from analysis.rows import Rows
from ttr_numerics.report import Figure, Measured, Panel, Theory

__all__ = ["figures"]

Panels = dict[str, tuple[str, ...]]

ADDITIVE: Panels = {
    "One gate for all channels": ("linear attention", "gated linear attention, scalar"),
    "A gate per channel": ("gated linear attention, per channel", "RWKV-6"),
    "Several heads": ("RetNet, mean of 4 heads",),
    "One number a channel": ("RWKV-4", "RG-LRU", "HGRN"),
    "Divided by a normaliser": ("mLSTM",),
}
ERASING: Panels = {
    "No gate": ("delta rule, β = 1", "delta rule, β = 1/2"),
    "One gate": ("gated delta rule", "Comba", "RWKV-7"),
    "Gates per channel": ("Kimi delta attention", "erase-write delta rule"),
    "Other steps": ("Longhorn", "Longhorn, diagonal", "Kaczmarz delta rule"),
    "Momentum": ("delta rule with momentum", "Titans, linear"),
    "Several tokens, several writes": ("gated delta product", "TTT-Linear", "preconditioned delta rule"),
}
SOLVED: Panels = {
    "Ridge regression that forgets": ("Mesa", "MesaNet, 30 CG steps"),
    "A ridge that follows the memory": ("Mesa, decaying ridge", "Gated KalmaNet"),
    "Robust delta rules": ("Huber delta rule", "entrywise Huber delta rule", "lp delta rule"),
    "Softmax": ("softmax attention", "softmax with a sink"),
    "Softmax that forgets": ("sliding window", "forgetting attention"),
}
WHAT = {
    "additive": (
        "Memories that add",
        "Sums of outer products, exact: a product of gates is the weight of a pair. Divided by a normaliser: an "
        "approximation.",
    ),
    "erasing": (
        "Memories that correct",
        "Second moments that close for isotropic keys, exact; with a preconditioner, whose fluctuation is left out, an "
        "approximation.",
    ),
    "solved": (
        "Memories that solve, clip or average",
        "Ridge and robust rules: the limit d → ∞; softmax: one integral, exact.",
    ),
}


def figures(rows: Rows) -> tuple[Figure, ...]:
    """One figure a family, at the largest dimension measured; none of no rows."""
    if not rows:
        return ()
    d = max(row["d"] for row in rows)
    found = of_layers(rows, d)
    families = zip(WHAT, (ADDITIVE, ERASING, SOLVED), strict=True)
    drawn = [_figure(name, panels, found, d) for name, panels in families]
    return tuple(figure for figure in drawn if figure is not None)


def _figure(name: str, panels: Panels, found: dict[str, list[dict[str, Any]]], d: int) -> Figure | None:
    layers = {title: [layer for layer in wanted if layer in found] for title, wanted in panels.items()}
    shown = tuple(_panel(title, of, found) for title, of in layers.items() if of)
    if not shown:
        return None
    points = [row for of in layers.values() for layer in of for row in found[layer]]
    count, (title, theory) = counted(points), WHAT[name]
    return Figure(
        name,
        shown,
        finding=f"{title}: the worst of {count.points} deviations from theory is {count.worst:.1f} standard errors or "
        f"{percent(count.worst_share)} of the error; beyond three standard errors: {count.beyond}, by chance "
        f"{count.expected:.1f}.",
        caption="Error ‖o - v‖² of a pair asked for with its own key after the last token, over the tokens since it "
        "was written, its own included; values have unit length, so 1 is what no output at all would leave.",
        grid=f"{max(r['age'] for r in points) + 1} tokens, keys and values of {d} channels, "
        f"{points[0]['trials']} sequences.",
        interval="One standard error over sequences.",
        theory=f"{theory} The table names the status of each.",
    )


def _panel(title: str, layers: Sequence[str], found: dict[str, list[dict[str, Any]]]) -> Panel:
    series: list[Measured | Theory] = []
    for layer in layers:
        rows = found[layer]
        since = [row["age"] + 1 for row in rows]
        low, high = ([row[end] for row in rows] for end in ("low", "high"))
        series.append(Measured(layer, since, [row["value"] for row in rows], low, high, layer=layer))
        theory = [row["theory"] for row in rows]
        series.append(Theory(f"{layer}: theory", since, theory, of=layer, layer=layer))
    return Panel(title, "tokens since the pair was written", "error ‖o - v‖²", tuple(series), x_log=True)
