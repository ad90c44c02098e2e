"""How far is each layer from the regression it stands for, as more associations are stored?

n pairs of unit keys and values are written in one pass; then the final state is read at every stored key. Random:
isotropic unit keys, unit values. Real: the first n tokens of captured keys, scaled to unit norm, with their values;
the heads are the repetitions. Two squared distances are reported relative to the values: the recall error (to the
values) and the distance to the exact solution of the layer's own regression problem, read at the same keys.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ttr_numerics import exact, layers, tasks
from ttr_numerics.axes import Output
from ttr_numerics.measure import best_scale, bounds, mean_interval, relative_squared_error, unit_rows
from ttr_numerics.report import Figure, Measured, Panel, Section, Series, Table, Theory
from ttr_numerics.report.notation import number

SEED = 20260
DIMENSION = 64
LOADS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
TRIALS = 40
REAL_PAIRS = (8, 16, 32, 64, 128, 256)
DECAY = 1 - 2.0**-6  # a RetNet head: half of a value is left after 44 tokens
RIDGE = 0.25  # MesaNet's smallest regulariser
RELATIVE_RIDGE = 0.02  # Gated KalmaNet's regulariser, in units of the Frobenius norm of K'K
STEPS = tuple(np.geomspace(0.02, 1.0, 24).tolist())  # where real keys look for their best constant step

RANDOM = "random unit keys"
LA, LA_SCALED = "linear attention", "linear attention, scaled"
GLA, GLA_SCALED = "gated linear attention", "gated linear att., scaled"
DELTA, DELTA_BEST, GATED_DELTA = "delta rule, β = 1", "delta rule, best β", "gated delta rule, β = 1"
MESA, KALMA, SOFTMAX, LS = "mesa, ridge 0.25", "ridge 0.02‖K'K‖", "softmax, logits √d cos", "least squares"
RECALL, DISTANCE = "recall error", "distance to target"

# Values computed beforehand by an independent program for the same experiment (d = 64), to three digits.
REFERENCE = {
    LA: (0.109, 0.234, 0.484, 0.984, 1.98, 3.98),
    LA_SCALED: (0.099, 0.190, 0.326, 0.496, 0.665, 0.799),
    DELTA: (0.060, 0.135, 0.292, 0.598, 1.06, 1.50),
    DELTA_BEST: (0.060, 0.132, 0.268, 0.466, 0.665, 0.811),
    KALMA: (0.004, 0.013, 0.053, 0.231, 0.542, 0.759),
    MESA: (0.050, 0.064, 0.106, 0.242, 0.525, 0.751),
    LS: (0.0, 0.0, 0.0, 0.0, 0.500, 0.750),
}
FORMULA_NAME = {LA: "(n-1)/d", LA_SCALED: "(n-1)/(n-1+d)", GLA: "age sum", LS: "1-d/n"}
FORMULA_NAME |= {DELTA: "recursion, β = 1", DELTA_BEST: "recursion, best β", GATED_DELTA: "recursion, gated"}
FORMULA: dict[str, Callable[[int, int], float]] = {
    LA: bounds.linear_attention_error,
    LA_SCALED: bounds.linear_attention_scaled_error,
    GLA: lambda n, d: bounds.gated_linear_attention_error(n, d, DECAY),
    DELTA: lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0))),
    DELTA_BEST: lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, bounds.best_constant_step(n, d)))),
    GATED_DELTA: lambda n, d: float(np.mean(bounds.delta_rule_errors(n, d, 1.0, DECAY))),
    LS: bounds.least_squares_floor,
}


class Reading(NamedTuple):
    """What a layer gives back at the stored keys, and what the exact solution of its problem would."""

    o: np.ndarray
    target: np.ndarray


def measure_cell(source: str, K: np.ndarray, V: np.ndarray) -> list[dict[str, Any]]:
    """Both metrics of every layer on unit keys K (m, n, d) with values V (m, n, d_v), m repetitions."""
    n, d = K.shape[-2:]
    cell = {"source": source, "n": n, "d": d}
    rows = []
    for layer, (o, target) in readings(K, V, random=source == RANDOM).items():
        distance = np.sum((o - target) ** 2, axis=(-2, -1)) / np.sum(V**2, axis=(-2, -1))
        for metric, values in ((RECALL, relative_squared_error(o, V)), (DISTANCE, distance)):
            mean = mean_interval(values)._asdict()
            extremes = {"smallest": float(np.min(values)), "largest": float(np.max(values))}
            rows.append(cell | {"layer": layer, "metric": metric} | mean | extremes)
    return rows


def readings(K: np.ndarray, V: np.ndarray, random: bool) -> dict[str, Reading]:
    """Every layer after one pass over (K, V), read at K."""
    d, one, gate = K.shape[-1], np.ones(K.shape[:-1]), np.full(K.shape[:-1], np.log(DECAY))
    least = K @ exact.least_norm(K, V).S
    aged = K @ exact.least_norm(K, V, DECAY ** np.arange(K.shape[-2])[::-1] * one).S
    additive = K @ layers.linear_attention(K, K, V).state
    gated = K @ layers.gated_linear_attention(K, K, V, log_decay=gate).state
    smooth = exact.kernel_smoother(K, K, V, kernel=exact.kernels.Gaussian(d**-0.25))
    lam = RELATIVE_RIDGE * np.linalg.norm(np.swapaxes(K, -1, -2) @ K, axis=(-2, -1))
    kalma = K @ exact.ridge(K, V, lam[..., None] * np.ones(d)).S
    return {
        LA: Reading(additive, least),
        LA_SCALED: Reading(best_scale(additive, V)[..., None, None] * additive, least),
        GLA: Reading(gated, aged),
        GLA_SCALED: Reading(best_scale(gated, V)[..., None, None] * gated, aged),
        DELTA: Reading(K @ layers.delta_rule(K, K, V, beta=one).state, least),
        DELTA_BEST: Reading(best_delta(K, V, random), least),
        GATED_DELTA: Reading(K @ layers.gated_delta_rule(K, K, V, log_decay=gate, beta=one).state, aged),
        MESA: Reading(read_mesa(K, V).o, K @ exact.ridge(K, V, RIDGE).S),
        KALMA: Reading(kalma, kalma),
        SOFTMAX: Reading(layers.bidirectional_softmax_attention(d**0.5 * K, K, V).o, smooth),
        LS: Reading(least, least),
    }


def best_delta(K: np.ndarray, V: np.ndarray, random: bool) -> np.ndarray:
    """The delta rule with its best constant step: by theory on random keys, else the best of `STEPS` for each head."""
    steps = [bounds.best_constant_step(*K.shape[-2:])] if random else STEPS
    tried = [K @ layers.delta_rule(K, K, V, beta=np.full(K.shape[:-1], step)).state for step in steps]
    best = np.argmin([relative_squared_error(o, V) for o in tried], axis=0)
    return np.stack(tried)[best, np.arange(len(K))]


def read_mesa(K: np.ndarray, V: np.ndarray) -> Output:
    """The Mesa layer's state after the last pair, read at every key by tokens that write nothing."""

    state = layers.mesa(K, K, V, ridge=RIDGE).state
    silent = np.zeros(K.shape[:-1])
    return layers.mesa(K, 0 * K, 0 * V, ridge=RIDGE, beta=silent, initial_state=state)


