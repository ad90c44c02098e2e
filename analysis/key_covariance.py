"""How does the covariance of the keys decide what a memory recalls, and how far are real keys from isotropic?

Spectrum, effective ranks and mean key of captured and random keys, as they are and after removing the mean or
whitening. Then the recall error of linear attention, the delta rule and least squares under each treatment, and on
N(0, Σ) keys whose spectrum is log-uniform with condition number up to 1000. Keys are scaled to unit norm before and
after every treatment. Centring and whitening use the same tokens that are then stored: they are in-sample.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.measure import (
    best_scale,
    bounds,
    centred,
    condition_number,
    effective_rank,
    mean_interval,
    mean_key_share,
    participation_ratio,
    relative_squared_error,
    spectrum,
    unit_rows,
    whitened,
)
from ttr_numerics.report import Cloud, Curve, Figure, Measured, Panel, Section, Table, Theory

SEED = 20263
PAIRS = 256
TRIALS = 20
SPREADS = (1.0, 10.0, 100.0, 1000.0)
DIMENSION = 64

RANDOM = "isotropic random keys"
REAL_VALUES, RANDOM_VALUES = "captured values", "random values"
LINEAR, DELTA, LEAST = "linear attention, scaled", "delta rule, β = 1", "least squares"
UNIT, CENTRED, WHITENED, BOTH = "unit norm", "centred", "whitened", "centred, whitened"
TREATMENT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    UNIT: lambda K: K,
    CENTRED: lambda K: unit_rows(centred(K)),
    WHITENED: lambda K: unit_rows(whitened(K)),
    BOTH: lambda K: unit_rows(whitened(centred(K))),
}
DESCRIPTION = {
    "mean-key share": mean_key_share,
    "participation ratio": participation_ratio,
    "effective rank": effective_rank,
    "cond(K)": condition_number,
}


def describe(cell: dict[str, Any], K: np.ndarray) -> list[dict[str, Any]]:
    """The descriptions of K (m, n, d), m heads or draws: one row each, and one for each eigenvalue share."""
    rows = [cell | {"metric": name} | mean_interval(f(K))._asdict() for name, f in DESCRIPTION.items()]
    shares = spectrum(K)
    for index in range(shares.shape[-1]):
        line = {"metric": "eigenvalue share", "index": index + 1}
        rows.append(cell | line | mean_interval(shares[:, index])._asdict())
    return rows


def recall(cell: dict[str, Any], K: np.ndarray, V: np.ndarray) -> list[dict[str, Any]]:
    """The recall error of three memories of K (m, n, d) and V (m, n, d_v): one row for each repetition."""
    additive = K @ layers.linear_attention(K, K, V).state
    outputs = {
        LINEAR: best_scale(additive, V)[..., None, None] * additive,
        DELTA: K @ layers.delta_rule(K, K, V, beta=np.ones(K.shape[:-1])).state,
        LEAST: K @ exact.least_norm(K, V).S,
    }
    ranks = participation_ratio(K)
    return [
        cell
        | {"metric": "recall error", "layer": layer, "repetition": i, "value": float(error), "rank": float(ranks[i])}
        for layer, o in outputs.items()
        for i, error in enumerate(relative_squared_error(o, V))
    ]


def measure(
    progress: Callable[..., Iterable[Any]],
    pairs: int = PAIRS,
    trials: int = TRIALS,
    spreads: Sequence[float] = SPREADS,
) -> list[dict[str, Any]]:
    """The rows of the given grid."""
    sources: list[tasks.Captured | None] = [*tasks.captured(), None]
    rows = []
    for real, (name, treat) in progress([(real, treatment) for real in sources for treatment in TREATMENT.items()]):
        rng = np.random.default_rng([SEED, pairs])
        shape = (trials, pairs, DIMENSION) if real is None else real.k[:, :pairs].shape
        K = treat(tasks.isotropic_unit_keys(rng, shape) if real is None else unit_rows(real.k[:, :pairs]))
        cell = {"part": "keys", "source": RANDOM if real is None else real.name, "treatment": name, "n": pairs}
        cell["d"] = shape[-1]
        rows += describe(cell, K)
        rows += recall(cell | {"values": RANDOM_VALUES}, K, tasks.isotropic_unit_keys(rng, shape))
        if real is not None:
            rows += recall(cell | {"values": REAL_VALUES}, K, real.v[:, :pairs].astype(float))
    for spread in progress(spreads):
        rng = np.random.default_rng([SEED, pairs, round(spread)])
        shape = (trials, pairs, DIMENSION)
        K, V = tasks.coloured_unit_keys(rng, shape, spread), tasks.isotropic_unit_keys(rng, shape)
        for name in (UNIT, WHITENED):
            cell = {"part": "spread", "spread": spread, "treatment": name, "n": pairs, "d": DIMENSION}
            rows += recall(cell, TREATMENT[name](K), V)
    return rows


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    keys = [row for row in rows if row["part"] == "keys"]
    real = [source for source in dict.fromkeys(row["source"] for row in keys) if source != RANDOM]
    name = real[0]
    first = {
        t: {layer: _error(keys, name, t, layer, REAL_VALUES) for layer in (LINEAR, DELTA, LEAST)} for t in TREATMENT
    }
    share, rank = (
        _description(keys, name, UNIT, metric)["value"] for metric in ("mean-key share", "participation ratio")
    )
    d = next(row["d"] for row in keys if row["source"] == name)
    return Section(
        name="key_covariance",
        title="What the covariance of the keys does to recall",
        question="How does the covariance of the keys decide what a memory recalls, and how far are real keys from "
        "isotropic?",
        answer=f"The mean key carries {share:.0%} of the squared length of the unit keys of {name}, whose {d} channels "
        f"count as {rank:.1f} (participation ratio). Whitening takes linear attention's squared error on them from "
        f"{first[UNIT][LINEAR]:.2f} to {first[WHITENED][LINEAR]:.2f} and the delta rule's from "
        f"{first[UNIT][DELTA]:.2f} to {first[WHITENED][DELTA]:.2f}. Removing the mean key alone improves the "
        f"conditioning but changes the errors to {first[CENTRED][LINEAR]:.2f} and {first[CENTRED][DELTA]:.2f}, and "
        f"that of least squares from {first[UNIT][LEAST]:.2f} to {first[CENTRED][LEAST]:.2f}: the mean key is also the "
        "memory's constant term.",
        compared="The same pairs after four treatments of the keys; captured with isotropic random keys; linear "
        "attention with its formula in the participation ratio.",
        figures=(_spectrum_figure(keys, real), _law_figure(keys, real), _spread_figure(rows)),
        tables=(_description_table(keys), _recall_table(keys)),
        limits=(
            "Means and whitening matrices are computed from the very tokens that are stored: a layer that has to "
            "learn them beforehand, or online, gains less.",
            "Treated keys are scaled to unit norm again, which the delta rule with β = 1 needs; this reweights the "
            "tokens, so that whitened keys are only nearly white and least squares changes a little.",
            "Centring removes the direction of the mean key as a constant feature: least squares then has no "
            "intercept.",
            "One text; the heads of a layer are not independent samples.",
        ),
    )


def _spectrum_figure(keys: Sequence[dict[str, Any]], real: list[str]) -> Figure:
    panels = []
    for treatment in (UNIT, CENTRED):
        curves = []
        for source in [*real, RANDOM]:
            own = [r for r in _of(keys, source, treatment) if r["metric"] == "eigenvalue share"]
            own = [r for r in own if r["value"] > 1e-12]  # the direction that centring removed is rounding
            curves.append(Curve(source, *([r[name] for r in own] for name in ("index", "value", "low", "high"))))
        panels.append(
            Panel(treatment, "eigenvalue number, by size", "share of the trace", tuple(curves), x_log=True, y_log=True)
        )
    tops = {source: [_top(keys, source, treatment) for treatment in (UNIT, CENTRED)] for source in [*real, RANDOM]}
    text = "; ".join(f"{source} {raw:.0%} and {after:.0%}" for source, (raw, after) in tops.items())
    return Figure(
        name="spectrum",
        finding="Captured keys are far from isotropic: a few directions carry most of them, the mean key first in "
        f"SmolLM2. Share of the largest eigenvalue, as they are and centred: {text}.",
        caption=f"Eigenvalues of K'K/n as shares of their sum, {keys[0]['n']} unit keys, before and after removing the "
        "mean key; mean and one standard error over heads or draws. SmolLM2's weights are 4-bit dequantised.",
        panels=tuple(panels),
    )


def _law_figure(keys: Sequence[dict[str, Any]], real: list[str]) -> Figure:
    panels, gaps, better = [], [0.0], 0.0
    for values in (RANDOM_VALUES, REAL_VALUES):
        clouds = []
        for layer in (LINEAR, DELTA, LEAST):
            own = [r for r in keys if r["metric"] == "recall error" and r["values"] == values and r["layer"] == layer]
            clouds.append(Cloud(layer, [r["rank"] / r["n"] for r in own], [r["value"] for r in own]))
            if layer == LINEAR:
                above = [r["value"] - bounds.linear_attention_fixed_keys(r["n"], r["rank"])[1] for r in own]
                gaps = [abs(gap) for gap in above] if values == RANDOM_VALUES else gaps
                better = float(np.mean([gap < 0 for gap in above]))
        x = np.geomspace(min(min(c.x) for c in clouds), max(max(c.x) for c in clouds), 40).tolist()
        law = Theory("1 - PR/n", x, [1 - g for g in x], of=LINEAR)
        panels.append(
            Panel(
                f"captured and random keys, {values}" if values == RANDOM_VALUES else f"captured keys, {values}",
                "participation ratio of the keys / n",
                "relative squared error",
                (*clouds, law),
                x_log=True,
            )
        )
    return Figure(
        name="law",
        finding="For linear attention the participation ratio takes the place of the dimension: with values that do "
        f"not depend on the keys its error is 1 - PR/n, off by at most {max(gaps):.3f} on every head and treatment. "
        f"With their captured values {better:.0%} of the heads and treatments lie below that line.",
        caption="Squared recall error relative to the values, one point for each head or draw and each treatment "
        "(unit norm, centred, whitened, both); linear attention at its best scale. Dashed: 1 - PR/n, exact in "
        "expectation for given unit keys and independent values. SmolLM2's weights are 4-bit dequantised. Treatments "
        "are in-sample.",
        panels=tuple(panels),
    )


def _spread_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    own = [row for row in rows if row["part"] == "spread"]
    spreads = sorted({row["spread"] for row in own})
    panels = []
    for treatment in (UNIT, WHITENED):
        lines: list[Measured | Theory] = []
        for layer in (LINEAR, DELTA, LEAST):
            cells = [_mean(own, spread, treatment, layer) for spread in spreads]
            lines.append(Measured(layer, spreads, *([c[i] for c in cells] for i in range(3))))
        predicted = [
            float(np.mean([1 - r["rank"] / r["n"] for r in own if r["spread"] == s and r["treatment"] == treatment]))
            for s in spreads
        ]
        lines.append(Theory("1 - PR/n", spreads, predicted, of=LINEAR))
        panels.append(Panel(treatment, "condition number of Σ", "relative squared error", tuple(lines), x_log=True))
    change = {
        layer: (_mean(own, spreads[0], UNIT, layer)[0], _mean(own, spreads[-1], UNIT, layer)[0])
        for layer in (LINEAR, DELTA, LEAST)
    }
    words = "; ".join(f"{layer} {low:.2f} to {high:.2f}" for layer, (low, high) in change.items())
    flat = ", ".join(f"{_mean(own, spreads[-1], WHITENED, layer)[0]:.2f}" for layer in change)
    repetitions = 1 + max(row["repetition"] for row in own)
    return Figure(
        name="spread",
        finding="A wider spectrum costs first-order memories and leaves least squares alone: from cond(Σ) = "
        f"{spreads[0]:g} to {spreads[-1]:g} the error goes, for {words}. With whitened keys it ends at {flat}.",
        caption=f"Squared recall error against the condition number of Σ, log-uniform spectrum, d = {own[0]['d']}, n = "
        f"{own[0]['n']}, keys scaled to unit norm, random unit values; mean and one standard error over {repetitions} "
        "draws. Whitening is in-sample. Dashed: 1 - PR/n with the participation ratio of the keys drawn.",
        panels=tuple(panels),
    )


def _description_table(keys: Sequence[dict[str, Any]]) -> Table:
    cells = []
    for source, treatment, d in dict.fromkeys((r["source"], r["treatment"], r["d"]) for r in keys):
        found = [_description(keys, source, treatment, metric) for metric in DESCRIPTION]
        cells.append((source, treatment, d, *(f["value"] for f in found), found[0]["trials"]))
    return Table(
        f"Second moments of {keys[0]['n']} unit keys",
        (
            "keys",
            "treatment",
            "d",
            "mean-key share",
            "participation ratio",
            "effective rank (entropy)",
            "cond(K)",
            "heads or draws",
        ),
        cells,
        "Of K'K/n, not centred unless the treatment says so; means over heads or draws. Participation ratio "
        "(Σλ)²/Σλ²; effective rank exp(-Σ p ln p) of the eigenvalue shares. An isotropic mean key would carry 1/n. "
        "SmolLM2's weights are 4-bit dequantised.",
    )


def _recall_table(keys: Sequence[dict[str, Any]]) -> Table:
    cells = []
    recalls = [r for r in keys if r["metric"] == "recall error"]
    for source, values, treatment in dict.fromkeys((r["source"], r["values"], r["treatment"]) for r in recalls):
        line: list[Any] = [source, values, treatment]
        for layer in (LINEAR, DELTA, LEAST):
            wanted = (source, values, treatment, layer)
            own = [r["value"] for r in recalls if (r["source"], r["values"], r["treatment"], r["layer"]) == wanted]
            mean = mean_interval(np.array(own))
            line += [mean.value, mean.high - mean.value]
        cells.append(tuple(line))
    columns = [part for layer in (LINEAR, DELTA, LEAST) for part in (layer, f"± {layer}")]
    return Table(
        "Squared recall error relative to the values, by treatment",
        ("keys", "values", "treatment", *columns),
        cells,
        "Mean and standard error over heads or draws. Linear attention at its best scale for each head. In-sample "
        "treatments. SmolLM2's weights are 4-bit dequantised.",
    )


def _of(keys: Sequence[dict[str, Any]], source: str, treatment: str) -> list[dict[str, Any]]:
    return [row for row in keys if row["source"] == source and row["treatment"] == treatment]


def _description(keys: Sequence[dict[str, Any]], source: str, treatment: str, metric: str) -> dict[str, Any]:
    return next(row for row in _of(keys, source, treatment) if row["metric"] == metric)


def _top(keys: Sequence[dict[str, Any]], source: str, treatment: str) -> float:
    return _description(keys, source, treatment, "eigenvalue share")["value"]


def _error(keys: Sequence[dict[str, Any]], source: str, treatment: str, layer: str, values: str) -> float:
    own = [row for row in _of(keys, source, treatment) if row["metric"] == "recall error"]
    return float(np.mean([row["value"] for row in own if row["layer"] == layer and row["values"] == values]))


def _mean(own: Sequence[dict[str, Any]], spread: float, treatment: str, layer: str) -> tuple[float, float, float]:
    wanted = (spread, treatment, layer)
    found = [row["value"] for row in own if (row["spread"], row["treatment"], row["layer"]) == wanted]
    return mean_interval(np.array(found))[:3]
