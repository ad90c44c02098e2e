"""Tables of the drift study: what an unpublished study stated against what was found, and the parameters."""

from itertools import product

import numpy as np
from scipy import stats

from analysis.chance import BEYOND, expected_beyond
from analysis.drift.found import coloured_ratio, deviations, filter_ratio, formula_ratios, limit
from analysis.drift.measured import COLOURED, SIZE, SLOW
from analysis.rows import Rows, chosen
from ttr_numerics.measure import bounds
from ttr_numerics.measure.intervals import Interval
from ttr_numerics.report import Table

__all__ = ["claims_table", "layers_table", "reference_gate"]

# One unpublished study, one seed; its dimensions are not stated. Ratio of excesses, half a unit of its last digit.
BY_DRIFT = {0.01: (1.458, 0.0005), 1.0: (1.14, 0.005), 10.0: (1.00, 0.005)}
PLATEAU = (1.465, 0.004, 512)
AT_MOST = {0.1: 1.13, 1.0: 1.04}
ON_COLOURED = {
    0.0: {1.0: 1.44, 10.0: 1.59, 100.0: 1.95, 1000.0: 2.35},
    1.0: {10.0: 1.60, 100.0: 2.04, 1000.0: 2.66},
}
RARE = 0.001  # more settings outside than chance gives this seldom: the closed form breaks
NAMES = {0.0: "keys as they are", 1.0: "whitened keys"}

Line = tuple[str, str, str, str, str]


def claims_table(rows: Rows) -> Table:
    """Every constant of that study with ours, its interval, theory and a verdict."""
    return Table(
        "An unpublished study's constants, tried again",
        ("claim", "stated", "measured, 95 %", "theory", "verdict"),
        [*_closed_form(rows), *_isotropic(rows), *_coloured(rows)],
        "95 % intervals. Excess of the best gated delta rule over the Kalman filter's, unless said. Confirmed: the "
        "stated number, give or take half its last digit, lies within the interval, or between it and theory where the "
        "stated number is of an unknown d. Theory: the limit d → ∞ (isotropic), norms replaced by their means "
        "(coloured).",
    )


def reference_gate() -> float:
    """The best gate at d = 32, q = 0.02, β = 1, noise 1 by the closed form."""
    return bounds.best_gate(32, 0.02, 1.0, 1.0)


def _closed_form(rows: Rows) -> list[Line]:
    z, found = deviations(rows), formula_ratios(rows)
    weights = np.array([(interval.high - interval.low) ** -2.0 for _, interval in found])
    pooled = float(np.sum(weights * [interval.value for _, interval in found]) / np.sum(weights))
    half = float(np.sum(weights)) ** -0.5 / 2
    inside, n, gate = int(np.sum(np.abs(z) <= BEYOND)), len(z), reference_gate()
    chance = expected_beyond(row["trials"] for row, _ in found)
    return [
        (
            "closed form of the gated delta rule, within 3 standard errors",
            "0.5 % on 42 settings",
            f"{inside} of {n} settings",
            f"chance alone: {chance:.1f} outside",
            "holds" if stats.poisson.sf(n - inside - 1, chance) > RARE else "breaks",
        ),
        (
            "measured over closed form, all settings",
            "1",
            _words(Interval(pooled, pooled - half, pooled + half, n)),
            "1",
            _verdict(1.0, 0.0, pooled - half, pooled + half),
        ),
        (
            "best gate, d = 32, q = 0.02, β = 1, noise 1",
            "0.951",
            f"{gate:.4f} (closed form)",
            f"{gate:.4f}",
            _verdict(0.951, 5e-4, gate, gate),
        ),
    ]


def _isotropic(rows: Rows) -> list[Line]:
    found, lines = chosen(rows, part="filter", noise=0.0), []
    for qd, (stated, unit) in BY_DRIFT.items():
        by_d = sorted(chosen(found, qd=qd), key=lambda row: row["d"])
        if not by_d:
            continue
        of = filter_ratio(by_d[-1])
        low = min([of.low, *(filter_ratio(row).low for row in by_d if row["d"] >= 64)])
        verdict = _verdict(stated, unit, low, max(of.high, limit(qd, 0.0)))
        label = f"noiseless, qd = {qd:g}; here d = {by_d[-1]['d']}"
        lines.append((label, f"{stated:g}", _words(of), f"{limit(qd, 0.0):.4f}", verdict))
    stated, unit, d = PLATEAU
    for row in chosen(found, d=d):
        of, theory = filter_ratio(row), limit(row["qd"], 0.0)
        verdict = _verdict(stated, unit, of.low, max(of.high, theory)) + "; 4/e as qd → 0, by our derivation"
        lines.append(
            (f"plateau, d = {d}, qd = {row['qd']:g}", f"{stated} ± {unit}", _words(of), f"{theory:.4f}", verdict)
        )
    return lines + [
        _at_most(rows, noise, most) for noise, most in AT_MOST.items() if chosen(rows, part="filter", noise=noise)
    ]