def measure(
    progress: Callable[..., Iterable[Any]],
    loads: Sequence[float] = LOADS,
    trials: int = TRIALS,
    real_pairs: Sequence[int] = REAL_PAIRS,
) -> list[dict[str, Any]]:
    """The rows of the given grid; a smaller grid gives the same rows, fewer of them."""
    cells: list[tuple[str, tasks.Captured | None, int]] = [(RANDOM, None, round(load * DIMENSION)) for load in loads]
    cells += [(real.name, real, n) for real in tasks.captured() for n in real_pairs]
    rows = []
    for source, real, n in progress(cells):
        if real is None:
            rng = np.random.default_rng([SEED, n])
            K, V = (tasks.isotropic_unit_keys(rng, (trials, n, DIMENSION)) for _ in range(2))
        else:
            K, V = unit_rows(real.k[:, :n]), real.v[:, :n].astype(float)
        rows += measure_cell(source, K, V)
    return rows


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    real = [source for source in sources if source != RANDOM]
    return Section(
        name="recall_error",
        title="How far each layer is from its regression",
        question="How far is each layer from the regression it stands for, as more associations are stored?",
        answer=_answer(rows, real),
        compared="Each layer's outputs, read from its final state at every stored key, with the stored values and "
        "with the exact solution of its own problem: least squares (weighted by the gate for gated layers), ridge "
        "regression for the Mesa layer, the Gaussian kernel smoother for softmax attention.",
        figures=(_random_figure(rows), _real_figure(rows, real), _distance_figure(rows, sources)),
        tables=(_real_table(rows, real), _reference_table(rows)),
        limits=(
            "Keys are scaled to unit norm everywhere: the captured norms are between 1.6 and 26, at which a delta "
            "rule with β = 1 diverges.",
            "Queries are the stored keys; generalisation to other queries is not measured.",
            "The best scale and, on real keys, the best β are fitted to the very pairs they are judged on.",
            "Heads of one layer on one text are not independent samples: their standard error describes the spread of "
            "these heads, not of models or texts.",
        ),
    )


