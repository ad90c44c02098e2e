"""How many digits does each solver lose to the condition number of the keys, and how well conditioned are real keys?

Least-squares problems with prescribed cond(K) whose exact solution is known from rational arithmetic on the stored
numbers. Measured: the true error of the solution matrix, and LAPACK's residual ratio on the data (K, V).
A solver that refuses is recorded as refused. Then the condition number of Gaussian keys against the
Marchenko-Pastur limit, and that of captured keys.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.arrays import LinAlgError, solve_posdef
from ttr_numerics.axes import Moments
from ttr_numerics.backward import THRESHOLD, solve_ratio
from ttr_numerics.measure import (
    bounds,
    centred,
    condition_number,
    forward_error,
    geometric_interval,
    residual_ratio,
    unit_rows,
)
from ttr_numerics.report import Figure, Measured, Panel, Section, Series, Table, Theory
from ttr_numerics.report.notation import cell, number

SEED = 20261
PAIRS, DIMENSION, VALUES = 32, 16, 4
CONDITIONS = {"float64": tuple(10.0**e for e in range(13)), "float32": tuple(10.0**e for e in range(6))}
DRAWS = 10
ASPECTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2 / 3, 4 / 5, 9 / 10, 1.0)
GAUSSIAN_DIMENSION, GAUSSIAN_DRAWS = 64, 40
REAL_LOADS = (1.25, 1.5, 2, 3, 4, 8)

LEAST_NORM, RIDGE, DUAL = "exact.least_norm", "exact.ridge", "exact.ridge_dual"
CHOLESKY = "Cholesky of the Gram matrix"
PREFIXES, RECURSIVE, MESA = "ridge_prefixes_by_moments", "exact.recursive_least_squares", "layers.mesa"
# What really computes: numpy.linalg takes float32 to float64 and rounds the result, SciPy does not.
ROUTINE = {
    LEAST_NORM: ("SVD (LAPACK gelsd, SciPy)", "float32 throughout"),
    RIDGE: ("QR of K and triangular solve (NumPy)", "both in float64, rounded between"),
    CHOLESKY: (
        "K'K and K'V formed, arrays.solve_posdef",
        "Gram in float32; factor, solves in float64, rounded between",
    ),
    DUAL: ("Cholesky of KK' + λI (NumPy)", "as Cholesky of the Gram matrix"),
    PREFIXES: ("Cholesky of K'K (NumPy), last position", "as Cholesky of the Gram matrix"),
    RECURSIVE: ("Sherman-Morrison on (K'K + λI)⁻¹", "float32 throughout"),
    MESA: ("Cholesky of K'K (NumPy), Gram summed token by token", "as Cholesky of the Gram matrix"),
}
BACKWARD_STABLE = (LEAST_NORM, RIDGE)
NEED_RIDGE = (DUAL, RECURSIVE)  # they get 0.01/cond², the others solve without
ERROR, RATIO, GRAM = "relative error", "residual ratio", "Gram ratio"
RAW, CENTRED, UNIT = "as captured", "centred", "unit norm"


def solve(solver: str, problem: tasks.SolvedProblem) -> np.ndarray:
    """The solution matrix (d, d_v) as `solver` computes it in the dtype of the problem; raises LinAlgError."""
    K, V, ridge = problem.K, problem.V, problem.ridge if solver in NEED_RIDGE else 0.0
    match solver:
        case "exact.least_norm":
            return exact.least_norm(K, V).S
        case "exact.ridge":
            return exact.ridge(K, V, ridge).S
        case "exact.ridge_dual":
            return exact.ridge_dual(K, V, ridge)
        case "Cholesky of the Gram matrix":
            return solve_posdef(K.T @ K + K.dtype.type(ridge) * np.eye(K.shape[-1], dtype=K.dtype), K.T @ V)
        case "exact.recursive_least_squares":
            return exact.recursive_least_squares(K, K, V, ridge=ridge).state.S
    # The moments do not depend on the ridge: they are collected under a large one, then read at the small one by
    # tokens that write nothing, with the identity as queries.
    eye, silent = np.eye(K.shape[-1], dtype=K.dtype), np.zeros(K.shape[-1], dtype=K.dtype)
    empty = np.zeros((K.shape[-1], V.shape[-1]), dtype=V.dtype)
    if solver == PREFIXES:
        state: Moments = exact.ridge_prefixes_by_moments(K, K, V, ridge=1.0).state
        return exact.ridge_prefixes_by_moments(eye, 0 * eye, empty, ridge=ridge, weights=silent, initial_state=state).o
    state = layers.mesa(K, K, V, ridge=1.0).state
    return layers.mesa(eye, 0 * eye, empty, ridge=ridge, beta=silent, initial_state=state).o


def solver_rows(dtype: str, cond: float, draws: int) -> list[dict[str, Any]]:
    """One row for each solver: the fate of all draws, and the geometric means over those that were solved."""
    seeds = [[SEED, int(dtype[-2:]), round(np.log10(cond)), draw] for draw in range(draws)]
    kind = np.dtype(dtype).type
    problems = [
        tasks.solved_problem(np.random.default_rng(seed), PAIRS, DIMENSION, VALUES, cond, kind) for seed in seeds
    ]
    stored = geometric_interval(np.array([float(condition_number(p.K.astype(float))) for p in problems])).value
    cell = {"part": "solvers", "dtype": dtype, "prescribed": cond, "cond": stored}
    rows = []
    for solver in ROUTINE:
        metrics = (ERROR,) if solver in NEED_RIDGE else (ERROR, RATIO, GRAM)
        found: dict[str, list[float]] = {metric: [] for metric in metrics}
        refused = 0
        for problem in problems:
            try:
                S = solve(solver, problem)
            except LinAlgError:
                refused += 1
                continue
            for metric, value in judge(solver, problem, S).items():
                found[metric].append(value)
        for metric, values in found.items():
            row = cell | {"solver": solver, "metric": metric, "refused": refused, "draws": draws}
            kept = np.maximum(np.array(values), np.finfo(float).tiny)
            state = {"state": "solved" if not refused else "partly refused" if values else "refused"}
            mean = geometric_interval(kept)._asdict() if values else dict.fromkeys(("value", "low", "high"))
            largest = {"largest": float(np.max(kept)) if values else None}
            rows.append(row | state | {"trials": len(values)} | mean | largest)
    return rows


def judge(solver: str, problem: tasks.SolvedProblem, S: np.ndarray) -> dict[str, float]:
    """True error of S (d, d_v), and without a ridge its residual ratio on the data and on the Gram system."""
    K, V = problem.K, problem.V
    if solver in NEED_RIDGE:  # with a ridge the data do not fit, and their residual says nothing about rounding
        return {ERROR: float(forward_error(S.astype(float), problem.S_ridge))}
    return {
        ERROR: float(forward_error(S.astype(float), problem.S)),
        RATIO: float(residual_ratio(K, S, V)),
        GRAM: float(solve_ratio(K.T @ K, S, K.T @ V)),
    }


def random_rows(aspect: float, draws: int) -> dict[str, Any]:
    """cond(K) of n × d Gaussian keys with d/n = `aspect`."""
    n = round(GAUSSIAN_DIMENSION / aspect)
    rng = np.random.default_rng([SEED, n])
    conds = condition_number(rng.standard_normal((draws, n, GAUSSIAN_DIMENSION)))
    cell = {"part": "keys", "source": "Gaussian", "keys": "Gaussian", "n": n, "d": GAUSSIAN_DIMENSION}
    return cell | geometric_interval(conds)._asdict()


def real_rows(real: tasks.Captured) -> list[dict[str, Any]]:
    """cond(K) of each head, of the first n tokens, as captured, centred and scaled to unit norm."""
    K = real.k.astype(float)
    rows = []
    for n in [round(load * K.shape[-1]) for load in REAL_LOADS if load * K.shape[-1] <= K.shape[-2]]:
        first = K[:, :n]
        for keys, X in ((RAW, first), (CENTRED, centred(first)), (UNIT, unit_rows(first))):
            cell = {"part": "keys", "source": real.name, "keys": keys, "n": n, "d": K.shape[-1]}
            rows += [cell | {"head": head, "value": float(c)} for head, c in enumerate(condition_number(X))]
    return rows


def measure(
    progress: Callable[..., Iterable[Any]],
    conditions: dict[str, Sequence[float]] | None = None,
    draws: int = DRAWS,
    aspects: Sequence[float] = ASPECTS,
    gaussian_draws: int = GAUSSIAN_DRAWS,
) -> list[dict[str, Any]]:
    """The rows of the given grid; a smaller grid gives the same cells, fewer of them."""
    grid = CONDITIONS if conditions is None else conditions
    rows = []
    for dtype, cond in progress([(dtype, cond) for dtype, conds in grid.items() for cond in conds]):
        rows += solver_rows(dtype, cond, draws)
    rows += [random_rows(aspect, gaussian_draws) for aspect in aspects]
    return rows + [row for real in tasks.captured() for row in real_rows(real)]


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    stable, squared = (cell(_slope(rows, solver, "float64")) for solver in (RIDGE, CHOLESKY))
    refused = [row["prescribed"] for row in _solver(rows, CHOLESKY, "float64", ERROR) if row["refused"]]
    return Section(
        name="conditioning",
        title="Digits lost to the condition number",
        question="How many digits does each solver lose to the condition number of the keys, and how well conditioned "
        "are real keys?",
        answer=f"QR of the keys loses {stable} digits for each digit of cond(K); Cholesky of the Gram matrix loses "
        f"{squared}, and in float64 starts to refuse at {number(min(refused, default=np.inf))}. " + _real_answer(rows),
        compared="Every solver with the exact solution of its own problem, found in rational arithmetic from the "
        "stored numbers; Gaussian keys with the Marchenko-Pastur limit, and captured keys with both.",
        figures=(_error_figure(rows), _ratio_figure(rows), _keys_figure(rows)),
        tables=(_solver_table(rows), _gram_table(rows), _keys_table(rows)),
        limits=(
            f"One shape of problem: {PAIRS} pairs, {DIMENSION} key and {VALUES} value channels, singular values in "
            "geometric progression, values that fit exactly before rounding. Values that do not fit add a term in "
            "cond(K) squared for every solver (Wedin).",
            "float32 ends at 10⁵: above 1/(32 eps) = 2.6×10⁵ `exact.least_norm` counts small singular values as zero.",
            "Only the CPU routines named here; no bfloat16 or float16, which the solvers refuse.",
        ),
    )


def _real_answer(rows: Sequence[dict[str, Any]]) -> str:
    real = next(row["source"] for row in rows if row["part"] == "keys" and "head" in row)
    raw, middle = (_heads(rows, real, keys) for keys in (RAW, CENTRED))
    return (
        f"The {len(raw)} key heads of {real} have cond(K) from {min(raw):.0f} to {max(raw):.0f}, and {min(middle):.0f} "
        f"to {max(middle):.0f} once the mean key is removed: the Gram matrix squares that."
    )


def _error_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    worst = {
        solver: max(
            row["largest"] / (row["cond"] * np.finfo(row["dtype"]).eps / 2)
            for row in _all(rows, solver, ERROR)
            if row["value"] is not None
        )
        for solver in BACKWARD_STABLE
    }
    return Figure(
        name="error",
        finding="Two laws, two lines: solvers that factor the keys themselves follow cond(K) times the unit roundoff "
        f"(never above {max(worst.values()):.1f} times it), solvers that form the Gram matrix follow its square until "
        "nothing is left or they refuse.",
        caption="Relative error of the solution matrix, ‖Ŝ - S‖/‖S‖, against cond(K) of the stored keys; geometric "
        f"mean and 95 % interval over up to {_draws(rows)} draws. Dashed: cond(K)·u and cond(K)²·u, u = 2⁻⁵³ or 2⁻²⁴. "
        "A line that ends early was refused from there on (table). `exact.ridge_dual` and recursive least squares "
        "need a ridge, 0.01/cond², and are judged against that solution. float32 names the type of the data: which "
        "steps really run in it is in the table.",
        panels=tuple(
            Panel(
                f"{dtype} data",
                "cond(K) = largest/smallest singular value",
                "relative error of S",
                (*(_curve(rows, solver, dtype, ERROR) for solver in ROUTINE), *_laws(rows, dtype)),
                x_log=True,
                y_log=True,
                y_range=(float(np.finfo(dtype).eps) / 8, 30.0),
            )
            for dtype in CONDITIONS
        ),
    )


def _laws(rows: Sequence[dict[str, Any]], dtype: str) -> list[Series]:
    x = sorted({row["cond"] for row in _all(rows, LEAST_NORM, ERROR) if row["dtype"] == dtype})
    u = float(np.finfo(dtype).eps) / 2
    return [Theory("cond(K)·u", x, [c * u for c in x]), Theory("cond(K)²·u", x, [min(c * c * u, 30.0) for c in x])]


def _ratio_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    stable = max(row["largest"] for solver in BACKWARD_STABLE for row in _all(rows, solver, RATIO) if row["trials"])
    gram = [row for row in _solver(rows, CHOLESKY, "float64", RATIO) if row["trials"] and row["value"] > THRESHOLD]
    first = f"cond(K) = {number(gram[0]['prescribed'])}" if gram else "no measured condition number"
    return Figure(
        name="ratio",
        finding="The residual on the data shows it without knowing the answer: SVD and QR stay at or below "
        f"{stable:.2g} in LAPACK's units at every condition number, Cholesky of the Gram matrix passes the threshold "
        f"of {THRESHOLD:.0f} from {first} on.",
        caption="LAPACK's residual ratio for systems that fit, ‖V - KŜ‖₁/(‖K‖₁‖Ŝ‖₁ max(T, d) u), in multiples of the "
        "unit roundoff u; geometric mean and 95 % interval. Below 30 counts as solved. Solvers that need a ridge are "
        "left out: with it the data no longer fit.",
        panels=tuple(
            Panel(
                f"{dtype} data",
                "cond(K) = largest/smallest singular value",
                "residual ratio, multiples of u",
                (
                    *(_curve(rows, solver, dtype, RATIO) for solver in ROUTINE if solver not in NEED_RIDGE),
                    _threshold(rows, dtype),
                ),
                x_log=True,
                y_log=True,
            )
            for dtype in CONDITIONS
        ),
    )


def _threshold(rows: Sequence[dict[str, Any]], dtype: str) -> Theory:
    x = sorted({row["cond"] for row in _all(rows, LEAST_NORM, RATIO) if row["dtype"] == dtype})
    return Theory("LAPACK's threshold 30", (x[0], x[-1]), (THRESHOLD, THRESHOLD))


def _keys_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    random = [row for row in rows if row["part"] == "keys" and "head" not in row]
    aspects = [row["d"] / row["n"] for row in random]
    x, y, low, high = aspects, *([row[name] for row in random] for name in ("value", "low", "high"))
    measured = Measured("Gaussian keys", x, y, low, high)
    fine = np.linspace(min(x), min(max(x), 0.98), 60).tolist()
    theory = Theory("Marchenko-Pastur", fine, [bounds.marchenko_pastur_condition(g) for g in fine], of="Gaussian keys")
    real = [row for row in rows if row["part"] == "keys" and "head" in row]
    sources = list(dict.fromkeys(row["source"] for row in real))
    panels = [(source, (*_head_lines(real, source), measured, theory)) for source in sources]
    name, own = sources[0], {keys: float(np.median(_heads(rows, sources[0], keys))) for keys in (RAW, CENTRED, UNIT)}
    n, d = max((row["n"], row["d"]) for row in real if row["source"] == name)
    return Figure(
        name="keys",
        finding=f"Captured keys are much worse conditioned than random ones: {n} tokens of {name} have a median "
        f"cond(K) of {own[RAW]:.0f}, where Gaussian keys of that shape have "
        f"{bounds.marchenko_pastur_condition(d / n):.0f}. Removing the mean key leaves {own[CENTRED]:.0f}; scaling the "
        f"keys to unit norm leaves {own[UNIT]:.0f}.",
        caption="cond(K) against d/n for the first n tokens: median head, bars from the best to the worst head; keys "
        f"as captured, centred, scaled to unit norm. Gaussian keys, d = {random[0]['d']}: geometric mean and 95 % "
        f"interval over {random[0]['trials']} draws; dashed the limit (1+√(d/n))/(1-√(d/n)), below which finite sizes "
        "lie. SmolLM2's weights are 4-bit dequantised.",
        panels=tuple(
            Panel(title, "d/n (key channels per pair)", "cond(K)", series, y_log=True) for title, series in panels
        ),
    )


def _head_lines(real: Sequence[dict[str, Any]], source: str) -> list[Series]:
    lines: list[Series] = []
    for keys in (RAW, CENTRED, UNIT):
        own = [row for row in real if row["source"] == source and row["keys"] == keys]
        aspects = sorted({row["d"] / row["n"] for row in own})
        heads = [[row["value"] for row in own if row["d"] / row["n"] == g] for g in aspects]
        middle, low, high = ([float(f(c)) for c in heads] for f in (np.median, min, max))
        lines.append(Measured(keys, aspects, middle, low, high))
    return lines


def _solver_table(rows: Sequence[dict[str, Any]]) -> Table:
    cells = []
    for solver, (routine, single) in ROUTINE.items():
        own = _solver(rows, solver, "float64", ERROR)
        refused = [row["prescribed"] for row in own if row["refused"]]
        half = [row["prescribed"] for row in own if row["value"] is None or row["value"] > 1e-8]
        digits = _slope(rows, solver, "float64")
        cells.append((solver, routine, single, digits, min(half, default=None), min(refused, default=None)))
    return Table(
        "What each solver is, and what it loses",
        (
            "solver",
            "routine",
            "float32 data",
            "digits lost per digit",
            "half are lost from",
            "refuses from",
        ),
        cells,
        "float64, by cond(K). Digits lost per digit of cond(K): slope of log error over log cond(K) between 10² and "
        "where the error reaches 10⁻². A dash: not within the measured range. A refusal is a `LinAlgError` that names "
        "the reason.",
    )


def _gram_table(rows: Sequence[dict[str, Any]]) -> Table:
    cells = []
    for error in _solver(rows, CHOLESKY, "float64", ERROR):
        gram = next(row for row in _solver(rows, CHOLESKY, "float64", GRAM) if row["cond"] == error["cond"])
        least = next(row for row in _solver(rows, LEAST_NORM, "float64", ERROR) if row["cond"] == error["cond"])
        backward = None if gram["value"] is None else gram["value"] * 2.0**-53
        fate = error["state"] if not error["refused"] else f"refused {error['refused']} of {error['draws']}"
        cells.append((error["prescribed"], backward, error["value"], least["value"], fate))
    return Table(
        "The Gram matrix hides its own error",
        (
            "cond(K)",
            "backward error on the Gram system",
            "true error",
            "true error of exact.least_norm",
            "Cholesky of the Gram matrix",
        ),
        cells,
        "float64. The Gram system is solved to rounding while its solution is far from that of the data: a residual "
        "must be taken on (K, V). Backward error: max ‖b - Ax‖₁/(‖A‖₁‖x‖₁). Geometric means over the draws solved.",
    )


def _keys_table(rows: Sequence[dict[str, Any]]) -> Table:
    real = [row for row in rows if row["part"] == "keys" and "head" in row]
    cells = []
    last = {row["source"]: row["n"] for row in real}
    for source, keys, n, d in dict.fromkeys((row["source"], row["keys"], row["n"], row["d"]) for row in real):
        if n != last[source]:
            continue
        own = [row["value"] for row in real if (row["source"], row["keys"], row["n"]) == (source, keys, n)]
        limit = bounds.marchenko_pastur_condition(d / n)
        cells.append((source, n, d, keys, min(own), float(np.median(own)), max(own), limit))
    return Table(
        "cond(K) of captured keys",
        ("keys", "n", "d", "treatment", "smallest head", "median head", "largest head", "Marchenko-Pastur limit"),
        cells,
        "cond(K'K) is the square. SmolLM2's keys are taken after the rotary embedding; its weights are 4-bit "
        "dequantised.",
    )


def _all(rows: Sequence[dict[str, Any]], solver: str, metric: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["part"] == "solvers" and row["solver"] == solver and row["metric"] == metric]


def _solver(rows: Sequence[dict[str, Any]], solver: str, dtype: str, metric: str) -> list[dict[str, Any]]:
    return [row for row in _all(rows, solver, metric) if row["dtype"] == dtype]


def _draws(rows: Sequence[dict[str, Any]]) -> int:
    return max(row["draws"] for row in rows if row["part"] == "solvers")


def _heads(rows: Sequence[dict[str, Any]], source: str, keys: str) -> list[float]:
    own = [row for row in rows if row["part"] == "keys" and row["source"] == source and row["keys"] == keys]
    return [row["value"] for row in own if row["n"] == max(row["n"] for row in own)]


def _curve(rows: Sequence[dict[str, Any]], solver: str, dtype: str, metric: str) -> Measured:
    own = [row for row in _solver(rows, solver, dtype, metric) if row["value"] is not None]
    return Measured(solver, *([row[name] for row in own] for name in ("cond", "value", "low", "high")))


def _slope(rows: Sequence[dict[str, Any]], solver: str, dtype: str) -> float | None:
    """d log error / d log cond between cond 10² and an error of 10⁻²; None for fewer than two points."""
    own = [row for row in _solver(rows, solver, dtype, ERROR) if row["prescribed"] >= 100 and row["state"] == "solved"]
    own = [row for row in own if row["value"] <= 1e-2]
    if len(own) < 2:
        return None
    return float(np.polyfit(np.log([row["cond"] for row in own]), np.log([row["value"] for row in own]), 1)[0])
