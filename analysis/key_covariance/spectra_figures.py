"""Figures of the keys themselves: spectra, the identity in the participation ratio, and errors against spread."""

import numpy as np

from analysis.key_covariance.memories import BEST, CENTRED, DELTA, LEAST, LINEAR, OTHERS, POPULATION, UNIT
from analysis.key_covariance.recall import DRAWN, RANDOM, RANDOM_VALUES, REAL_VALUES, SPECTRA
from analysis.key_covariance.rows import Row, kept, line
from analysis.rows import Rows, chosen
from analysis.sources import quantised, stored_names
from analysis.words import short
from ttr_numerics.report import Cloud, Curve, Figure, Panel, Theory

__all__ = ["law_figure", "spectrum_figure", "spread_figure"]

LAYERS = (LINEAR, DELTA, BEST, LEAST)
LAW = "Dashed: 1 - PR/n, PR the participation ratio; exact in expectation for given unit keys and values that do not "
LAW += "depend on them."


def spectrum_figure(rows: Rows) -> Figure:
    """Eigenvalue shares of stored and random keys."""
    keys = chosen(rows, part="keys", metric="eigenvalue share")
    names = [*stored_names(keys), RANDOM]
    return Figure(
        name="spectrum",
        finding="How far stored keys are from isotropic, by the share of the largest eigenvalue, as they are and "
        f"centred: {'; '.join(_largest_shares(keys, source) for source in names)}.",
        caption="Eigenvalues of K'K/n as shares of their sum, unit keys, before and after removing the mean key, at "
        f"ten places of the spectrum.{quantised(keys)}",
        panels=tuple(_spectrum(chosen(keys, treatment=treatment), names, treatment) for treatment in DRAWN),
        grid=f"The first {max(row['n'] for row in keys)} tokens at most of stored keys, all heads; "
        f"{_repetitions(keys, RANDOM)} draws of random keys.",
        interval="Mean and one standard error over heads or draws.",
        theory="None drawn: isotropic random keys of the same shape are the yardstick.",
    )


def _spectrum(own: Rows, names: list[str], treatment: str) -> Panel:
    curves = []
    for source in names:
        # The direction that centring removed is rounding.
        shown = [row for row in chosen(own, source=source) if row["value"] > 1e-12]
        ends = ([row["value"] if row[end] is None else row[end] for row in shown] for end in ("low", "high"))
        if shown:
            curves.append(Curve(source, [row["index"] for row in shown], [row["value"] for row in shown], *ends))
    label = "eigenvalue number, by size"
    return Panel(treatment, label, "share of the trace", tuple(curves), x_log=True, y_log=True)


def _largest_shares(keys: Rows, source: str) -> str:
    found = [chosen(keys, source=source, treatment=treatment, index=1) for treatment in DRAWN]
    shares = [f"{own[0]['value']:.0%}" if own else "none left" for own in found]
    return f"{source} {' and '.join(shares)}"


def law_figure(rows: Rows) -> Figure:
    """Recall error against PR/n, every head, draw and treatment."""
    keys, panels = [row for row in chosen(rows, part="keys") if row["metric"] == "recall error"], []
    for values in (RANDOM_VALUES, REAL_VALUES):
        own = chosen(keys, values=values)
        if not own:
            continue
        shares = [row["rank"] / kept(row) for row in own]
        clouds = [Cloud(layer, shares, [row[layer] for row in own]) for layer in (LINEAR, DELTA, LEAST)]
        x = np.geomspace(min(shares), max(shares), 40).tolist()
        law = Theory("1 - PR/n", x, [1 - g for g in x], of=LINEAR)
        label = "participation ratio of the keys / n"
        panels.append(Panel(values, label, "relative squared error", (*clouds, law), x_log=True))
    gaps = [abs(row[LINEAR] - 1 + row["rank"] / kept(row)) for row in chosen(keys, values=RANDOM_VALUES)]
    better = [row[LINEAR] < 1 - row["rank"] / kept(row) for row in chosen(keys, values=REAL_VALUES)]
    text = f" With their captured values {np.mean(better):.0%} of them lie below that line." if better else ""
    return Figure(
        name="law",
        finding="For linear attention the participation ratio takes the place of the dimension: with values that do "
        f"not depend on the keys its error is 1 - PR/n, off by at most {max(gaps):.3f} on every head and "
        f"treatment.{text}",
        caption="Squared recall error relative to the values, one point for each head or draw and each treatment "
        "(unit norm, centred, whitened, both); linear attention at its best scale. Treatments in "
        f"sample.{quantised(keys)}",
        panels=tuple(panels),
        grid=f"{len(gaps)} heads and draws by treatment; the first {max(row['n'] for row in keys)} tokens at most.",
        interval="None: every point is one head or draw.",
        theory=LAW,
    )


