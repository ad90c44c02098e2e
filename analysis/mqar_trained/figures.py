"""The figures: accuracy over width, learning curves, depth against convolution, and what training does to keys."""

from collections.abc import Sequence

from analysis.mqar_trained import cells
from analysis.mqar_trained.findings import convolution_or_depth, learned_keys, second_values, widths
from analysis.mqar_trained.runs import Setting, chance, find
from ttr_numerics.measure import bounds
from ttr_numerics.report import Cloud, Curve, Figure, Measured, Panel, Series, Theory

__all__ = ["figures", "random_keys"]

ACCURACY, RANGE = "share of questions answered", (-0.02, 1.05)
FRESH = f"{cells.TEST} fresh sequences a run"
BARS = "From the lowest to the highest of the repetitions; within one run the 95 % Wilson interval over sequences is "
SIZES = (
    f"{cells.VOCABULARY} words, {cells.LENGTH} tokens with neutral blanks, a list of 8 pairs, model width {cells.WIDTH}"
)


def figures(of: Sequence[Setting]) -> tuple[Figure, ...]:
    """Those for which there are rows."""
    made = (_widths(of), _depth(of), _second_values(of), _keys(of))
    return tuple(figure for figure in made if figure is not None)


def random_keys(d: int) -> float:
    """Argmax recall of linear attention without training: random keys and values of d channels, only pairs stored."""
    return bounds.top1_accuracy(cells.PAIRS[cells.STORED], cells.VOCABULARY, d, d)


def _repetitions(of: Sequence[Setting]) -> str:
    counts = sorted({len(s.rows) for s in of})
    return "–".join(str(n) for n in {counts[0]: 0, counts[-1]: 0}) + " repetitions"


def _interval(of: Sequence[Setting]) -> str:
    widest = max(row["high"] - row["low"] for s in of for row in s.rows)
    return f"{BARS}at most {100 * widest:.1f} points wide."


def _widths(of: Sequence[Setting]) -> Figure | None:
    own = find(of, task=cells.STORED, layers=1, convolution=2)
    if not own:
        return None
    groups = (
        ("additive memories", ("linear attention", "normalised linear attention", "gated linear attention")),
        ("error-correcting memories", ("delta rule", "gated delta rule", "recursive least squares")),
        ("all keys kept", ("softmax attention",)),
    )
    d = sorted({s.d for s in own})
    theory = Theory("random keys, not trained", d, [random_keys(x) for x in d])
    panels = []
    for title, layers in groups:
        lines: list[Series] = [line for layer in layers for line in _over_d(find(own, layer=layer))]
        if lines:
            panels.append(
                Panel(title, "key channels d", ACCURACY, (*lines, theory), x_log=True, x_ticks=d, y_range=RANGE)
            )
    return Figure(
        name="width",
        finding=widths(of, random_keys),
        caption="One layer behind a convolution of width 2, trained; accuracy on fresh sequences against the channels "
        "of a key (and value) of its one head: the memory is d × d, or for softmax all keys.",
        panels=tuple(panels),
        grid=f"{SIZES}; d in {', '.join(map(str, d))}; {_repetitions(own)}, {FRESH}.",
        interval=_interval(own),
        theory="Dashed: linear attention on random unit keys and values of d channels, nothing learned, only the "
        "pairs stored: the independence approximation `top1_accuracy`. It is no bound for trained keys.",
    )


def _over_d(of: Sequence[Setting]) -> list[Measured]:
    return [_accuracies(of, [s.d for s in of], of[0].layer)] if of else []


def _accuracies(of: Sequence[Setting], x: Sequence[int], label: str) -> Measured:
    """Accuracy of each setting, at its x, from the lowest to the highest of its repetitions."""
    y, low, high = zip(*(s.accuracy() for s in of), strict=True)
    return Measured(label, x, y, low, high, layer=of[0].layer)


