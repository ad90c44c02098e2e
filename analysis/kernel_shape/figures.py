"""How many pairs each map holds, what explains it, and recall on captured keys."""

from collections.abc import Iterable

import numpy as np

from analysis.kernel_shape.collapse import ADDED, checked, law, points, spread
from analysis.kernel_shape.keys import FIXED, FREE
from analysis.kernel_shape.measured import LEAST, LOAD, OWN, RANDOM, VALUES
from analysis.kernel_shape.predicted import half_recall
from analysis.kernel_shape.ratios import halves, ratios
from analysis.kernel_shape.treatments import CENTRED, EXACT, PLAIN, SOLVED, TREATMENTS, UNIT
from analysis.rows import Rows, chosen, values
from analysis.sources import quantised
from analysis.words import short, span
from ttr_numerics.report import Cloud, Figure, Measured, Panel, Theory

__all__ = ["figures"]

TITLE = {PLAIN: "features as they are", UNIT: "features of unit length", CENTRED: "centred, unit length",
         EXACT: "unit length, least squares"}  # fmt: skip


def figures(rows: Rows) -> tuple[Figure, ...]:
    """Those for which there are rows."""
    random = [row for row in rows if row["source"] in (FREE, FIXED)]
    captured = [row for row in rows if row["source"] not in (FREE, FIXED)]
    found = [_held(random), _collapse(random), _errors(rows)] if random else [_errors(rows)]
    return tuple(found + ([_captured(captured)] if captured else []))


def _held(rows: Rows) -> Figure:
    """Pairs at half recall over D, one panel a treatment."""
    panels = [_over_features(rows, treatment) for treatment in (PLAIN, UNIT, CENTRED, EXACT)]
    said = []
    for treatment in (UNIT, CENTRED, EXACT):
        of = ratios(rows, FREE, treatment, None)
        if of:
            least = min(of, key=lambda name: of[name].value)
            r = of[least]
            said.append(f"{r.value:.2f} ({r.low:.2f} to {r.high:.2f}) with {TITLE[treatment]} ({least})")
    return Figure(
        "held",
        tuple(panel for panel in panels if panel.series),
        finding="Of the pairs at half recall of plain keys of the same dimension the least map holds "
        + "; ".join(said)
        + ".",
        caption="Pairs of which half score first among all stored, over the feature dimension D; keys are random in as "
        "many channels as each map needs.",
        grid=f"Values of {VALUES} channels; {_trials(rows, 'half')} streams a point; gains and scales tuned on other "
        f"keys; least squares up to D = {max(r['features'] for r in halves(rows, FREE, EXACT) or rows)}.",
        interval="95 %, geometric mean over streams.",
        theory="The load at which the independence approximation gives recall one half for plain keys of D channels, "
        "no bound.",
    )


def _over_features(rows: Rows, treatment: str) -> Panel:
    of = halves(rows, FREE, treatment)
    series: list[Measured | Theory] = []
    for shape in _shapes(of):
        at = sorted((r for r in of if r["shape"] == shape), key=lambda r: r["features"])
        x = [r["features"] for r in at]
        series.append(Measured(shape, x, *([r[n] for r in at] for n in ("value", "low", "high")), layer=shape))
    if series:
        ticks = sorted({r["features"] for r in of})
        series.append(Theory("theory for D plain channels", ticks, [half_recall(D, VALUES) for D in ticks]))
    ticks = sorted({r["features"] for r in of})
    return Panel(
        TITLE[treatment], "features D", "pairs at half recall", tuple(series), x_log=True, y_log=True, x_ticks=ticks
    )


def _collapse(rows: Rows) -> Figure:
    """The same numbers over D and over the effective dimension."""
    of, found, fitted = points(rows), spread(rows), law(rows)
    ends = [min(p.dimension for p in of), max(p.dimension for p in of)]
    x = [float(d) for d in np.geomspace(ends[0], ends[1], 30)]
    theory = Theory("theory for d plain channels", x, [half_recall(d, VALUES) for d in x])
    panels = []
    for name, label in (("features", "features D"), ("dimension", "effective dimension")):
        series: list[Cloud | Theory] = [
            Cloud(
                TITLE[t],
                [getattr(p, name) for p in of if p.treatment == t],
                [p.half for p in of if p.treatment == t],
                layer=t,
            )
            for t in ADDED
        ]
        if name == "dimension":
            series.append(theory)
        panels.append(Panel(f"Over the {label}", label, "pairs at half recall", tuple(series), x_log=True, y_log=True))
    e, c = fitted.exponent, fitted.constant
    return Figure(
        "collapse",
        tuple(panels),
        finding=f"Half recall follows the effective dimension, not the number of features: it misses a power law of "
        f"the one by a factor {found.effective:.2f} and of the other by {found.nominal:.2f} (one standard deviation); "
        f"fitted, {c.value:.1f} ({c.low:.1f} to {c.high:.1f}) times its power {e.value:.2f} ({e.low:.2f} to "
        f"{e.high:.2f}).",
        caption="Every map, D and kind of random key; the effective dimension is that of plain keys with the same "
        f"error at {LOAD} pairs a feature, 1/E(φ_i·φ_j)² for features of unit length.",
        grid=f"{len(of)} points: {len(_shapes(rows))} maps, three treatments, keys of free and of 16 channels.",
        interval="Not drawn; those of the fitted law are 95 % by Student's t over the points.",
        theory="The independence approximation at that dimension; a common mean feature and heavy tails are not in it.",
    )


