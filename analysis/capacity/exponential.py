"""Figure: memories that hold more than d × d numbers: softmax attention with gain, and polynomial kernels."""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import optimize

from analysis.capacity.notions import ARGMAX, CLOSE, DENSE, GAIN, SIGNS, SOFTMAX, TOLERANCE
from analysis.capacity.transitions import Rows, chosen, halves, number, values, with_interval
from ttr_numerics.measure import bounds, line
from ttr_numerics.report import Figure, Measured, Panel, Series, Theory

__all__ = ["exponential_figure", "exponents", "gains_at_half", "predicted_half"]

WIDTH = 64  # d_v of the softmax cells
DIGIT = 2.0**-53  # an error below it is rounding, which may be none
HEAD = 64  # the d whose gain is drawn with all that is said about it


_dense_half = cache(bounds.dense_half)


def exponential_figure(rows: Rows) -> Figure:
    """Six panels."""
    gains = values(chosen(rows, part=SOFTMAX), "gain")
    d, n = (values(chosen(rows, part=SOFTMAX), name) for name in ("d", "n"))
    tried = [beta for beta in values(chosen(rows, part=GAIN), "beta") if beta >= 1] or [0.0]
    draws, patterns = (values(chosen(rows, part=part), "trials") or [0] for part in (SOFTMAX, DENSE))
    items = max(values(chosen(rows, part=SOFTMAX), "items"))
    return Figure(
        name="exponential",
        finding=_finding(rows),
        caption=f"Softmax attention with gain β on n unit keys and unit values of {WIDTH} channels: n at which half "
        f"come back to within ε = {TOLERANCE:g}, or rank first, against d at fixed β/d; the gain at which half come "
        "back to within ε, against n. Kernel (k·k')^p on binary patterns, signs of the output read: n at which half of "
        "the patterns have no wrong sign, and its ratio to d^p/(2(2p-1)!! ln d).",
        panels=(
            _count_panel(rows, CLOSE, f"Half of the values within {TOLERANCE:g}"),
            _count_panel(rows, ARGMAX, "Half of the values rank first"),
            _gain_panel(rows),
            _needed_panel(rows),
            _dense_panel(rows),
            _ratio_panel(rows),
        ),
        grid=f"β/d in {{{', '.join(f'{g:g}' for g in gains)}}}, d from {d[0]} to {d[-1]}, n up to {n[-1]}; up to "
        f"{items} items asked of each of {draws[0]} to {draws[-1]} draws. Gain for half within ε: 1/√d and "
        f"{len(tried)} gains from {min(tried):g} to {max(tried):g}. Patterns: {patterns[0]} to {patterns[-1]} draws.",
        interval="None in the panels: points are read off fitted transitions. Intervals of the slopes are in the "
        "table and the finding.",
        theory="Mean weights: both sums of weights at their means, an approximation. Sufficient: ln(2(n-1)/ε)/Δ at the "
        "median gap Δ, from a bound that always holds. Patterns: Gaussian noise at finite d; its limit is "
        "d^p/(2(2p-1)!! ln d), McEliece et al. at p = 1, Krotov and Hopfield's n^(N-1) law for energies of degree "
        "p + 1; here from keys to values, where it is derived anew.",
    )


def predicted_half(notion: str, d: int, gain: float) -> float:
    """Where the mean weights say that half of the values are recalled at β = gain d."""
    if notion == CLOSE:
        return bounds.softmax_error_half(d, gain * d, TOLERANCE)
    return bounds.softmax_argmax_half(d, gain * d, WIDTH)


def exponents(rows: Rows, notion: str, gain: float) -> tuple[object, object, float, int] | None:
    """ln n = a d + b at one half: the fitted line, that of the mean weights over the same d, and the limit of a."""
    d, n = halves(chosen(rows, part=SOFTMAX, notion=notion, gain=gain))
    if len(d) < 3:
        return None
    predicted = [predicted_half(notion, int(x), gain) for x in d]
    limit = bounds.softmax_exponent(gain if notion == CLOSE else 2 * gain)
    return line(d, np.log(n)), line(d, np.log(predicted)), limit, len(d)


def gains_at_half(rows: Rows, d: int) -> tuple[np.ndarray, np.ndarray]:
    """n, and the gain from which on the median error is at most ε: half within ε. Interpolated in logarithms."""
    found = []
    for n in values(chosen(rows, part=GAIN, d=d), "n"):
        own = sorted(chosen(rows, part=GAIN, d=d, n=n), key=lambda row: row["beta"])
        beta = np.log([row["beta"] for row in own])
        error = np.log([max(row["median_error"], DIGIT) for row in own])
        above = np.flatnonzero((error[:-1] > np.log(TOLERANCE)) & (error[1:] <= np.log(TOLERANCE)))
        if len(above):
            i = above[-1]
            part = (np.log(TOLERANCE) - error[i]) / (error[i + 1] - error[i])
            found.append((n, float(np.exp(beta[i] + part * (beta[i + 1] - beta[i])))))
    return np.array([n for n, _ in found], dtype=float), np.array([beta for _, beta in found])


