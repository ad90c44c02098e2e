"""How many pairs does a memory of d × d numbers hold, for each of the three things "hold" can mean?

Exact recall: the value itself comes back, to half the digits of float64. Argmax recall: among all n stored values the
right one scores highest. List recall: it is among the best 5 %. Each has its own scale, d, d²/(2 ln n) and d², and is
drawn over its own load. n unit keys and unit values are stored in one pass and read back at every key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ttr_numerics import exact, layers, tasks
from ttr_numerics.measure import (
    bounds,
    condition_number,
    exact_recall,
    list_recall,
    proportion_interval,
    ranks,
    unit_rows,
)
from ttr_numerics.report import Figure, Measured, Panel, Section, Series, Table, Theory

SEED = 20262
PAIRS = {
    16: (4, 8, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512),
    32: (8, 16, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048),
    64: (16, 32, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096),
}
TRIALS = 12
REAL_PAIRS = (16, 32, 40, 48, 64, 80, 96, 128, 192, 256)
THRESHOLD = 2.0**-26  # half of the 53 bits of float64: far above rounding, far below any approximation
LIST_SHARE = 0.05

RANDOM, REAL, REAL_KEYS = "random", "captured values", "random values"
LINEAR, DELTA, LEAST = "linear attention", "delta rule, β = 1", "least squares"
EXACT, ARGMAX, LIST = "exact recall", "argmax recall", "list recall"
LOAD: dict[str, Callable[[int, int], float]] = {
    EXACT: lambda n, d: n / d,
    ARGMAX: lambda n, d: float(bounds.argmax_load(n, d)),
    LIST: lambda n, d: n / d**2,
}
LOAD_LABEL = {EXACT: "load n/d", ARGMAX: "load 2 n ln n / d²", LIST: "load n/d²"}
SHARE_LABEL = {
    EXACT: "share of pairs recalled exactly",
    ARGMAX: "share of pairs ranked first",
    LIST: "share of pairs in the best 5 %",
}


def list_length(n: int) -> int:
    """The best 5 % of n values, at least one."""
    return max(1, round(LIST_SHARE * n))


def recall_rows(cell: Mapping[str, Any], K: np.ndarray, V: np.ndarray) -> list[dict[str, Any]]:
    """Three recalls of three memories of unit keys K (m, n, d) and unit values V (m, n, d_v); m repetitions."""
    n, d = K.shape[-2:]
    one = np.ones(K.shape[:-1])
    states = {
        LINEAR: layers.linear_attention(K, K, V).state,
        DELTA: layers.delta_rule(K, K, V, beta=one).state,
        LEAST: exact.least_norm(K, V).S,
    }
    # The largest error that rounding alone may leave: the condition number times the unit roundoff.
    rounding = float(np.max(condition_number(K))) * 2.0**-53
    rows = []
    for layer, S in states.items():
        O = K @ S
        rank = np.stack([ranks(o, v) for o, v in zip(O, V, strict=True)])
        recalled = {
            EXACT: exact_recall(O, V, THRESHOLD),
            ARGMAX: list_recall(rank, 1),
            LIST: list_recall(rank, list_length(n)),
        }
        for notion, shares in recalled.items():
            row = {**cell, "n": n, "d": d, "layer": layer, "notion": notion, "list": list_length(n)}
            rows.append(row | {"rounding": rounding} | proportion_interval(shares, n)._asdict())
    return rows


def measure(
    progress: Callable[..., Iterable[Any]],
    pairs: Mapping[int, Sequence[int]] | None = None,
    trials: int = TRIALS,
    real_pairs: Sequence[int] = REAL_PAIRS,
) -> list[dict[str, Any]]:
    """The rows of the given grid; a smaller grid gives the same cells, fewer of them."""
    grid = PAIRS if pairs is None else pairs
    cells: list[tuple[tasks.Captured | None, int, int]] = [(None, d, n) for d, ns in grid.items() for n in ns]
    cells += [(real, real.k.shape[-1], n) for real in tasks.captured() for n in real_pairs]
    rows = []
    for real, d, n in progress(cells):
        rng = np.random.default_rng([SEED, d, n])
        if real is None:
            few = trials if n <= 1024 else max(2, trials // 3)
            K, V = (tasks.isotropic_unit_keys(rng, (few, n, d)) for _ in range(2))
            rows += recall_rows({"source": RANDOM, "values": RANDOM}, K, V)
            continue
        K = unit_rows(real.k[:, :n])
        rows += recall_rows({"source": real.name, "values": REAL}, K, unit_rows(real.v[:, :n]))
        rows += recall_rows({"source": real.name, "values": REAL_KEYS}, K, tasks.isotropic_unit_keys(rng, K.shape))
    return rows


def render(rows: Sequence[dict[str, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    dimensions = sorted({row["d"] for row in rows if row["source"] == RANDOM})
    d = dimensions[-1]
    half = {layer: _half(rows, d, layer, ARGMAX) for layer in (LINEAR, DELTA, LEAST)}
    listed = {layer: _half(rows, d, layer, LIST) for layer in (LINEAR, LEAST)}
    return Section(
        name="capacity",
        title="How many pairs a memory holds",
        question='How many pairs does a memory of d × d numbers hold, for each of the three things "hold" can mean?',
        answer=f"With d = {d} and random keys: exactly, {_last_exact(rows, d)} pairs, and only by least squares; for "
        f"at least half of the pairs to score first, about {_count(half[LINEAR])} pairs by linear attention, "
        f"{_count(half[DELTA])} by the delta rule and {_count(half[LEAST])} by least squares; for half to be among the "
        f"best 5 %, about {_count(listed[LINEAR])} and, by least squares, {_count(listed[LEAST])}. These are three "
        "different laws, d, d²/(2 ln n) and d², and no one curve has them all.",
        compared="Linear attention, the delta rule and least squares with each other, with the independence "
        "approximation of theory, and random with captured keys.",
        figures=tuple(_figure(rows, notion, dimensions) for notion in (EXACT, ARGMAX, LIST)),
        tables=(_capacity_table(rows, dimensions), _end_table(rows)),
        limits=(
            "The codebook is the n stored values: words that were never stored are not among the competitors.",
            "d = d_v in every case; no feature maps.",
            "The delta rule sees each pair once; several passes would approach least squares.",
            "Captured keys end at 256 tokens; the second table says which capacities that reaches.",
        ),
    )


FINDING: dict[str, Callable[[Sequence[dict[str, Any]], list[int]], str]] = {
    EXACT: lambda rows, ds: (
        "Exact recall ends at n = d for every width "
        f"({', '.join(f'{_last_exact(rows, d)} pairs at d = {d}' for d in ds)}), and only least squares reaches it: "
        "linear attention returns no value exactly, the delta rule only the newest."
    ),
    ARGMAX: lambda rows, ds: (
        "If the right value need only score highest, about d²/(2 ln n) pairs fit: half of them are still recalled by "
        f"linear attention at a load of {_loads(rows, ds, LINEAR, ARGMAX)}, by least squares at "
        f"{_loads(rows, ds, LEAST, ARGMAX)}. The delta rule follows another law, because it forgets with age: "
        f"{_per_width(rows, ds)} pairs per key dimension."
    ),
    LIST: lambda rows, ds: (
        "If a place among the best 5 % is enough, the logarithm goes and the number of pairs grows as d² itself: half "
        f"of them by linear attention at n/d² = {_loads(rows, ds, LINEAR, LIST)}."
    ),
}


def _figure(rows: Sequence[dict[str, Any]], notion: str, dimensions: list[int]) -> Figure:
    panels = [
        _panel(
            layer,
            notion,
            [_line(rows, RANDOM, RANDOM, layer, notion, f"d = {d}", d) for d in dimensions]
            + (_theories(rows, notion, dimensions) if layer == LINEAR else _floor(notion) if layer == LEAST else []),
        )
        for layer in (LINEAR, DELTA, LEAST)
    ]
    for source in dict.fromkeys(row["source"] for row in rows if row["source"] != RANDOM):
        d = next(row["d"] for row in rows if row["source"] == source)
        values = (REAL,) if notion == EXACT else (REAL, REAL_KEYS)
        lines = [
            _line(rows, source, kind, layer, notion, f"{layer}, {kind}" if kind != REAL else layer, d)
            for kind in values
            for layer in ((LINEAR, DELTA, LEAST) if kind == REAL else (LINEAR,))
        ]
        panels.append(_panel(f"{source}, d = {d}", notion, lines))
    trials = sorted({row["trials"] for row in rows if row["source"] == RANDOM})
    theory = {
        EXACT: "Dashed: n = d, where independent keys end.",
        ARGMAX: f"Dashed: the independence approximation, up to {_bias(rows, notion, dimensions)} points low.",
        LIST: "Dashed: the independence approximation for a list, up to "
        f"{_bias(rows, notion, dimensions)} points low. The list is 5 % of n, at least 1. Guessing gives 0.05.",
    }[notion]
    return Figure(
        name=notion.split()[0],
        finding=FINDING[notion](rows, dimensions),
        caption=f"{SHARE_LABEL[notion][0].upper()}{SHARE_LABEL[notion][1:]} against the {LOAD_LABEL[notion]}; 95 % "
        f"Wilson intervals whose sample size follows the spread over {trials[0]} to {trials[-1]} draws (the fewer "
        f"beyond n = 1024), or over heads. {theory} Captured panels: first n tokens, keys and values scaled to unit "
        "norm; SmolLM2's weights are 4-bit dequantised; the data end at 256 tokens.",
        panels=tuple(panels),
    )


def _panel(title: str, notion: str, series: Sequence[Series]) -> Panel:
    return Panel(title, LOAD_LABEL[notion], SHARE_LABEL[notion], tuple(series), x_log=True, y_range=(-0.02, 1.05))


def _theories(rows: Sequence[dict[str, Any]], notion: str, dimensions: list[int]) -> list[Series]:
    if notion == EXACT:
        return _floor(notion)
    curves: list[Series] = []
    for d in dimensions:
        ns = [row["n"] for row in _own(rows, RANDOM, RANDOM, LINEAR, notion, d)]
        y = [_predicted(n, d, notion) for n in ns]
        curves.append(Theory(f"theory, d = {d}", [LOAD[notion](n, d) for n in ns], y, of=f"d = {d}"))
    return curves


def _predicted(n: int, d: int, notion: str) -> float:
    return bounds.list_recall_probability(n, 1 if notion == ARGMAX else list_length(n), d, d)


def _bias(rows: Sequence[dict[str, Any]], notion: str, dimensions: list[int]) -> str:
    """The largest amount, in points per width, by which the approximation lies below the measurement."""
    worst = {
        d: max(row["value"] - _predicted(row["n"], d, notion) for row in _own(rows, RANDOM, RANDOM, LINEAR, notion, d))
        for d in dimensions
    }
    return ", ".join(f"{100 * gap:.0f} (d = {d})" for d, gap in worst.items())


def _per_width(rows: Sequence[dict[str, Any]], dimensions: list[int]) -> str:
    found = [(d, _half(rows, d, DELTA, ARGMAX)) for d in dimensions]
    return ", ".join(f"{n / d:.1f} (d = {d})" for d, n in found if n is not None) or "more than was tried"


def _floor(notion: str) -> list[Series]:
    return [Theory("n = d", (1.0, 1.0), (0.0, 1.0))] if notion == EXACT else []


def _capacity_table(rows: Sequence[dict[str, Any]], dimensions: list[int]) -> Table:
    cells = []
    for d in dimensions:
        for layer in (LINEAR, DELTA, LEAST):
            exactly = _last_exact(rows, d) if layer == LEAST else 0
            argmax, listed = (_half(rows, d, layer, notion) for notion in (ARGMAX, LIST))
            cells.append((d, layer, exactly, argmax, bounds.argmax_capacity(d), listed, float(d * d)))
    return Table(
        "Pairs held, random keys: three notions side by side",
        ("d", "layer", "all exact", "half score first", "n = d²/(2 ln n)", "half in the best 5 %", "d²"),
        cells,
        "Half-way points are interpolated in ln n between measured loads; a dash means it is not reached within the "
        "grid.",
    )


def _end_table(rows: Sequence[dict[str, Any]]) -> Table:
    cells = []
    for source in dict.fromkeys(row["source"] for row in rows if row["source"] != RANDOM):
        own = [row for row in rows if row["source"] == source and row["values"] == REAL]
        n, d = max(row["n"] for row in own), own[0]["d"]
        for notion, capacity in ((EXACT, float(d)), (ARGMAX, d**2 / (2 * np.log(n))), (LIST, float(d**2))):
            at_end = [
                row["value"]
                for layer in (LINEAR, DELTA, LEAST)
                for row in own
                if row["n"] == n and row["notion"] == notion and row["layer"] == layer
            ]
            cells.append((source, notion, n, float(capacity), bool(n >= capacity), *at_end))
    return Table(
        "Where the captured keys end",
        ("keys", "notion", "pairs at the end", "capacity scale", "reached", LINEAR, DELTA, LEAST),
        cells,
        "Capacity scale: d, d²/(2 ln n) and d². The last three columns are the shares recalled at the end, captured "
        "values, mean over heads. SmolLM2's weights are 4-bit dequantised.",
    )


def _own(
    rows: Sequence[dict[str, Any]], source: str, values: str, layer: str, notion: str, d: int
) -> list[dict[str, Any]]:
    wanted = {"source": source, "values": values, "layer": layer, "notion": notion, "d": d}
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def _line(
    rows: Sequence[dict[str, Any]], source: str, values: str, layer: str, notion: str, label: str, d: int
) -> Measured:
    own = _own(rows, source, values, layer, notion, d)
    y, low, high = ([row[name] for row in own] for name in ("value", "low", "high"))
    return Measured(label, [LOAD[notion](row["n"], d) for row in own], y, low, high)


def _last_exact(rows: Sequence[dict[str, Any]], d: int) -> int:
    """The largest measured n at which least squares recalls every pair exactly."""
    return max((row["n"] for row in _own(rows, RANDOM, RANDOM, LEAST, EXACT, d) if row["value"] == 1.0), default=0)


def _half(rows: Sequence[dict[str, Any]], d: int, layer: str, notion: str) -> float | None:
    """The n at which the share falls through one half, interpolated in ln n; None where it does not."""
    own = _own(rows, RANDOM, RANDOM, layer, notion, d)
    for before, after in pairwise(own):
        if before["value"] >= 0.5 > after["value"]:
            part = (before["value"] - 0.5) / (before["value"] - after["value"])
            return float(before["n"] * (after["n"] / before["n"]) ** part)
    return None


def _count(n: float | None) -> str:
    return "more than were tried" if n is None else f"{n:.0f}"


def _loads(rows: Sequence[dict[str, Any]], dimensions: list[int], layer: str, notion: str) -> str:
    found = [(d, _half(rows, d, layer, notion)) for d in dimensions]
    words = [f"{LOAD[notion](n, d):.2f} (d = {d})" for d, n in found if n is not None]  # type: ignore[arg-type]
    return ", ".join(words) or "more than was tried"