def _answer(rows: Sequence[dict[str, Any]], real: list[str]) -> str:
    source, n = real[0], max(row["n"] for row in rows if row["source"] == real[0])
    at = {
        layer: _row(rows, source, layer, n) for layer in (LS, LA_SCALED, GLA_SCALED, DELTA, DELTA_BEST, MESA, SOFTMAX)
    }
    left = {layer: f"{row['value']:.2f} ± {row['high'] - row['value']:.2f}" for layer, row in at.items()}
    off = max(row["largest"] for row in _metric(rows, DISTANCE) if row["layer"] in (MESA, SOFTMAX))
    return (
        f"On {n} tokens of {source} least squares leaves {left[LS]} of the squared values unexplained; linear "
        f"attention at its best scale {left[LA_SCALED]}, gated linear attention {left[GLA_SCALED]}, the delta rule "
        f"{left[DELTA]} ({left[DELTA_BEST]} with its best constant step): they never undo the correlation of the keys, "
        f"or not in one pass. The Mesa layer ({left[MESA]}) and softmax attention ({left[SOFTMAX]}) are their "
        f"regressions, to {number(off)} in squares, which is rounding; their error is that of ridge regression and of "
        "kernel smoothing."
    )


def _random_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    loads = sorted({row["n"] / row["d"] for row in rows if row["source"] == RANDOM})
    n, d = round(loads[-1] * DIMENSION), DIMENSION
    trials = _row(rows, RANDOM, LS, n)["trials"]
    delta, scaled, least = (_row(rows, RANDOM, layer, n)["value"] for layer in (DELTA_BEST, LA_SCALED, LS))
    checked = [row for row in _recall(rows, RANDOM) if row["layer"] in FORMULA and row["layer"] != LS]
    gaps = [(row["value"] - FORMULA[row["layer"]](row["n"], d)) / (row["high"] - row["value"]) for row in checked]
    groups = (
        ("Additive layers and softmax", (LA, LA_SCALED, GLA, SOFTMAX, LS)),
        ("Error-correcting and ridge layers", (DELTA, DELTA_BEST, GATED_DELTA, MESA, LS)),
    )
    return Figure(
        name="random",
        finding=f"On random keys theory and measurement agree: all {len(gaps)} errors lie within "
        f"{max(map(abs, gaps)):.1f} standard errors of their formula. With {n / d:g} pairs a dimension, the delta rule "
        f"with its best constant step leaves {delta:.2f} of the values unexplained, linear attention with one output "
        f"scale {scaled:.2f}, least squares {least:.2f}.",
        caption=f"Squared recall error relative to the values against load, d = {d}; mean and one standard error over "
        f"{trials} draws (bars are mostly smaller than the markers). Dashed: (n-1)/d, (n-1)/(n-1+d), the age sum for "
        "the gate, the delta rule's second-moment recursion, and 1-d/n. The gate keeps 63/64 a token. The Mesa layer "
        "and softmax have no formula here. The scale 0 to 2 cuts linear attention's last point, which is in the "
        "table.",
        panels=tuple(
            Panel(
                title,
                "load n/d (pairs per key dimension)",
                "relative squared error",
                (*(_line(rows, RANDOM, layer) for layer in group), *_theories(group, loads)),
                x_log=True,
                x_ticks=loads,
                y_range=(0.0, 2.0),
            )
            for title, group in groups
        ),
    )


