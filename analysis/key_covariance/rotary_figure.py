"""The figure of rotation: recall at a query some tokens off."""

import numpy as np

from analysis.key_covariance.memories import BEST, LEAST, LINEAR
from analysis.key_covariance.rotation import AS_THEY_ARE, BASE, ROTATED
from analysis.key_covariance.rows import Row, line
from analysis.rows import Rows, chosen
from analysis.sources import quantised
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["rotary_figure"]


def rotary_figure(rows: Rows) -> Figure:
    """Recall at a query some tokens off, after rotation."""
    own = [row for row in chosen(rows, part="rotary") if "layer" in row]
    places = list(dict.fromkeys((row["source"], row["n"], row["d"]) for row in own))
    random = [place for place in places if any("share" in row for row in chosen(own, source=place[0]))]
    shown = (random + [place for place in places if place not in random][:2])[:6]
    panels = [_rotary(chosen(own, source=source, n=n, keys_are=ROTATED), source, n, d) for source, n, d in shown]
    source, n, d = random[0]
    at = {
        shift: {row["layer"]: row["value"] for row in chosen(own, source=source, n=n, keys_are=ROTATED, shift=shift)}
        for shift in (0, 1, 16)
    }
    return Figure(
        name="rotary",
        finding=f"Rotation binds a pair to the place where it was written: {n} isotropic pairs, d = {d}, are read by "
        f"least squares with error {at[0][LEAST]:.2f} there, {at[1][LEAST]:.2f} one token off and {at[16][LEAST]:.2f} "
        f"sixteen off; by linear attention {at[0][LINEAR]:.2f}, {at[1][LINEAR]:.2f} and {at[16][LINEAR]:.2f}. "
        f"{_stored(own)}{_decorrelation(chosen(rows, part='rotary'))}",
        caption="Keys turned by rotary embedding at places 0 to n-1 and written with random (stored keys: their own) "
        f"values; the queries are the same keys turned s places further. Base {BASE:g}. Stored keys are turned as they "
        f"come, whether or not their model had turned them already.{quantised(own)}",
        panels=tuple(panels),
        grid=f"{chosen(own, source=source)[0]['trials']} draws or all heads; the free scale and step are those best at "
        "s = 0.",
        interval="Mean and one standard error over draws or heads.",
        theory="Dashed: 1 - 2cμ + c²(ν + (n-1)/d), μ and ν the first moments of k·R_s k; exact for isotropic unit "
        "keys, drawn for those alone.",
    )


def _rotary(own: Rows, source: str, n: int, d: int) -> Panel:
    lines: list[Series] = [line(chosen(own, layer=layer), layer, "shift") for layer in (LINEAR, BEST, LEAST)]
    if own[0].get("share") == 0.0:
        shifts = np.linspace(0, max(row["shift"] for row in own), 129)
        scale = d / (n - 1 + d)
        errors = [bounds.rotary_recall_error(n, d, s, scale, BASE) for s in shifts]
        lines.append(Theory("closed form", shifts.tolist(), errors, of=LINEAR))
    return Panel(f"{source}, n = {n}, d = {d}", "tokens off, s", "relative squared error", tuple(lines))


def _stored(own: list[Row]) -> str:
    """What turning does to stored keys and their own values, read at the right place."""
    own = [row for row in own if "keys" in row and row["shift"] == 0 and row["layer"] == LEAST]
    pairs = {
        source: [chosen(own, source=source, keys_are=name)[0]["value"] for name in (AS_THEY_ARE, ROTATED)]
        for source in dict.fromkeys(row["source"] for row in own)
    }
    words = "; ".join(f"{source} {before:.2f} to {after:.2f}" for source, (before, after) in pairs.items())
    return f"Turning takes the error of least squares at the right place on captured values: {words}. " if pairs else ""


def _decorrelation(own: Rows) -> str:
    """What rotation does to the covariance of keys with a mean."""
    own = [row for row in own if row.get("share") and "metric" in row]
    if not own:
        return ""
    n = max(row["n"] for row in own)
    before, after = (
        {row["metric"]: row["value"] for row in chosen(own, n=n, keys_are=name)} for name in (AS_THEY_ARE, ROTATED)
    )
    left = own[0]["share"] * bounds.rotary_mean_share(n, own[0]["d"], BASE)
    return (
        f"It spreads a mean key: over {n} tokens its share falls from {before['mean-key share']:.2f} to "
        f"{after['mean-key share']:.2f} (closed form {left:.2f} for the common part), and the participation ratio "
        f"rises from {before['participation ratio']:.1f} to {after['participation ratio']:.1f}; in slow planes it "
        "stays."
    )
