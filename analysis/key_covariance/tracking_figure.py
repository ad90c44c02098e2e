"""The figure of what tracking the uncertainty adds to a fixed metric."""

import numpy as np

from analysis.key_covariance.rows import Row, line, ratio, spelled
from analysis.key_covariance.tracking import (
    ANNEALED,
    BAYES,
    DELTA_FIXED,
    DELTA_OTHERS,
    DELTA_RAW,
    LINEAR_FIXED,
    OTHER_KEYS,
    RLS,
)
from analysis.rows import Rows, chosen
from analysis.words import short
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["tracking_figure"]

SHOWN = (LINEAR_FIXED, DELTA_RAW, DELTA_OTHERS, DELTA_FIXED, ANNEALED, RLS, BAYES)


def tracking_figure(rows: Rows) -> Figure:
    """Error on unseen queries against the number of pairs, by noise; and where constant gains end."""
    own = chosen(rows, part="unseen")
    wide, levels, d = _second_widest(own), sorted({row["noise"] for row in own}), own[0]["d"]
    panels = [_unseen(chosen(own, noise=noise, cond=wide), noise, wide) for noise in levels]
    return Figure(
        name="tracking",
        finding=f"What tracking the uncertainty adds to a fixed metric: {_early(own, wide)} {_late(own, wide)}",
        caption="v = kS + noise, S standard normal, keys N(0, Σ) with log-uniform Σ: error on unseen keys of the same "
        "law, relative to the signal; noise in units of the signal's variance. Fourth panel: the delta rule through "
        "the fixed metric as a multiple of RLS with the prior's ridge. Last two: where a constant step and a constant "
        "forgetting end, isotropic keys.",
        panels=(*panels, _ratios(own, levels), *_steady(rows)),
        grid=f"{own[0]['trials']} draws, d = {d}, {spelled(own, 'n')} pairs, cond(Σ) {spelled(own, 'cond')}; best "
        "constant β of twelve by the mean over draws; the falling step is the best for the given noise; the estimated "
        f"metric has seen {OTHER_KEYS * d} other keys.",
        interval="Mean and one standard error over draws; ratios are paired geometric means with 95 % intervals.",
        theory="Dashed: linear attention (d+1+dσ²)/(n+d+1+dσ²); falling step, by its recursion; least squares "
        "σ²d/(n-d-1). All exact for Gaussian keys, the first two through the population's metric. Constant step "
        "σ²β/(2-β)·d/(d-2), exact in the limit; forgetting σ²d(1-γ)/(1+γ), a heuristic for d(1-γ) far below 1.",
    )


def _second_widest(own: Rows) -> float:
    """The condition number that is drawn."""
    conditions = sorted({row["cond"] for row in own})
    return float(conditions[-2 if len(conditions) > 2 else -1])


def _early(own: Rows, cond: float) -> str:
    """After the second number of pairs, at the second noise."""
    d, n, noise = own[0]["d"], sorted({row["n"] for row in own})[1], sorted({row["noise"] for row in own})[1]
    at = {row["layer"]: row for row in chosen(own, noise=noise, cond=cond, n=n)}
    return (
        f"after {n} pairs (d = {d}, cond(Σ) = {short(cond)}, noise {noise:g}) the best constant step through Σ^-1/2 "
        f"leaves {ratio(at[DELTA_FIXED])} times the error of RLS with the prior's ridge, a falling step "
        f"{ratio(at[ANNEALED])}, the delta rule without a metric {ratio(at[DELTA_RAW])}."
    )


def _late(own: Rows, cond: float) -> str:
    """After the most pairs, at the most noise, and what a falling step makes up of the way to RLS without a ridge."""
    d, n, noise = own[0]["d"], max(row["n"] for row in own), max(row["noise"] for row in own)
    at = {row["layer"]: row for row in chosen(own, noise=noise, cond=cond, n=n)}
    constant, falling = (at[layer]["value"] / at[RLS]["value"] for layer in (DELTA_FIXED, ANNEALED))
    return (
        f"After {n} pairs with noise {noise:g}: {ratio(at[DELTA_FIXED])}, falling {ratio(at[ANNEALED])}, with a metric "
        f"of {OTHER_KEYS * d} other keys {ratio(at[DELTA_OTHERS])}, without any {ratio(at[DELTA_RAW])}. Of RLS without "
        f"a ridge, itself at {ratio(at[RLS])}, the falling step leaves {falling:.2f} times the error (d/(d-2) = "
        f"{d / (d - 2):.2f} in the limit), the constant one {constant:.2f}: a step that falls, one number, makes up "
        f"{1 - np.log(falling) / np.log(constant):.0%} of the way from there to RLS without a ridge (in logarithms). "
        "The rest is the prior's ridge, which a memory behind the metric does not see."
    )