def _finding(rows: Rows) -> str:
    gains = values(chosen(rows, part=SOFTMAX), "gain")
    said = "; ".join(
        f"{words}, {slopes}"
        for notion, words in ((CLOSE, f"to within ε = {TOLERANCE:g}"), (ARGMAX, "ranked first"))
        if (slopes := _slopes(rows, notion, gains))
    )
    return (
        "Softmax attention holds exponentially many pairs at a gain in proportion to d: the n at which half are "
        f"recalled grows like e^(ad), {said or 'nowhere measured'} (95 % intervals).{_gain_words(rows)}"
    )


def _slopes(rows: Rows, notion: str, gains: list[float]) -> str:
    fits = [(gain, exponents(rows, notion, gain)) for gain in gains]
    return ", ".join(f"a = {with_interval(fit[0].slope)} at β = {gain:g} d" for gain, fit in fits if fit)  # type: ignore[attr-defined]


def _gain_words(rows: Rows) -> str:
    n, beta = gains_at_half(rows, HEAD)
    if not len(n):
        return ""
    least = min(chosen(rows, part=GAIN, d=HEAD, n=int(n[-1])), key=lambda row: row["beta"])
    return (
        f" At d = {HEAD} and n = {int(n[-1])} unit keys the gain has to be {number(beta[-1])} for half within ε; at "
        f"1/√d = {number(least['beta'])} the share is {number(least['value'])}, the median error "
        f"{number(least['median_error'])}."
    )


def _count_panel(rows: Rows, notion: str, title: str) -> Panel:
    lines: list[Series] = []
    theory: list[Series] = []
    for gain in values(chosen(rows, part=SOFTMAX), "gain"):
        d, n = halves(chosen(rows, part=SOFTMAX, notion=notion, gain=gain))
        if not len(d):
            continue
        label = f"β = {gain:g} d"
        lines.append(Measured(label, d.tolist(), n.tolist(), layer="softmax attention"))
        predicted = [predicted_half(notion, int(x), gain) for x in d]
        theory.append(Theory(f"mean weights, {label}", d.tolist(), predicted, of=label, layer="softmax attention"))
    return Panel(title, "d", "pairs n", (*lines, *theory), y_log=True)


def _gain_panel(rows: Rows) -> Panel:
    lines: list[Series] = []
    theory: list[Series] = []
    for d in values(chosen(rows, part=GAIN), "d"):
        n, beta = gains_at_half(rows, d)
        lines.append(Measured(f"d = {d}", n.tolist(), beta.tolist(), layer="softmax attention"))
        y = [_gain_for(int(x), d) for x in n]
        theory.append(Theory(f"mean weights, d = {d}", n.tolist(), y, of=f"d = {d}", layer="softmax attention"))
    ticks = values(chosen(rows, part=GAIN), "n")
    return Panel(
        "Gain for half within ε", "pairs n", "gain β", (*lines, *theory), x_log=True, y_log=True, x_ticks=ticks
    )


def _gain_for(n: int, d: int) -> float:
    """The gain at which `softmax_error_half` is n."""

    def excess(log_gain: float) -> float:
        return bounds.softmax_error_half(d, float(np.exp(log_gain)), TOLERANCE) - n

    return float(np.exp(optimize.brentq(excess, np.log(0.5), np.log(500.0))))


def _needed_panel(rows: Rows) -> Panel:
    n, beta = gains_at_half(rows, HEAD)
    own = {row["n"]: row["sufficient"] for row in chosen(rows, part=GAIN, d=HEAD)}
    lines: list[Series] = [Measured("measured", n.tolist(), beta.tolist(), layer="softmax attention")]
    lines.append(Theory("sufficient by the bound", n.tolist(), [own[int(x)] for x in n], layer="softmax attention"))
    lines.append(Theory("1/√d", n.tolist(), [HEAD**-0.5] * len(n), of="measured"))
    title = f"Gain for half within ε, d = {HEAD}"
    return Panel(title, "pairs n", "gain β", tuple(lines), x_log=True, y_log=True, x_ticks=n.tolist())


def _patterns(
    rows: Rows, y: Callable[[np.ndarray, np.ndarray, int], np.ndarray], theory: Callable[[int, int], float]
) -> tuple[Series, ...]:
    lines: list[Series] = []
    dashed: list[Series] = []
    for degree in values(chosen(rows, part=DENSE), "degree"):
        d, n = halves(chosen(rows, part=DENSE, degree=degree, notion=SIGNS))
        label = f"p = {degree}"
        lines.append(Measured(label, d.tolist(), y(d, n, degree).tolist(), layer=f"kernel of degree {degree}"))
        predicted = [theory(int(x), degree) for x in d]
        dashed.append(Theory(f"Gaussian, {label}", d.tolist(), predicted, of=label, layer=f"kernel of degree {degree}"))
    return (*lines, *dashed)


def _dense_panel(rows: Rows) -> Panel:
    series = _patterns(rows, lambda d, n, p: n, _dense_half)
    return Panel("Half of the patterns without a wrong sign", "d", "patterns n", series, x_log=True, y_log=True)


def _ratio_panel(rows: Rows) -> Panel:
    def ratio(d: np.ndarray, n: np.ndarray, degree: int) -> np.ndarray:
        return n / np.array([bounds.dense_capacity(int(x), degree) for x in d])

    series = _patterns(rows, ratio, lambda d, p: _dense_half(d, p) / bounds.dense_capacity(d, p))
    return Panel("Over the law d^p/(2(2p-1)!! ln d)", "d", "n over the law", series, x_log=True)