def _theories(group: Sequence[str], loads: Sequence[float]) -> list[Series]:
    counts = np.unique(np.round(np.geomspace(loads[0], loads[-1], 33) * DIMENSION).astype(int)).tolist()
    x = [n / DIMENSION for n in counts]
    known = [layer for layer in group if layer in FORMULA]
    return [Theory(FORMULA_NAME[layer], x, [FORMULA[layer](n, DIMENSION) for n in counts], of=layer) for layer in known]


def _real_figure(rows: Sequence[dict[str, Any]], real: list[str]) -> Figure:
    shown = (LA_SCALED, DELTA, DELTA_BEST, GATED_DELTA, SOFTMAX, MESA, LS)
    n, source = max(row["n"] for row in rows if row["source"] == real[0]), real[0]
    d = _row(rows, source, LS, n)["d"]
    least, raw = _row(rows, source, LS, n)["value"], _row(rows, source, LA, n)["value"]
    return Figure(
        name="real",
        finding=f"Real keys differ from random ones in both directions. On {source}, {n} pairs, least squares leaves "
        f"{least:.2f} where random pairs would leave {bounds.least_squares_floor(n, d):.2f}, because values can be "
        f"told from keys; but linear attention without an output scale is off by {number(raw)} times the values, "
        "because all keys point partly the same way.",
        caption="Squared recall error relative to the values against load: the first n tokens of the captured text, "
        "mean and one standard error over heads (3 for SmolLM2 layer 15, 12 for MiniLM). SmolLM2's weights are 4-bit "
        "dequantised. Linear attention is shown with its best output scale for each head. The data end at 256 tokens.",
        panels=tuple(
            Panel(
                name,
                "load n/d (pairs per key dimension)",
                "relative squared error",
                tuple(_line(rows, name, layer) for layer in shown),
                x_log=True,
                x_ticks=sorted({row["n"] / row["d"] for row in rows if row["source"] == name}),
                y_range=(0.0, 1.1),
            )
            for name in real
        ),
    )


def _distance_figure(rows: Sequence[dict[str, Any]], sources: list[str]) -> Figure:
    approximate = (LA_SCALED, GLA_SCALED, DELTA, DELTA_BEST, GATED_DELTA)
    exactly = [row["largest"] for row in _metric(rows, DISTANCE) if row["layer"] in (MESA, SOFTMAX)]
    others = [row["smallest"] for row in _metric(rows, DISTANCE) if row["layer"] in approximate]
    panels = [
        (source, [_line(rows, source, layer, DISTANCE) for layer in approximate], False) for source in sources[:2]
    ]
    for layer in (MESA, SOFTMAX):
        lines = [replace(_line(rows, source, layer, DISTANCE), label=source) for source in sources]
        panels.append((layer, lines, True))
    return Figure(
        name="distance",
        finding="Two layers are their regression, the rest approach it: the Mesa layer and softmax attention stay "
        f"within {number(max(exactly))} of the exact ridge and kernel solutions, which is rounding; no other layer "
        f"comes closer to its own than {number(min(others))}.",
        caption="Squared distance of the outputs from the exact solution of the layer's own problem, relative to the "
        "squared values; mean and one standard error over draws or heads. Targets: least squares for linear attention "
        "and the delta rule, least squares weighted by the gate for gated layers, ridge 0.25, and the Gaussian "
        "smoother of bandwidth d^(-1/4). SmolLM2's weights are 4-bit dequantised.",
        panels=tuple(
            Panel(
                title,
                "load n/d (pairs per key dimension)",
                "relative squared distance",
                tuple(lines),
                x_log=True,
                y_log=log,
                x_ticks=sorted({x for line in lines for x in line.x}),
            )
            for title, lines, log in panels
        ),
    )


