"""Figures of the switching study: error by position, by length of a segment, and the advantage of local fits."""

import numpy as np

from analysis.drift.drawing import count
from analysis.rows import Rows, chosen, values
from analysis.switching import methods
from analysis.switching.drawing import FLOOR, measured
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
INTERVAL = f"95 %, Student's t over sequences; {FLOOR}."


def position_figure(rows: Rows) -> Figure:
    """Error against the position in a segment."""
    found = chosen(rows, part="switching", kind="position")
    segment = 256 if chosen(found, segment=256) else max(values(found, "segment"))
    found = chosen(found, segment=segment)
    wanted = [(reading, "later") for reading in values(found, "reading")]
    if chosen(found, reading=READINGS[1]):
        wanted.append((READINGS[1], "first"))
    return Figure(
        name="position",
        panels=tuple(_over_position(chosen(found, reading=reading, which=which)) for reading, which in wanted),
        finding=_position_finding(rows, segment),
        caption="Squared error of the guess of the next value, before it is seen, against the position in its segment "
        "(means over positions 2^j to 2^(j+1) - 1); keys of unit norm, d = 8, each layer with the parameters and the "
        "output scale that did best, over all positions, on another sequence.",
        grid=f"{len(values(found, 'reading'))} readings of switching; segments of {segment} tokens, {count(found)} "
        f"sequences of {methods.LENGTH} tokens, {CHANNELS} maps each, noise {NOISE:g}",
        interval=INTERVAL,
        theory="None: no closed form is stated for these errors; published claims about them are in the table.",
    )


def _over_position(rows: Rows) -> Panel:
    segments = "first segment" if rows[0]["which"] == "first" else "later segments"
    lines = tuple(measured(layer, chosen(rows, layer=layer), "position") for layer in values(rows, "layer"))
    title, label = f"{TITLES[rows[0]['reading']]}: {segments}", "position in the segment, tokens"
    return Panel(title, label, "squared error (target 1)", lines, x_log=True, y_log=True)


def _position_finding(rows: Rows, segment: int) -> str:
    sentences = []
    for reading in (READINGS[1], READINGS[0]):
        found = chosen(rows, part="switching", kind="summary", reading=reading, segment=segment, d=8)
        if found:
            first, later = (min(found, key=lambda row: row[which]) for which in ("first", "later"))
            local, soft, mesa = (
                f"{chosen(found, layer=layer)[0]['later']:.3f}"
                for layer in (methods.LOCAL, methods.SOFTMAX, methods.MESA)
            )
            sentences.append(
                f"{TITLES[reading][0].upper()}{TITLES[reading][1:]}: {first['layer']} is best in the first segment "
                f"({first['first']:.3f}), {later['layer']} in later ones ({later['later']:.3f}), where the local "
                f"linear fit has {local}, softmax {soft} and Mesa without forgetting {mesa}."
            )
    return " ".join(sentences) or "Errors by position."


def length_figure(rows: Rows) -> Figure:
    """Error in later segments against their length."""
    found = chosen(rows, part="switching", kind="summary", d=8)
    readings = values(found, "reading")
    best = [min(chosen(found, reading=reading), key=lambda row: row["later"])["layer"] for reading in readings]
    shared = "; ".join(f"{reading}: {layer}" for reading, layer in zip(readings, best, strict=True))
    return Figure(
        name="length",
        panels=tuple(_over_length(chosen(found, reading=reading)) for reading in readings),
        finding="Who can follow depends on what switches; the least errors of all lengths are those of, switching by "
        f"{shared}.",
        caption="Mean squared error over all positions of the second and later segments, against the length of "
        f"segments (regions, shuffled: of the number of tokens from each of {methods.LENGTH}/S regions); d = 8.",
        grid=f"{len(readings)} readings; S {', '.join(map(str, values(found, 'segment')))}; {count(found)} sequences",
        interval=INTERVAL,
        theory="None: no closed form is stated for these errors; published claims about them are in the table.",
    )


def _over_length(rows: Rows) -> Panel:
    lines = tuple(measured(layer, chosen(rows, layer=layer), "segment", "later") for layer in values(rows, "layer"))
    title, label, ticks = TITLES[rows[0]["reading"]], "segment length S, tokens", values(rows, "segment")
    return Panel(title, label, "squared error, later segments", lines, x_log=True, y_log=True, x_ticks=ticks)


def advantage_figure(rows: Rows) -> Figure:
    """How many times the local linear fit's error the others have, against d."""
    found = chosen(rows, part="switching", kind="summary", segment=256)
    panels = [
        Panel(
            f"{layer} over local linear",
            "dimension d",
            "ratio of squared errors",
            tuple(
                measured(TITLES[reading], chosen(found, reading=reading, layer=layer), "d", "over_local", layer)
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
        theory="None drawn: the published claim is in the table of claims, with its verdict.",
    )


def advantage_exponent(rows: Rows, reading: str) -> Interval:
    """p in (softmax's error)/(local linear's) ~ d^p, later segments of 256."""
    found = chosen(rows, part="switching", kind="summary", segment=256, reading=reading, layer=methods.SOFTMAX)
    return power_law(*(np.array([row[name] for row in found], dtype=float) for name in ("d", "over_local"))).exponent
