"""How well conditioned keys are: Gaussian keys against the Marchenko-Pastur limit, and captured keys."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.conditioning.solvers import SEED
from ttr_numerics import tasks
from ttr_numerics.measure import bounds, centred, condition_number, geometric_interval, unit_rows
from ttr_numerics.report import Figure, Measured, Panel, Series, Table, Theory

__all__ = ["keys_answer", "keys_figure", "keys_table", "random_rows", "real_rows"]

GAUSSIAN_DIMENSION, GAUSSIAN_DRAWS = 64, 40
ASPECTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2 / 3, 4 / 5, 9 / 10, 1.0)
REAL_LOADS = (1.25, 1.5, 2, 3, 4, 8)
RAW, CENTRED, UNIT = "as captured", "centred", "unit norm"


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


def keys_answer(rows: Sequence[dict[str, Any]]) -> str:
    """The range of cond(K) over the heads of the first captured layer, one sentence."""
    real = next(row["source"] for row in rows if row["part"] == "keys" and "head" in row)
    raw, middle = (_heads(rows, real, keys) for keys in (RAW, CENTRED))
    return (
        f"The {len(raw)} key heads of {real} have cond(K) from {min(raw):.0f} to {max(raw):.0f}, and {min(middle):.0f} "
        f"to {max(middle):.0f} once the mean key is removed: the Gram matrix squares that."
    )


def keys_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """cond(K) against d/n."""
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


def keys_table(rows: Sequence[dict[str, Any]]) -> Table:
    """cond(K) of all captured keys of each model and layer."""
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


def _heads(rows: Sequence[dict[str, Any]], source: str, keys: str) -> list[float]:
    own = [row for row in rows if row["part"] == "keys" and row["source"] == source and row["keys"] == keys]
    return [row["value"] for row in own if row["n"] == max(row["n"] for row in own)]