def _real_table(rows: Sequence[dict[str, Any]], real: list[str]) -> Table:
    n = max(row["n"] for row in rows if row["source"] == real[0])
    return Table(
        f"Squared recall error relative to the values over {n} real pairs",
        ("keys", "layer", "mean over heads", "standard error", "smallest head", "largest head", "heads"),
        [
            (
                source,
                row["layer"],
                row["value"],
                row["high"] - row["value"],
                row["smallest"],
                row["largest"],
                row["trials"],
            )
            for source in real
            for row in _recall(rows, source)
            if row["n"] == n
        ],
        "Keys scaled to unit norm. SmolLM2's weights are 4-bit dequantised.",
    )


def _reference_table(rows: Sequence[dict[str, Any]]) -> Table:
    cells = []
    for layer, references in REFERENCE.items():
        for load, reference in zip(LOADS, references, strict=True):
            found = [row for row in _recall(rows, RANDOM) if row["layer"] == layer and row["n"] == load * DIMENSION]
            for row in found:
                error = row["high"] - row["value"]
                theory = FORMULA[layer](row["n"], row["d"]) if layer in FORMULA else None
                # The reference is rounded to three digits, the residual of solvable systems is rounding itself.
                known = 0.0005 if reference < 1 else 0.005
                excess = max(abs(row["value"] - reference) - known, 0.0)
                cells.append(
                    (layer, load, row["value"], error, theory, reference, excess / error if reference else 0.0)
                )
    trials = max((row["trials"] for row in _recall(rows, RANDOM)), default=2)
    limit = float(stats.t.ppf(1 - 0.005 / max(len(cells), 1), trials - 1))
    outside = [f"{cell[0]} at {cell[1]:g}" for cell in cells if cell[-1] > limit]
    verdict = f"Outside: {', '.join(outside)}." if outside else "No cell lies outside."
    return Table(
        f"Random unit keys, d = {DIMENSION}: measured against an independent computation and against theory",
        ("layer", "n/d", "measured", "standard error", "theory", "reference", "standard errors beyond rounding"),
        cells,
        f"{trials} draws. The last column is the distance to the reference, less its rounding, in standard errors; "
        f"{limit:.1f} is the limit for a false alarm in 1 % of such tables (Bonferroni). {verdict}",
    )


def _metric(rows: Sequence[dict[str, Any]], metric: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["metric"] == metric]


def _recall(rows: Sequence[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    return [row for row in _metric(rows, RECALL) if row["source"] == source]


def _row(rows: Sequence[dict[str, Any]], source: str, layer: str, n: int) -> dict[str, Any]:
    return next(row for row in _recall(rows, source) if row["layer"] == layer and row["n"] == n)


def _line(rows: Sequence[dict[str, Any]], source: str, layer: str, metric: str = RECALL) -> Measured:
    own = [row for row in _metric(rows, metric) if row["source"] == source and row["layer"] == layer]
    x, y, low, high = ([row[name] for row in own] for name in ("n", "value", "low", "high"))
    return Measured(layer, [n / own[0]["d"] for n in x], y, low, high)
