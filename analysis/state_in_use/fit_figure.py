"""The figure of stored pairs beside unseen queries, and the closed forms under it."""

import numpy as np

from analysis.rows import Rows, chosen
from analysis.state_in_use.fitting import DELTA, FITTED, LEAST, LINEAR, RIDGE, SOFTMAX
from analysis.state_in_use.rows import Row, line
from ttr_numerics.measure import bounds
from ttr_numerics.report import Figure, Panel, Series, Theory

__all__ = ["closed_form", "fit_figure"]

TOP = 10.0  # errors above it are not drawn


def closed_form(layer: str, n: int, d: int, noise: float) -> float | None:
    """The error at unseen queries, where there is a formula; None elsewhere."""
    if layer == LINEAR:
        return bounds.hebbian_regression_error(n, d, noise)
    if layer == DELTA:
        return float(bounds.normalized_delta_errors(d, noise, bounds.best_normalized_steps(n, d, noise))[-1])
    if layer == LEAST or (layer == RIDGE and not noise):
        return bounds.least_norm_regression_error(n, d, noise)
    if layer == RIDGE:
        return bounds.ridge_regression_error(d / n, noise * d / n, noise)
    return None


def fit_figure(rows: Rows) -> Figure:
    """Unseen errors by noise, and stored ones."""
    own = chosen(rows, part="fit")
    levels = sorted({row["noise"] for row in own})
    d = own[0]["d"]
    panels = [_panel(chosen(own, noise=noise, asked="unseen"), f"unseen queries, noise {noise:g}") for noise in levels]
    panels += [_panel(chosen(own, noise=levels[-1], asked="stored"), f"stored pairs, noise {levels[-1]:g}")]
    noisy, most = chosen(own, noise=levels[-1]), max(row["n"] for row in own)
    there = {(r["layer"], r["asked"]): r["median"] for r in chosen(noisy, n=d)}
    late = {(r["layer"], r["asked"]): r["median"] for r in chosen(noisy, n=most)}
    order = sorted(FITTED, key=lambda name: there[name, "stored"])
    words = "; ".join(f"{name} {there[name, 'stored']:.2f} and {there[name, 'unseen']:.2g}" for name in order)
    return Figure(
        name="fit",
        finding=f"Stored pairs and unseen queries part where the state is just full: noise {levels[-1]:g} times the "
        f"signal, n = d = {d} pairs, median errors stored and unseen, best at storing first: {words}. Least norm's "
        f"peak there is the double descent, its mean infinite. After {most} pairs softmax, at this temperature, "
        f"answers unseen queries with {late[SOFTMAX, 'unseen']:.2f}, ridge with {late[RIDGE, 'unseen']:.2f}.",
        caption="v = kS + noise, standard normal keys; error at the stored pairs relative to their values (noise "
        "included) and at unseen keys relative to the signal. Linear attention at the best scale, ridge at the best "
        f"λ, the delta rule at the best falling step, softmax with logits q·k/√d. Errors above {TOP:g} are not drawn.",
        panels=tuple(panels),
        grid=f"d = {d}, n = {', '.join(str(n) for n in sorted({r['n'] for r in own}))}; {own[0]['trials']} draws.",
        interval="Mean and one standard error over draws; near n = d least norm has no finite variance.",
        theory="Dashed: (d+1+dσ²)/(n+d+1+dσ²); the falling step's recursion; σ²d/(n-d-1) and 1-n/d+σ²n/(d-n-1), "
        "exact; ridge by Marchenko-Pastur in the limit of large n and d. Infinite at n = d.",
    )


def _panel(own: list[Row], title: str) -> Panel:
    d, noise = own[0]["d"], own[0]["noise"]
    lines: list[Series] = []
    for name in FITTED:
        kept = [row | {"value_low": row["low"], "value_high": row["high"]} for row in chosen(own, layer=name)]
        kept = [row for row in kept if 1e-6 < row["value"] <= TOP]
        if len(kept) > 1:
            lines.append(line(kept, name, "n", "value", 1 / d))
    if own[0]["asked"] == "unseen":
        counts = np.unique(np.geomspace(min(r["n"] for r in own), max(r["n"] for r in own), 160).astype(int)).tolist()
        for name in (LINEAR, DELTA, RIDGE, LEAST):
            if name == RIDGE and not noise:
                continue  # the same fit as least norm
            curve = [(n / d, closed_form(name, n, d, noise)) for n in counts]
            inside = [(x, y) for x, y in curve if y is not None and 1e-6 < y <= TOP]
            lines.append(Theory(f"{name}: formula", [x for x, _ in inside], [y for _, y in inside], of=name))
    return Panel(title, "load n/d", "relative squared error", tuple(lines), x_log=True, y_log=True, y_range=(1e-3, TOP))