def _unseen(own: list[Row], noise: float, cond: float) -> Panel:
    d = own[0]["d"]
    kept = [row for row in own if row["value"] > 1e-12]  # what least squares leaves without noise is rounding
    shown = [name for name in SHOWN if len(chosen(kept, layer=name)) > 1]
    lines: list[Series] = [line(chosen(kept, layer=name), name, "n", 1 / d) for name in shown]
    counts = sorted({row["n"] for row in own})
    x = np.unique(np.geomspace(counts[0], counts[-1], 60).astype(int)).tolist()
    lines.append(
        _theory("its closed form", x, [bounds.hebbian_regression_error(n, d, noise) for n in x], d, LINEAR_FIXED)
    )
    steps = bounds.normalized_delta_errors(d, noise, bounds.best_normalized_steps(counts[-1], d, noise))
    lines.append(_theory("its recursion", x, [float(steps[n]) for n in x], d, ANNEALED))
    if noise:
        late = [n for n in x if n > 1.5 * d]
        lines.append(
            _theory("σ²d/(n-d-1)", late, [bounds.least_norm_regression_error(n, d, noise) for n in late], d, RLS)
        )
    low = 1e-4 if not noise else None
    y_range = (low, 2.0) if low else None
    title = f"noise {noise:g}, cond(Σ) = {short(cond)}"
    return Panel(
        title, "pairs per channel, n/d", "error on unseen keys", tuple(lines), x_log=True, y_log=True, y_range=y_range
    )


def _theory(label: str, counts: list[int], values: list[float], d: int, of: str) -> Theory:
    return Theory(label, [n / d for n in counts], values, of=of)


def _ratios(own: Rows, levels: list[float]) -> Panel:
    lines: list[Series] = []
    noise = levels[-1]
    for cond in sorted({row["cond"] for row in own}):
        for name in (DELTA_FIXED, ANNEALED):
            found = sorted(chosen(own, layer=name, cond=cond, noise=noise), key=lambda row: row["n"])
            series = line(
                [row | {"value": row["ratio"], "low": row["ratio_low"], "high": row["ratio_high"]} for row in found],
                f"{'falling' if name == ANNEALED else 'constant'} step, cond {short(cond)}",
                "n",
                1 / own[0]["d"],
                name,
            )
            lines.append(series)
    title = f"fixed metric over RLS, noise {noise:g}"
    return Panel(title, "pairs per channel, n/d", "ratio of errors", tuple(lines), x_log=True, y_log=True)


def _steady(rows: Rows) -> list[Panel]:
    """Where a constant step ends over β, and constant forgetting over d(1-γ), each with its formula."""
    found = []
    step, forgetting = (chosen(rows, part=name) for name in ("steady step", "steady forgetting"))
    if step:
        laws = [(r["beta"], bounds.normalized_delta_misadjustment(r["d"], r["noise"], r["beta"])) for r in step]
        found.append(_end(step, "steady step", "beta", "step β", "delta rule", laws))
    if forgetting:
        own = [row | {"forgotten": row["d"] * (1 - row["decay"])} for row in forgetting]
        laws = [(r["forgotten"], bounds.forgetting_misadjustment(r["d"], r["noise"], r["decay"])) for r in own]
        found.append(_end(own, "steady forgetting", "forgotten", "d(1-γ)", "RLS", laws))
    return found


def _end(own: Rows, name: str, x: str, label: str, layer: str, laws: list[tuple[float, float]]) -> Panel:
    measured, formula = line(own, "measured", x, layer=layer), sorted(laws)
    theory = Theory("formula", [place for place, _ in formula], [value for _, value in formula], of="measured")
    title = f"{name}, noise {own[0]['noise']:g}, d = {own[0]['d']}"
    return Panel(title, label, "error it ends at", (measured, theory), x_log=True, y_log=True)