def _depth(of: Sequence[Setting]) -> Figure | None:
    own = find(of, task=cells.STORED, d=8)
    layers = [s.layer for s in find(own, layers=2, convolution=1)]
    if not layers:
        return None
    panels = []
    for layer in layers:
        lines: list[Series] = []
        for width, label in ((2, "convolution"), (1, "no convolution")):
            line = sorted(find(own, layer=layer, convolution=width), key=lambda s: s.layers)
            lines += [_accuracies(line, [s.layers for s in line], label)] if line else []
        lines.append(Theory("1/n", (1, 2), (chance(cells.STORED),) * 2))
        panels.append(Panel(layer, "layers", ACCURACY, tuple(lines), x_ticks=(1, 2), x_range=(0.8, 2.2), y_range=RANGE))
    shown = [s for s in own if s.layer in layers]
    return Figure(
        name="depth",
        finding=convolution_or_depth(of),
        caption="Accuracy of one and of two layers, each with a convolution of width 2 on queries, keys and values, "
        "or without any.",
        panels=tuple(panels),
        grid=f"{SIZES}; d = 8; {_repetitions(shown)}, {FRESH}.",
        interval=_interval(shown),
        theory="Dashed: 1/n, the share for guessing among the listed values. It bounds one order-blind layer without "
        "a convolution, whose answer depends on which tokens there were alone; not two layers, nor gated ones.",
    )


def _second_values(of: Sequence[Setting]) -> Figure | None:
    own = find(of, task=cells.REASSIGNED)
    if not own:
        return None
    panels = []
    for title, gated in (("without gates", False), ("delta rules and gates", True)):
        lines = [_curve(s) for s in own if ("gated" in s.layer or s.layer == "delta rule") is gated]
        half = Theory("1/2", (0, cells.STEPS), (0.5, 0.5))
        panels.append(Panel(title, "training step", "validation accuracy", (*lines, half), y_range=RANGE))
    d, n = own[0].d, cells.PAIRS[cells.REASSIGNED]
    return Figure(
        name="second_values",
        finding=second_values(of),
        caption=f"Learning curves of one layer behind a convolution where each of {n} keys is given a value and later "
        "another: the last one is the answer.",
        panels=tuple(panels),
        grid=f"{SIZES}; d = {d}; {_repetitions(own)}, {cells.VALIDATION} validation sequences a check.",
        interval="Bands from the lowest to the highest of the repetitions.",
        theory="Dashed: 1/2, for a memory that holds both values of a key and cannot tell which came last.",
    )


def _curve(s: Setting) -> Curve:
    found = s.curve()
    y, low, high = ([getattr(a, name) for a in found.values()] for name in ("value", "low", "high"))
    return Curve(s.layer, list(found), y, low, high)


def _keys(of: Sequence[Setting]) -> Figure | None:
    own = [s for s in find(of, task=cells.STORED, layers=1, convolution=2) if s.spread("before") and s.spread("after")]
    if not own:
        return None
    return Figure(
        name="keys",
        finding=learned_keys(of),
        caption="(Σλ)²/Σλ² of the second moment of the keys under which values of the list are stored, pooled over "
        "test sequences, before and after training; a point a run.",
        panels=tuple(_spreads(find(own, d=d), d) for d in sorted({s.d for s in own})),
        grid=f"{SIZES}; one layer with a convolution; {_repetitions(own)}.",
        interval="None: every run is drawn.",
        theory="Dashed: no change, and d, the most there can be, which isotropic keys have.",
    )


def _spreads(of: Sequence[Setting], d: int) -> Panel:
    """Participation ratio after training against before."""
    ends, span = (1.0, float(d)), (0.8, 1.05 * d)
    points = [Cloud(s.layer, *([r[f"spread_{when}"] for r in s.rows] for when in ("before", "after"))) for s in of]
    lines = (*points, Theory("unchanged", ends, ends), Theory("d", ends, (float(d),) * 2))
    return Panel(f"d = {d}", "before training", "participation ratio of the keys", lines, x_range=span, y_range=span)
