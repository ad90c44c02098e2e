"""The figures of the switching study, from stored rows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.drift.found import Rows, own, values
from analysis.switching import methods, rates
from analysis.switching.measured import CHANNELS, NOISE, READINGS
from ttr_numerics.measure import bounds
from ttr_numerics.measure.fits import power_law
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["advantage_exponent", "advantage_figure", "length_figure", "position_figure", "rate_exponent", "rate_figure"]

TITLES = dict(
    zip(
        READINGS,
        ("a new map in time, keys alike", "a new map and a new region in time", "regions, shuffled"),
        strict=True,
    )
)
INTERVAL = "95 %, Student's t over sequences"


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
                _measured(layer, own(found, reading=reading, which=which, layer=layer), "position")
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
        grid=f"three readings of switching; segments of {segment} tokens, {_count(found)} sequences of 1024 tokens, "
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
                _measured(layer, own(found, reading=reading, layer=layer), "segment", "later")
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
        grid=f"three readings; S {', '.join(map(str, values(found, 'segment')))}; {_count(found)} sequences",
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
                _measured(TITLES[reading], own(found, reading=reading, layer=layer), "d", "over_local", layer)
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
        words.append(f"{TITLES[reading]}: like d^{exponent.value:.2f} [{exponent.low:.2f}, {exponent.high:.2f}]")
    return Figure(
        name="advantage",
        panels=tuple(panels),
        finding=f"Softmax's error over the local linear fit's grows with d as follows. {'; '.join(words)}.",
        caption="Squared error in later segments over the local linear fit's on the same sequences (geometric mean), "
        "against d; segments of 256 tokens. 1 is no advantage.",
        grid=f"d {', '.join(map(str, sorted(values(found, 'd'))))}; three readings; {_count(found)} sequences",
        interval="95 %, Student's t on logarithms, paired by sequence",
    )


def advantage_exponent(rows: Rows, reading: str) -> Interval:
    """p in (softmax's error)/(local linear's) ~ d^p, later segments of 256."""
    found = own(rows, part="switching", kind="summary", segment=256, reading=reading, layer=methods.SOFTMAX)
    return power_law(*(np.array([row[name] for row in found], dtype=float) for name in ("d", "over_local"))).exponent


STATED: dict[str, Callable[[int], float]] = {
    rates.SMOOTHER: bounds.kernel_smoother_exponent,
    rates.LINEAR: bounds.local_linear_exponent,
    rates.GLOBAL: lambda d: 0.0,
}


def rate_figure(rows: Rows) -> Figure:
    """Error against the number of keys, one panel a dimension."""
    found = own(rows, part="rates")
    panels = []
    for d in values(found, "d"):
        lines: list[Series] = []
        for layer in values(found, "layer"):
            mine = own(found, d=d, layer=layer)
            lines.append(_measured(layer, mine, "n"))
            n, error = (np.array([row[name] for row in mine], dtype=float) for name in ("n", "value"))
            slope = STATED[layer](d)
            level = float(np.exp(np.mean(np.log(error) + slope * np.log(n))))
            lines.append(
                Theory(f"n^-{slope:.2f}" if slope else "constant", n.tolist(), (level * n**-slope).tolist(), of=layer)
            )
        panels.append(Panel(f"d = {d}", "keys n", "mean squared error", tuple(lines), x_log=True, y_log=True))
    agree = [
        STATED[layer](d) >= rate_exponent(rows, d, layer).low and STATED[layer](d) <= rate_exponent(rows, d, layer).high
        for d in values(found, "d")
        for layer in (rates.SMOOTHER, rates.LINEAR)
    ]
    last = own(found, layer=rates.GLOBAL)[-1]
    return Figure(
        name="rates",
        panels=tuple(panels),
        finding=f"The fitted exponents agree with the stated ones in {sum(agree)} of {len(agree)} cases (the table has "
        f"them); the global linear fit stays at {last['value']:.3f}, its misfit 4/45 = {4 / 45:.3f}.",
        caption="Mean squared error at uniform queries for a quadratic function on [-1, 1]^d whose gradient does not "
        "vanish at the boundary, values with noise of variance 0.25, bandwidth at its best for each n and d.",
        grid=f"d {', '.join(map(str, values(found, 'd')))}; n {', '.join(map(str, values(found, 'n')))}; "
        f"{_count(found)} draws, {rates.QUERIES} queries each, {len(rates.BANDWIDTHS)} bandwidths",
        interval="95 %, Student's t over draws",
        theory="slopes -3/(d+3) and -4/(d+4), anchored at the mean of the measured points: proved as n → ∞, and here n "
        "is at most 2048; the global fit's constant",
    )


def rate_exponent(rows: Rows, d: int, layer: str) -> Interval:
    """r in (error) ~ n^-r, least squares in logarithms."""
    mine = own(rows, part="rates", d=d, layer=layer)
    fitted = power_law(*(np.array([row[name] for row in mine], dtype=float) for name in ("n", "value"))).exponent
    return Interval(-fitted.value, -fitted.high, -fitted.low, fitted.trials)


def _measured(label: str, rows: Rows, x: str, y: str = "value", layer: str = "") -> Measured:
    low, high = ("low", "high") if y == "value" else (f"{y}_low", f"{y}_high")
    rows = sorted(rows, key=lambda row: row[x])
    columns: list[list[Any]] = [[row[name] for row in rows] for name in (x, y, low, high)]
    # A logarithmic axis ends at the smallest mean: an interval that reaches 0 is drawn down to a tenth of its mean.
    columns[2] = [max(end, mean / 10) for mean, end in zip(columns[1], columns[2], strict=True)]
    return Measured(label, *columns, layer=layer)


def _count(rows: Rows) -> str:
    trials = sorted({row["trials"] for row in rows})
    return f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
