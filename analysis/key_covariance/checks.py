"""The closed forms against every row they speak of."""

from collections.abc import Iterable, Iterator

from analysis.chance import COLUMNS, counted
from analysis.key_covariance.memories import LINEAR
from analysis.key_covariance.recall import RANDOM_VALUES
from analysis.key_covariance.rows import Row, mean_error
from analysis.key_covariance.tracking import ANNEALED, LINEAR_FIXED, RLS
from analysis.rows import Rows, chosen
from ttr_numerics.measure import bounds
from ttr_numerics.report import Table

__all__ = ["check_table", "checks"]

RARE = 1e-3  # below it the mean of a product of many random factors is made of rare draws
NARROW = 0.1  # d(1-γ) up to which the heuristic is said to hold

Deviation = tuple[float, int]  # in standard errors, and of how many draws


def check_table(rows: Rows) -> Table:
    """Every closed form drawn: how many means lie outside, and how many would by chance."""
    lines = []
    for name, status, deviations in checks(rows):
        lines.append(counted(name, status, list(deviations)))
    return Table(
        "Closed forms against every row they speak of",
        COLUMNS,
        lines,
        "Chance by Student's t of the draws; treatments of the same draws err together. The heuristic is expected to "
        f"break above: it is drawn to show where. The falling step is checked where its error is above {RARE:g}: "
        "below, without noise, the mean is made of rare draws.",
    )


def checks(rows: Rows) -> Iterator[tuple[str, str, Iterable[Deviation]]]:
    """(formula, status, deviation of every mean)."""
    random = [row for name in ("spectrum", "mean key") for row in chosen(rows, part=name, layer=LINEAR)]
    gaps = [_in_errors(row["gap"], row["gap_error"], row["trials"]) for row in random]
    yield "1 - PR/n, linear attention at scale PR/n, random keys", "exact in expectation", gaps
    yield "the same, stored keys with random values", "exact in expectation", _stored(rows)
    turned = chosen(rows, part="rotary", metric="gap")
    yield "rotary recall error, s tokens off", "exact", [_deviation(row, 0.0) for row in turned]
    unseen = chosen(rows, part="unseen")
    linear = [_deviation(row, bounds.hebbian_regression_error(*_at(row))) for row in chosen(unseen, layer=LINEAR_FIXED)]
    yield "(d+1+dσ²)/(n+d+1+dσ²), linear attention, Σ^-1/2", "exact", linear
    falling = [(row, _falling(*_at(row))) for row in chosen(unseen, layer=ANNEALED)]
    yield "recursion of the falling step, Σ^-1/2", "exact", [_deviation(row, x) for row, x in falling if x > RARE]
    over = [row for row in chosen(unseen, layer=RLS) if row["noise"] and row["n"] > row["d"] + 1]
    least = [_deviation(row, bounds.least_norm_regression_error(*_at(row))) for row in over]
    yield "σ²d/(n-d-1), RLS with ridge → 0", "exact", least
    yield "σ²β/(2-β)·d/(d-2), constant step", "exact in the limit", _steps(chosen(rows, part="steady step"))
    forgetting = chosen(rows, part="steady forgetting")
    near = [row for row in forgetting if row["d"] * (1 - row["decay"]) < NARROW]
    yield f"σ²d(1-γ)/(1+γ), forgetting, d(1-γ) below {NARROW:g}", "heuristic", _gates(near)
    yield "the same, above", "heuristic", _gates([row for row in forgetting if row not in near])


def _stored(rows: Rows) -> Iterator[Deviation]:
    keys = chosen(rows, part="keys", metric="recall error", values=RANDOM_VALUES)
    for source, treatment in dict.fromkeys((row["source"], row["treatment"]) for row in keys):
        mean = mean_error(keys, source, treatment, "gap", RANDOM_VALUES)
        if mean is not None and mean.trials > 1:
            yield _in_errors(mean.value, mean.high - mean.value, mean.trials)


def _steps(own: Rows) -> list[Deviation]:
    return [_deviation(r, bounds.normalized_delta_misadjustment(r["d"], r["noise"], r["beta"])) for r in own]


def _gates(own: Rows) -> list[Deviation]:
    return [_deviation(r, bounds.forgetting_misadjustment(r["d"], r["noise"], r["decay"])) for r in own]


def _falling(n: int, d: int, noise: float) -> float:
    return float(bounds.normalized_delta_errors(d, noise, bounds.best_normalized_steps(n, d, noise))[-1])


def _at(row: Row) -> tuple[int, int, float]:
    return row["n"], row["d"], row["noise"]


def _deviation(row: Row, formula: float) -> Deviation:
    return _in_errors(row["value"] - formula, row["high"] - row["value"], row["trials"])


def _in_errors(difference: float, error: float, trials: int) -> Deviation:
    if error > 0:
        return difference / error, trials
    return (0.0 if difference == 0 else float("inf")), trials