def _errors(rows: Rows) -> Figure:
    """Measured over expected error, one panel a kind of key."""
    asked = chosen(rows, what="error", values=RANDOM)
    repeated = [r for r in asked if r["trials"] > 1] or asked
    of = [r for r in repeated if r["expected"] > LEAST]  # what is recalled exactly is counted, and has no logarithm
    found = checked(rows)
    return Figure(
        "errors",
        tuple(_error_panel(chosen(of, source=source)) for source in values(of, "source"))[:6],
        finding=f"{'The features alone predict' if found.points else 'The features beside'} the error of every map and "
        f"treatment: {found.said()}.",
        caption="Squared error over that of the output 0, at the output scale tuned on other keys; random values."
        f"{quantised(of)}",
        grid=f"All maps and D, {LOAD} keys a feature on random keys, half of the tokens on captured ones; means over "
        f"{span((r['trials'] for r in repeated), short)} draws or heads.",
        interval="None: a point is a mean, and its standard error is what the count goes by.",
        theory="1 - 2c tr A/n + c²‖A‖²/n of the matrix A that takes values to outputs, exact for given keys: at the "
        "best scale 1 - PR/n for sums, PR the participation ratio of the features, and 1 - rank/n for least squares.",
    )


def _error_panel(rows: Rows) -> Panel:
    clouds = [
        Cloud(t, *([r[name] for r in chosen(rows, treatment=t)] for name in ("expected", "value")))
        for t in TREATMENTS
        if chosen(rows, treatment=t)
    ]
    ends = [end(r["expected"] for r in rows) for end in (min, max)]
    line = Theory("equal", ends, ends)
    return Panel(rows[0]["source"], "expected error", "measured error", (*clouds, line), x_log=True, y_log=True)


def _captured(rows: Rows) -> Figure:
    """Argmax recall of captured values over D."""
    of = [r for r in rows if r["what"] == "error" and r["values"] == OWN]
    panels = []
    for source in dict.fromkeys(r["source"] for r in of):
        for treatment in (UNIT, SOLVED[0]):
            at = [r for r in of if (r["source"], r["treatment"]) == (source, treatment)]
            ticks, title = sorted({r["features"] for r in at}), f"{source}: {treatment}"
            panels.append(Panel(title, "features D", "argmax recall", tuple(_by_shape(at)), x_log=True, x_ticks=ticks))
    top = max(r["features"] for r in of)
    ends = {t: [r["recall"] for r in of if r["features"] == top and r["treatment"] == t] for t in (UNIT, SOLVED[0])}
    said = "; ".join(f"{span(x)} with {t}" for t, x in ends.items())
    return Figure(
        "captured",
        tuple(panels[:6]),
        finding=f"On captured keys at D = {top} argmax recall is, over maps and sources, {said}.",
        caption="Share of captured values that score first among those stored, keys projected to what each map needs."
        f"{quantised(of)}",
        grid=f"{', '.join(sorted({str(r['n']) for r in of}))} pairs, the second half of the tokens; gains, scales and "
        f"mean features from the first half; up to {max(r['trials'] for r in of)} heads.",
        interval="95 %, Wilson's, its sample size by the spread over heads.",
        theory="None: the formulas of the other figures are of random keys.",
    )


def _by_shape(rows: Rows) -> Iterable[Measured]:
    for shape in _shapes(rows):
        at = sorted((r for r in rows if r["shape"] == shape), key=lambda r: r["features"])
        x = [r["features"] for r in at]
        yield Measured(shape, x, *([r[n] for r in at] for n in ("recall", "recall_low", "recall_high")), layer=shape)


def _shapes(rows: Rows) -> list[str]:
    return list(dict.fromkeys(r["shape"] for r in rows))


def _trials(rows: Rows, what: str) -> int:
    return max(r["trials"] for r in rows if r["what"] == what)