def _at_most(rows: Rows, noise: float, most: float) -> Line:
    """The largest ratio over drifts, at the largest dimension that breaks the bound, or at the smallest."""
    by_d: dict[int, Interval] = {}
    for row in chosen(rows, part="filter", noise=noise):
        of = filter_ratio(row)
        by_d[row["d"]] = max(by_d.get(row["d"], of), of, key=lambda interval: interval.value)
    broken = [d for d, of in by_d.items() if of.low > most]
    shown = max(broken) if broken else min(by_d)
    verdict = f"broken up to d = {shown}, not beyond" if broken else "confirmed"
    theory = max(limit(float(qd), noise) for qd in np.geomspace(1e-3, 10, 40))
    label = f"noise {noise:g}, the largest over qd; here d = {shown}"
    return (label, f"at most {most}", _words(by_d[shown]), f"{theory:.4f}", verdict)


def _coloured(rows: Rows) -> list[Line]:
    lines = []
    for power, stated in ON_COLOURED.items():
        for cond, number in stated.items():
            of = coloured_ratio(rows, cond, power)
            if of is not None:
                label = f"{NAMES[power]}, condition {cond:g}, qd = 0.01"
                theory = f"{_coloured_theory(cond, power):.3f}"
                lines.append((label, f"{number:g}", _words(of), theory, _verdict(number, 0.005, of.low, of.high)))
    plain = coloured_ratio(rows, 1.0, 0.0)
    for cond in (10.0, 100.0, 1000.0):
        of = coloured_ratio(rows, cond, 0.5)
        if of is not None and plain is not None:
            apart = f"{100 * (of.value / plain.value - 1):+.1f} % from isotropic here"
            label, theory = f"metric Σ^-1/2, condition {cond:g}, qd = 0.01", f"{_coloured_theory(cond, 0.5):.3f}"
            inside = of.low <= plain.high and plain.low <= of.high
            lines.append(
                (label, "as isotropic", _words(of), theory, f"{'confirmed' if inside else 'not quite'}: {apart}")
            )
    return lines


def _coloured_theory(cond: float, power: float) -> float:
    """The closed approximation of the gated delta rule over (E √λ)² times the isotropic filter's limit."""
    spectrum = np.geomspace(1.0, 1 / cond, COLOURED)
    spectrum /= np.mean(spectrum)
    filtered = float(np.mean(spectrum**0.5)) ** 2 * bounds.kalman_drift_limit(SLOW)
    return bounds.coloured_gated_delta_rule_error(spectrum.tolist(), SLOW / COLOURED, 1.0, power) / filtered


def _words(of: Interval) -> str:
    return f"{of.value:.4f} ({of.low:.4f} to {of.high:.4f})"


def _verdict(stated: float, unit: float, low: float, high: float) -> str:
    if low - unit <= stated <= high + unit:
        return "confirmed"
    return f"differs by {100 * (stated / (high if stated > high else low) - 1):+.1f} % or more"


def layers_table(rows: Rows) -> Table:
    """Excess and parameters of every layer."""
    found = chosen(rows, part="other layers")
    cells = product(dict.fromkeys(row["noise"] for row in found), dict.fromkeys(row["qd"] for row in found))
    lines = [
        (noise, qd, row["method"], row["value"], row["low"], row["high"], row["parameters"])
        for noise, qd in cells
        for row in chosen(found, noise=noise, qd=qd)
    ]
    return Table(
        f"Each layer at the best of its grid, d = {SIZE}",
        ("noise", "qd", "layer", "excess", "low", "high", "chosen"),
        lines,
        "memory: in d tokens, log_decay = -1/(memory · d). The gated delta rule takes the closed form's gate and step; "
        "all others took theirs, and an output scale, on draws of their own. 95 % intervals.",
    )
