"""The figure of what tracking the uncertainty adds to a fixed metric."""

import numpy as np

from analysis.key_covariance.rows import Row, Rows, line, part
from analysis.key_covariance.tracking import (
    ANNEALED,
    BAYES,
    DELTA_FIXED,
    DELTA_OTHERS,
    DELTA_RAW,
    LINEAR_FIXED,
    RLS,
)
from analysis.rows import chosen
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["tracking_figure"]

SHOWN = (LINEAR_FIXED, DELTA_RAW, DELTA_OTHERS, DELTA_FIXED, ANNEALED, RLS, BAYES)


def tracking_figure(rows: Rows) -> Figure:
    """Error on unseen queries against the number of pairs, by noise; and where constant gains end."""
    own = part(rows, "unseen")
    wide = sorted({row["cond"] for row in own})[-2 if len({row["cond"] for row in own}) > 2 else -1]
    levels = sorted({row["noise"] for row in own})
    panels = [_unseen(chosen(own, noise=noise, cond=wide), noise, wide) for noise in levels]
    panels.append(_ratios(own, levels))
    panels += _steady(rows)
    d, n = own[0]["d"], max(row["n"] for row in own)
    late = {row["layer"]: row for row in chosen(own, noise=levels[-1], cond=wide, n=n)}
    base = late[RLS]["value"]
    constant, falling = (np.log(late[layer]["value"] / base) for layer in (DELTA_FIXED, ANNEALED))
    few = sorted({row["n"] for row in own})[1]
    early = {row["layer"]: row for row in chosen(own, noise=levels[1], cond=wide, n=few)}
    return Figure(
        name="tracking",
        finding=f"What tracking the uncertainty adds to a fixed metric: after {few} pairs (d = {d}, cond(Σ) = "
        f"{wide:g}, noise {levels[1]:g}) the best constant step through Σ^-1/2 leaves {_interval(early[DELTA_FIXED])} "
        f"times the error of RLS with the prior's ridge, a falling step {_interval(early[ANNEALED])}, the delta rule "
        f"without a metric {_interval(early[DELTA_RAW])}. "
        f"After {n} pairs with noise {levels[-1]:g}: "
        f"{_interval(late[DELTA_FIXED])}, falling {_interval(late[ANNEALED])}, with a metric of {4 * d} other keys "
        f"{_interval(late[DELTA_OTHERS])}, without any {_interval(late[DELTA_RAW])}. Of RLS without a ridge, itself at "
        f"{_interval(late[RLS])}, the falling step leaves {late[ANNEALED]['value'] / base:.2f} times the error "
        f"(d/(d-2) = {d / (d - 2):.2f} in the limit), the constant one {late[DELTA_FIXED]['value'] / base:.2f}: a step "
        f"that falls, one number, makes up {1 - falling / constant:.0%} of the way from there to RLS without a ridge "
        "(in logarithms). The rest is the prior's ridge, which a memory behind the metric does not see.",
        caption="v = kS + noise, S standard normal, keys N(0, Σ) with log-uniform Σ: error on unseen keys of the same "
        "law, relative to the signal; noise in units of the signal's variance. Fourth panel: the delta rule through "
        "the fixed metric as a multiple of RLS with the prior's ridge. Last two: where a constant step and a constant "
        "forgetting end, isotropic keys.",
        panels=tuple(panels),
        grid=f"{own[0]['trials']} draws, d = {d}, {_values(own, 'n')} pairs, cond(Σ) {_values(own, 'cond')}; best "
        "constant β of twelve by the mean over draws; the falling step is the best for the given noise; the estimated "
        f"metric has seen {4 * d} other keys.",
        interval="Mean and one standard error; ratios are paired geometric means with 95 % intervals.",
        theory="Dashed: linear attention (d+1+dσ²)/(n+d+1+dσ²); falling step, by its recursion; least squares "
        "σ²d/(n-d-1). "
        "All exact for Gaussian keys, the first two through the population's metric. Constant step σ²β/(2-β)·d/(d-2), "
        "exact in the limit; forgetting σ²d(1-γ)/(1+γ), a heuristic for d(1-γ) far below 1.",
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
    title = f"noise {noise:g}, cond(Σ) = {cond:g}"
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
                f"{'falling' if name == ANNEALED else 'constant'} step, cond {cond:g}",
                "n",
                1 / own[0]["d"],
                name,
            )
            lines.append(series)
    title = f"fixed metric over RLS, noise {noise:g}"
    return Panel(title, "pairs per channel, n/d", "ratio of errors", tuple(lines), x_log=True, y_log=True)


def _steady(rows: Rows) -> list[Panel]:
    found = []
    for name, x, label in (("steady step", "beta", "step β"), ("steady forgetting", "decay", "d(1-γ)")):
        own = sorted(part(rows, name), key=lambda row: row[x])
        if not own:
            continue
        d, noise = own[0]["d"], own[0]["noise"]
        if x == "beta":
            law = [bounds.normalized_delta_misadjustment(d, noise, row[x]) for row in own]
        else:
            law = [bounds.forgetting_misadjustment(d, noise, row[x]) for row in own]
            own = [row | {x: d * (1 - row[x])} for row in own]
        measured = line(own, "measured", x, layer="delta rule" if x == "beta" else "RLS")
        by_x = dict(zip((row[x] for row in own), law, strict=True))
        theory = Theory("formula", sorted(by_x), [by_x[place] for place in sorted(by_x)], of="measured")
        found.append(
            Panel(
                f"{name}, noise {noise:g}, d = {d}",
                label,
                "error it ends at",
                (measured, theory),
                x_log=True,
                y_log=True,
            )
        )
    return found


def _interval(row: Row) -> str:
    return f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"


def _values(own: Rows, name: str) -> str:
    return ", ".join(f"{value:g}" for value in sorted({row[name] for row in own}))
