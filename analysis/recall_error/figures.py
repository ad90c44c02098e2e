"""Figures: errors on random keys with their formulas, on stored keys, and distances to the exact solutions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.recall_error.measured import DIMENSION, DISTANCE, RANDOM
from analysis.recall_error.readings import (
    DELTA,
    DELTA_BEST,
    FORMULA,
    FORMULA_NAME,
    GATED_DELTA,
    GLA,
    GLA_SCALED,
    LA,
    LA_SCALED,
    LS,
    MESA,
    SOFTMAX,
)
from analysis.recall_error.rows import Rows, by_metric, line, most_pairs, recall, row_of
from analysis.sources import quantised
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory
from ttr_numerics.report.notation import number

__all__ = ["distance_figure", "random_figure", "real_figure"]

GROUPS = (
    ("Additive layers and softmax", (LA, LA_SCALED, GLA, SOFTMAX, LS)),
    ("Error-correcting and ridge layers", (DELTA, DELTA_BEST, GATED_DELTA, MESA, LS)),
)


def random_figure(rows: Rows) -> Figure:
    """Errors on random keys, formulas over them."""
    loads = sorted({row["n"] / row["d"] for row in rows if row["source"] == RANDOM})
    trials = row_of(rows, RANDOM, LS, round(loads[-1] * DIMENSION))["trials"]
    return Figure(
        name="random",
        finding=_random_finding(rows, loads[-1]),
        caption=f"Squared recall error relative to the values against load, d = {DIMENSION}. The gate keeps 63/64 a "
        "token. The Mesa layer and softmax have no formula here. The scale 0 to 2 cuts linear attention's last point, "
        "which is in the table.",
        grid=f"n/d from {loads[0]:g} to {loads[-1]:g}, d = {DIMENSION}; {trials} draws a point.",
        interval="Mean and one standard error over draws (mostly smaller than the markers).",
        theory="Dashed: (n-1)/d, (n-1)/(n-1+d), the age sum for the gate, the delta rule's second-moment recursion, "
        "and 1-d/n: exact means for isotropic unit keys and independent unit values, (n-1)/(n-1+d) for one scale of "
        "all draws, below which a scale fitted to each draw can fall.",
        panels=tuple(_random_panel(rows, title, group, loads) for title, group in GROUPS),
    )


def _random_finding(rows: Rows, load: float) -> str:
    n, d = round(load * DIMENSION), DIMENSION
    delta, scaled, least = (row_of(rows, RANDOM, layer, n)["value"] for layer in (DELTA_BEST, LA_SCALED, LS))
    checked = [row for row in recall(rows, RANDOM) if row["layer"] in FORMULA and row["layer"] != LS]
    gaps = [(row["value"] - FORMULA[row["layer"]](row["n"], d)) / (row["high"] - row["value"]) for row in checked]
    return (
        f"On random keys theory and measurement agree: all {len(gaps)} errors lie within "
        f"{max(map(abs, gaps)):.1f} standard errors of their formula. With {load:g} pairs a dimension, the delta rule "
        f"with its best constant step leaves {delta:.2f} of the values unexplained, linear attention with one output "
        f"scale {scaled:.2f}, least squares {least:.2f}."
    )


def _random_panel(rows: Rows, title: str, group: Sequence[str], loads: Sequence[float]) -> Panel:
    return Panel(
        title,
        "load n/d (pairs per key dimension)",
        "relative squared error",
        (*(line(rows, RANDOM, layer) for layer in group), *_theories(group, loads)),
        x_log=True,
        x_ticks=loads,
        y_range=(0.0, 2.0),
    )


def _theories(group: Sequence[str], loads: Sequence[float]) -> list[Series]:
    counts = np.unique(np.round(np.geomspace(loads[0], loads[-1], 33) * DIMENSION).astype(int)).tolist()
    x = [n / DIMENSION for n in counts]
    known = [layer for layer in group if layer in FORMULA]
    return [Theory(FORMULA_NAME[layer], x, [FORMULA[layer](n, DIMENSION) for n in counts], of=layer) for layer in known]


def real_figure(rows: Rows, real: list[str]) -> Figure:
    """Errors on stored keys."""
    shown = (LA_SCALED, DELTA, DELTA_BEST, GATED_DELTA, SOFTMAX, MESA, LS)
    n, source = most_pairs(rows, real[0]), real[0]
    d = row_of(rows, source, LS, n)["d"]
    counts = {name: next(row["trials"] for row in recall(rows, name)) for name in real}
    heads = ", ".join(f"{name} {count}" for name, count in counts.items())
    least, raw = row_of(rows, source, LS, n)["value"], row_of(rows, source, LA, n)["value"]
    return Figure(
        name="real",
        finding=f"On {source}, {n} pairs, least squares leaves {least:.2f} where random pairs would leave "
        f"{bounds.least_squares_floor(n, d):.2f} of the squared values: these values depend on their keys. Linear "
        f"attention without an output scale errs by {number(raw)} times the squared values, where random keys would "
        f"make it {number(bounds.linear_attention_error(n, d))}: keys that point the same way add up.",
        caption="Squared recall error relative to the values against load: the first n stored tokens. Linear "
        f"attention is shown with its best output scale for each head.{quantised(rows)}",
        grid=f"Up to {max(most_pairs(rows, name) for name in real)} tokens; heads: {heads}.",
        interval="Mean and one standard error over heads.",
        theory="None drawn: the formulas hold for isotropic keys and values that do not depend on them; the finding "
        "says how far these are from them.",
        panels=tuple(
            Panel(
                name,
                "load n/d (pairs per key dimension)",
                "relative squared error",
                tuple(line(rows, name, layer) for layer in shown),
                x_log=True,
                x_ticks=sorted({row["n"] / row["d"] for row in rows if row["source"] == name}),
                y_range=(0.0, 1.1),
            )
            for name in real
        ),
    )


def distance_figure(rows: Rows, sources: list[str]) -> Figure:
    """Distances to the exact solutions of the layers' own problems."""
    approximate = (LA_SCALED, GLA_SCALED, DELTA, DELTA_BEST, GATED_DELTA)
    exactly = [row["largest"] for row in by_metric(rows, DISTANCE) if row["layer"] in (MESA, SOFTMAX)]
    others = [row["smallest"] for row in by_metric(rows, DISTANCE) if row["layer"] in approximate]
    panels = [(source, [line(rows, source, layer, DISTANCE) for layer in approximate], False) for source in sources[:2]]
    for layer in (MESA, SOFTMAX):
        lines = [replace(line(rows, source, layer, DISTANCE), label=source) for source in sources]
        panels.append((layer, lines, True))
    return Figure(
        name="distance",
        finding="Two layers are their regression, the others are not: the Mesa layer and softmax attention stay "
        f"within {number(max(exactly))} of the exact ridge and kernel solutions, which is rounding; no other layer "
        f"comes closer to its own than {number(min(others))}.",
        caption="Squared distance of the outputs from the exact solution of the layer's own problem, relative to the "
        "squared values. Targets: least squares for linear attention and the delta rule, least squares weighted by the "
        f"gate for gated layers, ridge 0.25, and the Gaussian smoother of bandwidth d^(-1/4).{quantised(rows)}",
        grid=f"n/d as in the figures above; {', '.join(sources)}.",
        interval="Mean and one standard error over draws or heads.",
        theory="None drawn: the exact solutions are themselves what the distance is from; rounding alone is zero.",
        panels=tuple(
            Panel(
                title,
                "load n/d (pairs per key dimension)",
                "relative squared distance",
                tuple(lines),
                x_log=True,
                y_log=log,
                x_ticks=sorted({x for line in lines for x in line.x}),
            )
            for title, lines, log in panels
        ),
    )
