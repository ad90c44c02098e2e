"""Figure: recall by memories in a kernel's space to d = 512, over the law of each, and by layers that forget."""

from collections.abc import Callable

import numpy as np

from analysis.capacity.kernel_laws import feature_dimension, harmonics, resolved_degree
from analysis.capacity.kernel_table import ROUNDING, over_law, over_typical, quadratic_predicted, typical_error
from analysis.capacity.kernels import GAINS
from analysis.capacity.notions import (
    ARGMAX,
    BANDWIDTHS,
    DELTA,
    EXACT,
    GATED,
    GATED_DELTA,
    KERNEL_RIDGE,
    KERNEL_RIDGE_PENALTY,
    KERNELS,
    LEAST,
    LIST,
    MATRIX,
    MESA,
    QUADRATIC,
    SMOOTHER,
    SMOOTHER_ROOT,
)
from analysis.capacity.transitions import Rows, chosen, half, number, values
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["kernels_figure"]

SIGNS = {SMOOTHER_ROOT: "√d", SMOOTHER: "d/2"}
FORGETTING = (DELTA, GATED_DELTA, GATED, MESA, LEAST)
MOST_PER_WIDTH = 20.0


def kernels_figure(rows: Rows) -> tuple[Figure, ...]:
    """Six panels; no figure where the kernels were not asked."""
    own = chosen(rows, part=KERNELS)
    if not own:
        return ()
    trials = values(own, "trials")
    figure = Figure(
        name="kernels",
        finding=_finding(own),
        caption="Memories in a kernel's space: the median ‖o - v‖ of softmax attention with two gains; the share of "
        "values that kernel ridge regression gives back exactly, over n divided by the number of the polynomials that "
        "its ridge resolves; what the kernel of degree 2 ranks first and in the best 5 %. Last panel: d × d matrices "
        "at the widest d, by layers that forget, by least squares and by mesa.",
        panels=(
            _error_panel(own),
            *(_exact_panel(own, h) for h in BANDWIDTHS[1:]),
            _quadratic_panel(own, ARGMAX),
            _quadratic_panel(own, LIST),
            _forgetting_panel(rows),
        ),
        grid=f"d = d_v from {values(own, 'd')[0]} to {values(own, 'd')[-1]}, n up to {values(own, 'n')[-1]} unit keys "
        f"and unit values; {trials[0]} to {trials[-1]} draws, of each up to {max(values(own, 'items'))} items ranked "
        f"against all n values. Ridge λ = 2^{round(np.log2(KERNEL_RIDGE_PENALTY))}. Last panel: draws as in the "
        "first figure.",
        interval="95 % Wilson intervals whose sample size follows the spread over draws (over items where there is one "
        "draw); none for medians.",
        theory="Softmax: typical weights, √(L² + W)/(1 + L), L and W the sums of the others' weights and of their "
        "squares over neighbours as near as n keys have, an approximation that falls like e^(-ad) at a fixed β/d. "
        f"Measured over it: {_over_typical(own)}. "
        "Kernel ridge: N, the polynomials of degree ≤ p on the sphere, p the last degree with λ h^2p p! below the "
        "threshold: a heuristic. "
        "Degree 2: the independence approximation with d(d+2)/3 in place of d; of the d(d+1)/2 features two thirds "
        "count, as their keys are not isotropic. Last panel: none.",
    )
    return (figure,)


def _finding(rows: Rows) -> str:
    every = chosen(rows, layer=KERNEL_RIDGE[BANDWIDTHS[0]], notion=EXACT)
    said = []
    attended = [row for row in rows if row["layer"] in SIGNS]
    if attended:
        d = values(attended, "d")[-1]
        n = values(chosen(attended, d=d), "n")[-1]
        last = chosen(attended, d=d, n=n)
        exact = {SIGNS[row["layer"]]: 100 * row["value"] for row in chosen(last, notion=EXACT)}
        first = min(100 * row["value"] for row in chosen(last, notion=ARGMAX))
        shares = " and ".join(f"{share:.0f} % at β = {sign}" for sign, share in exact.items())
        said.append(
            f"At d = {d} and n = {n}, {n / d:g} d, softmax attention gives back these shares of the values exactly: "
            f"{shares}, and ranks {first:.0f} % first at least"
        )
    if every:
        whole = sum(row["value"] == 1 for row in every)
        said.append(
            f"kernel ridge regression with h = {BANDWIDTHS[0]:g} gives back every value in {whole} of {len(every)} "
            f"cells, up to n = {every[-1]['n']}"
        )
    for h in BANDWIDTHS[1:]:
        words = f"with h = {h:g} its ridge resolves degree {resolved_degree(h)}, and half are exact at n/N"
        said.append(_of_law(rows, KERNEL_RIDGE[h], EXACT, words))
    words = "the kernel of degree 2 ranks half first at a load 2 n ln n/(D d), D = d(d+2)/3,"
    said.append(_of_law(rows, QUADRATIC, ARGMAX, words))
    return "; ".join(part for part in said if part) + "."