def spread_figure(rows: Rows) -> Figure:
    """Recall error against the condition number of Σ, by spectrum and metric, and against the mean key's share."""
    own, shares = chosen(rows, part="spectrum"), chosen(rows, part="mean key")
    panels = [
        _spread(chosen(own, family=family, treatment=UNIT), f"{family}, as they are", "cond")
        for family in SPECTRA
        if chosen(own, family=family)
    ]
    wide = chosen(own, family="log-uniform")
    panels += [_spread(chosen(wide, treatment=name), f"log-uniform, {name}", "cond") for name in (POPULATION, OTHERS)]
    panels.append(_spread(chosen(shares, treatment=UNIT), "isotropic keys plus a mean key", "share"))
    first, last = (_errors(chosen(wide, treatment=UNIT, cond=c)) for c in _ends(wide, "cond"))
    metric, other = (_errors(chosen(wide, treatment=t, cond=_ends(wide, "cond")[1])) for t in (POPULATION, OTHERS))
    words = "; ".join(f"{layer}: {first[layer]:.2f} to {last[layer]:.2f}" for layer in LAYERS)
    heavy = _ends(shares, "share")[1]
    mean, bare = (_errors(chosen(shares, treatment=t, share=heavy)) for t in (UNIT, CENTRED))
    return Figure(
        name="spread",
        finding="A wider spectrum costs first-order memories and leaves least squares alone: from cond(Σ) = "
        f"{short(_ends(wide, 'cond')[0])} to {short(_ends(wide, 'cond')[1])} the error goes, for {words}. Read through "
        f"the population's Σ^-1/2 linear attention and the delta rule at its best β are back at {metric[LINEAR]:.2f} "
        f"and {metric[BEST]:.2f}; through one estimated on as many other keys at {other[LINEAR]:.2f} and "
        f"{other[BEST]:.2f}. A mean key of share {heavy:g} does the same ({mean[LINEAR]:.2f} for linear attention), "
        f"and taking it out undoes it ({bare[LINEAR]:.2f}).",
        caption="Squared recall error relative to the values of random unit values. Log-uniform, power-law and "
        "two-level Σ (half of the eigenvalues cond(Σ) times the others); keys scaled to unit norm after the metric.",
        panels=tuple(panels),
        grid=f"n = {wide[0]['n']}, d = {wide[0]['d']}, {wide[0]['trials']} draws a point; the delta rule's best β of "
        "twelve from 0.02 to 1, draw by draw.",
        interval="Mean and one standard error over draws (mostly smaller than the markers).",
        theory=LAW + " Holds for linear attention whatever Σ and the metric.",
    )


def _spread(own: Rows, title: str, x: str) -> Panel:
    lines = [line(chosen(own, layer=layer), layer, x) for layer in LAYERS]
    law = sorted({(row[x], 1 - row["rank"] / row["n"]) for row in own})
    theory = Theory("1 - PR/n", [place for place, _ in law], [value for _, value in law], of=LINEAR)
    label = "condition number of Σ" if x == "cond" else "mean key's share of the squared length"
    return Panel(title, label, "relative squared error", (*lines, theory), x_log=x == "cond", y_range=(0.6, 2.0))


def _errors(own: Rows) -> dict[str, float]:
    return {row["layer"]: row["value"] for row in own}


def _ends(own: Rows, name: str) -> tuple[float, float]:
    found = [row[name] for row in own]
    return min(found), max(found)


def _repetitions(keys: list[Row], source: str) -> int:
    return max((row["trials"] for row in keys if row["source"] == source and "trials" in row), default=0)
