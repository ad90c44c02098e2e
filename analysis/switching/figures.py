"""Figures of the switching study: error by position, by length of a segment, and the advantage of local fits."""

import numpy as np

from analysis.drift.found import Rows, own, values
from analysis.switching import methods
from analysis.switching.drawing import count, measured
from analysis.switching.measured import CHANNELS, NOISE, READINGS
from ttr_numerics.measure.fits import power_law
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Panel

__all__ = ["TITLES", "advantage_exponent", "advantage_figure", "length_figure", "position_figure"]

TITLES = dict(
    zip(
        READINGS,
        ("a new map in time, keys alike", "a new map and a new region in time", "regions, shuffled"),
        strict=True,
    )
)
INTERVAL = "95 %, Student's t over sequences."


def position_figure(rows: Rows) -> Figure:
    """Error against the position in a segment."""
    found = own(rows, part="switching", kind="position")
    segment = 256 if own(found, segment=256) else max(values(found, "segment"))
    found = own(found, segment=segment)
    wanted = [(reading, "later") for reading in values(found, "reading")]
    if own(found, reading=READINGS[1]):
        wanted.append((READINGS[1], "first"))
    panels = [
        Panel(
            f"{TITLES[reading]}: {'first segment' if which == 'first' else 'later segments'}",
            "position in the segment, tokens",
            "squared error (target 1)",
            tuple(
                measured(layer, own(found, reading=reading, which=which, layer=layer), "position")
                for layer in values(found, "layer")
            ),
            x_log=True,
            y_log=True,
        )
        for reading, which in wanted
    ]
    return Figure(
        name="position",
        panels=tuple(panels),
        finding=_position_finding(rows, segment),
        caption="Squared error of the guess of the next value, before it is seen, against the position in its segment "
        "(means over positions 2^j to 2^(j+1) - 1); keys of unit norm, d = 8, each layer with the parameters and the "
        "output scale that did best, over all positions, on another sequence.",
        grid=f"three readings of switching; segments of {segment} tokens, {count(found)} sequences of 1024 tokens, "
        f"{CHANNELS} maps each, noise {NOISE:g}",
        interval=INTERVAL,
    )


def _position_finding(rows: Rows, segment: int) -> str:
    sentences = []
    for reading in (READINGS[1], READINGS[0]):
        found = own(rows, part="switching", kind="summary", reading=reading, segment=segment, d=8)
        if found:
            best = {which: min(found, key=lambda row: row[which]) for which in ("first", "later")}
            sentences.append(
                f"{TITLES[reading][0].upper()}{TITLES[reading][1:]}: {best['first']['layer']} is best in the first "
                f"segment ({best['first']['first']:.3f}), {best['later']['layer']} in later ones "
                f"({best['later']['later']:.3f}), where the local linear fit has {_of(found, methods.LOCAL):.3f}, "
                f"softmax "
                f"{_of(found, methods.SOFTMAX):.3f} and Mesa without forgetting {_of(found, methods.MESA):.3f}."
            )
    return " ".join(sentences) or "Errors by position."


def _of(found: Rows, layer: str) -> float:
    return float(next(row["later"] for row in found if row["layer"] == layer))


def length_figure(rows: Rows) -> Figure:
    """Error in later segments against their length."""
    found = own(rows, part="switching", kind="summary", d=8)
    panels = [
        Panel(
            TITLES[reading],
            "segment length S, tokens",
            "squared error, later segments",
            tuple(
                measured(layer, own(found, reading=reading, layer=layer), "segment", "later")
                for layer in values(found, "layer")
            ),
            x_log=True,
            y_log=True,
            x_ticks=values(found, "segment"),
        )
        for reading in values(found, "reading")
    ]
    shared = [
        f"{reading}: {best['layer']}"
        for reading in values(found, "reading")
        if (best := min(own(found, reading=reading), key=lambda row: row["later"]))
    ]
    return Figure(
        name="length",
        panels=tuple(panels),
        finding="Who can follow depends on what switches; the least errors of all lengths are those of, switching by "
        + "; ".join(shared)
        + ".",
        caption="Mean squared error over all positions of the second and later segments, against the length of "
        "segments "
        "(regions, shuffled: of the number of tokens from each of 1024/S regions); d = 8.",
        grid=f"three readings; S {', '.join(map(str, values(found, 'segment')))}; {count(found)} sequences",
        interval=INTERVAL,
    )


def advantage_figure(rows: Rows) -> Figure:
    """How many times the local linear fit's error the others have, against d."""
    found = own(rows, part="switching", kind="summary", segment=256)
    panels = [
        Panel(
            f"{layer} over local linear",
            "dimension d",
            "ratio of squared errors",
            tuple(
                measured(TITLES[reading], own(found, reading=reading, layer=layer), "d", "over_local", layer)
                for reading in values(found, "reading")
            ),
            x_log=True,
            y_log=True,
            x_ticks=sorted(values(found, "d")),
        )
        for layer in (methods.SOFTMAX, methods.MESA)
    ]
    words = []
    for reading in values(found, "reading"):
        exponent = advantage_exponent(rows, reading)
        words.append(f"{TITLES[reading]}: d^{exponent.value:.2f} [{exponent.low:.2f}, {exponent.high:.2f}]")
    return Figure(
        name="advantage",
        panels=tuple(panels),
        finding=f"Softmax's error over the local linear fit's, fitted as a power of d: {'; '.join(words)}.",
        caption="Squared error in later segments over the local linear fit's on the same sequences (geometric mean), "
        "against d; segments of 256 tokens. 1 is no advantage.",
        grid=f"d {', '.join(map(str, sorted(values(found, 'd'))))}; three readings; {count(found)} sequences",
        interval="95 %, Student's t on logarithms, paired by sequence; of the exponents, least squares in logarithms.",
    )


def advantage_exponent(rows: Rows, reading: str) -> Interval:
    """p in (softmax's error)/(local linear's) ~ d^p, later segments of 256."""
    found = own(rows, part="switching", kind="summary", segment=256, reading=reading, layer=methods.SOFTMAX)
    return power_law(*(np.array([row[name] for row in found], dtype=float) for name in ("d", "over_local"))).exponent