def _of_law(rows: Rows, layer: str, notion: str, words: str) -> str:
    own = chosen(rows, layer=layer, notion=notion)
    found = [over_law(layer, d, half(chosen(own, d=d))) for d in values(own, "d")]
    known = [x for x in found if x is not None]
    return f"{words} of {number(min(known))} to {number(max(known))} over {len(known)} widths" if known else ""


def _line(own: Rows, x: Callable[[int], float], label: str, layer: str) -> Measured:
    y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
    return Measured(label, [x(row["n"]) for row in own], y, low, high, layer=layer)


def _over_typical(rows: Rows) -> str:
    found = {sign: over_typical(rows, layer) for layer, sign in SIGNS.items()}
    said = [f"{number(min(x))} to {number(max(x))} at β = {sign}" for sign, x in found.items() if x]
    return ", ".join(said) or "nothing above rounding"


def _error_panel(rows: Rows) -> Panel:
    lines: list[Series] = []
    theory: list[Series] = []
    for layer, sign in SIGNS.items():
        for d in values(chosen(rows, layer=layer), "d"):
            own = [row for row in chosen(rows, layer=layer, d=d, notion=EXACT) if row["median_error"] > ROUNDING]
            if own:  # not rounding alone
                n, label = [row["n"] for row in own], f"β = {sign}, d = {d}"
                lines.append(Measured(label, n, [row["median_error"] for row in own], layer=layer))
                predicted = [typical_error(x, d, GAINS[layer](d)) for x in n]
                theory.append(Theory(f"typical weights, {label}", n, predicted, of=label, layer=layer))
    return Panel(
        "Softmax attention: median error", "pairs n", "median ‖o - v‖", (*lines, *theory), x_log=True, y_log=True
    )


def _exact_panel(rows: Rows, bandwidth: float) -> Panel:
    layer, degree = KERNEL_RIDGE[bandwidth], resolved_degree(bandwidth)
    lines: list[Series] = []
    for d in values(chosen(rows, layer=layer), "d"):
        own = chosen(rows, layer=layer, d=d, notion=EXACT)
        if len(own) > 1:
            lines.append(_line(own, _per(harmonics(d, degree)), f"d = {d}", layer))
    law = Theory("n = N", (1.0, 1.0), (0.0, 1.0))
    title = f"Kernel ridge, h = {bandwidth:g}: recalled exactly"
    return Panel(title, f"n/N, degree ≤ {degree}", "share of pairs", (*lines, law), y_range=(-0.02, 1.05))


def _quadratic_panel(rows: Rows, notion: str) -> Panel:
    lines: list[Series] = []
    theory: list[Series] = []
    for d in values(chosen(rows, layer=QUADRATIC), "d"):
        own = chosen(rows, layer=QUADRATIC, d=d, notion=notion)
        if len(own) > 1:
            load = _load(d, notion)
            lines.append(_line(own, load, f"d = {d}", QUADRATIC))
            x = [load(row["n"]) for row in own]
            y = [quadratic_predicted(row["n"], d, notion) for row in own]
            theory.append(Theory(f"independence, d = {d}", x, y, of=f"d = {d}", layer=QUADRATIC))
    word, axis = ("ranked first", "2 n ln n/(D d)") if notion == ARGMAX else ("in the best 5 %", "n/(D d)")
    series = (*lines, *theory)
    return Panel(f"Degree 2: {word}", axis, "share of pairs", series, x_log=True, y_range=(-0.02, 1.05))


def _load(d: int, notion: str) -> Callable[[int], float]:
    size = feature_dimension(d) * d
    return (lambda n: 2 * n * float(np.log(n)) / size) if notion == ARGMAX else _per(size)


def _per(size: float) -> Callable[[int], float]:
    return lambda n: n / size


def _forgetting_panel(rows: Rows) -> Panel:
    own = chosen(rows, part=MATRIX, notion=ARGMAX)
    d = max(values(own, "d"), default=0)
    lines = []
    for layer in FORGETTING:
        found = [row for row in chosen(own, d=d, layer=layer) if row["n"] <= MOST_PER_WIDTH * d]
        if found:
            lines.append(_line(found, _per(d), layer, layer))
    title = f"Matrices, d = {d}: ranked first"
    return Panel(title, "n/d", "share of pairs", tuple(lines), x_log=True, y_range=(-0.02, 1.05))
