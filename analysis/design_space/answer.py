"""What was found: tables and figures from stored rows alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.design_space.measured import PREDICTION, RECALL, STUDY
from analysis.sources import quantised
from ttr_numerics.measure import Interval, geometric_interval, mean_interval
from ttr_numerics.report import Figure, Measured, Panel, Section, Table

__all__ = ["render"]

FLOOR = 0.01  # smaller errors are drawn there


def render(rows: Sequence[dict[Any, Any]]) -> Section:
    """Tables and figures from stored rows alone."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    cells = [cell for source in sources for cell in _cells(rows, source)]
    new = [cell for cell in cells if not cell["names"]]
    best = {
        source: min((c for c in cells if c["source"] == source), key=lambda c: c[PREDICTION].value)
        for source in sources
    }
    heads = {c["source"]: c[PREDICTION].trials for c in cells}
    return Section(
        name="design-space",
        title="Combinations nobody has named",
        question=STUDY.question,
        answer=f"{_won(new)} {_lost(best)}",
        compared="Each contender with the best named one that stores no more numbers a head, on the same heads; named "
        "ones are recognised by the catalogue from the three choices.",
        figures=(_figure(cells, sources),),
        tables=tuple(_table(cells, source, heads[source]) for source in sources),
        limits=(
            "One text a model; nothing is trained, and keys stand in for queries. Heads of one model "
            "are not independent: the intervals say how alike they are, not what another model would do.",
            f"{2 * len(new)} intervals are looked at; by chance alone about one in forty would lie below 1.",
            "The best named contender is the best of the reported half, which favours what has a name.",
            "Steps, gates and ridges do not follow the data: every layer could learn them. On keys of equal norm an "
            "implicit step is a gradient step of another size.",
            "In Taylor features the same fit would store (1 + d + d(d+1)/2) d numbers at any length; here it keeps its "
            "keys.",
        ),
    )


def _cells(rows: Sequence[dict[Any, Any]], source: str) -> list[dict[Any, Any]]:
    """One dict a contender: its interval by measure, and the ratios to the best named one that stores no more."""
    own = [row for row in rows if row["source"] == source]
    labels = list(dict.fromkeys(row["contender"] for row in own))
    values = {
        (label, m): np.array([row["value"] for row in own if row["contender"] == label and row["measure"] == m])
        for label in labels
        for m in (PREDICTION, RECALL)
    }
    first = {label: next(row for row in own if row["contender"] == label) for label in labels}
    cells = []
    for label in labels:
        cell: dict[Any, Any] = {"source": source, "contender": label, "names": first[label]["names"]}
        cell["numbers"] = max(row["numbers"] for row in own if row["contender"] == label)
        for m in (PREDICTION, RECALL):
            cell[m, "values"], cell[m] = values[label, m], mean_interval(values[label, m])
            rivals = [x for x in labels if first[x]["names"] and x != label and first[x]["numbers"] <= cell["numbers"]]
            if rivals:
                rival = min(rivals, key=lambda x: float(np.mean(values[x, m])))
                cell[m, "rival"] = rival
                cell[m, "ratio"] = geometric_interval(values[label, m] / values[rival, m])
        cells.append(cell)
    return cells


def _won(new: Sequence[dict[Any, Any]]) -> str:
    """Which unnamed contenders beat the best named one of no more numbers, with the whole interval below 1."""
    phrases = []
    for m in (PREDICTION, RECALL):
        won = [c for c in new if (m, "ratio") in c and c[m, "ratio"].high < 1]
        told = [
            f"{c['contender']} ({_model(c['source'])}, {c[m, 'ratio'].value:.2f} times {c[m, 'rival']})" for c in won
        ]
        phrases.append(f"in {m} {'; '.join(told) or 'none'}")
    return (
        f"Of {len(new)} unnamed cases (contender and model), these err less than the best named layer that stores no "
        f"more, with 95 % confidence over heads: {'; '.join(phrases)}."
    )


def _lost(best: Mapping[str, dict[Any, Any]]) -> str:
    told = [
        f"{cell['contender']} on {_model(source)} ({cell[PREDICTION].value:.2f}, "
        f"{'named' if cell['names'] else 'nobody has named it'})"
        for source, cell in best.items()
    ]
    return f"Whatever it stores, the best predictor is {' and '.join(told)}."


def _model(source: str) -> str:
    return source.partition(" ")[0]


def _table(cells: Sequence[dict[Any, Any]], source: str, heads: int) -> Table:
    errors = (PREDICTION, "standard error", RECALL, "standard error of recall")
    rival = ("best named that stores no more", "ratio of predictions", "low", "high")
    rows = []
    for c in cells:
        if c["source"] == source:
            means = [x for m in (PREDICTION, RECALL) for x in (c[m].value, c[m].high - c[m].value)]
            ratio = c.get((PREDICTION, "ratio"), (None, None, None, None))[:3]
            rows.append(
                (c["contender"], c["names"] or "—", c["numbers"], *means, c.get((PREDICTION, "rival"), "—"), *ratio)
            )
    return Table(
        f"{source}: squared errors relative to the values, second half of the text",
        ("contender", "name in the catalogue", "numbers stored", *errors, *rival),
        rows,
        f"Mean and one standard error over {heads} heads. Ratios of prediction errors are geometric means over heads "
        "with Student's 95 % interval.",
    )


def _figure(cells: Sequence[dict[Any, Any]], sources: Sequence[str]) -> Figure:
    pairs = [(s, m) for m in (PREDICTION, RECALL) for s in sources]
    counts = {c["source"]: c[PREDICTION].trials for c in cells}
    return Figure(
        name="errors",
        finding=_figure_finding(cells),
        caption="Squared error relative to the values on the second half of the text against the numbers a head stores "
        "at its end, settings chosen on the first half. The line joins named contenders that no smaller one beats."
        f"{quantised(cells)} Errors below {FLOOR:g} are drawn at {FLOOR:g}.",
        panels=tuple(
            Panel(
                f"{_model(source)}: {m}",
                "numbers stored a head",
                "relative squared error",
                _series(cells, source, m),
                x_log=True,
                y_log=True,
            )
            for source, m in pairs
        ),
        grid="; ".join(f"{source}: {heads} heads" for source, heads in counts.items())
        + f"; {len({c['contender'] for c in cells})} contenders, each with the best of its settings.",
        interval="Drawn: mean and one standard error over heads. In the finding: geometric mean of the ratios by head "
        "and Student's 95 % interval.",
    )


def _series(cells: Sequence[dict[Any, Any]], source: str, m: str) -> tuple[Measured, ...]:
    """The best named contender within every memory, and each unnamed one by itself."""
    own = sorted((c for c in cells if c["source"] == source), key=lambda c: (c["numbers"], c[m].value))
    named: list[dict[Any, Any]] = []
    for cell in own:
        if cell["names"] and all(cell[m].value < other[m].value for other in named):
            named.append(cell)
    groups = {"best named": named} | {c["contender"]: [c] for c in own if not c["names"]}
    return tuple(
        Measured(label, *([at(c) for c in group] for at in (_numbers, *(_end(m, i) for i in range(3)))))
        for label, group in sorted(groups.items())
        if group
    )


def _numbers(cell: Mapping[Any, Any]) -> float:
    return float(cell["numbers"])


def _end(m: str, i: int) -> Callable[[Mapping[Any, Any]], float]:
    return lambda cell: max(float(cell[m][i]), FLOOR)


def _figure_finding(cells: Sequence[dict[Any, Any]]) -> str:
    """Two unnamed combinations against the named layer that shares their memory or their space."""
    told = [_beside(cells, "kernel ridge in a window", "mesa"), _beside(cells, "delta rule in exp. space", "softmax")]
    return " ".join(t for t in told if t) or "Error against memory: too few contenders to compare."


def _beside(cells: Sequence[dict[Any, Any]], label: str, rival: str) -> str:
    """The errors of one contender as multiples of another's, on every source where both are."""
    found = {c["source"]: {x["contender"]: x for x in cells if x["source"] == c["source"]} for c in cells}
    pairs = {source: (by[label], by[rival]) for source, by in found.items() if label in by and rival in by}
    told = []
    for m in (PREDICTION, RECALL):
        ratios = {s: geometric_interval(a[m, "values"] / b[m, "values"]) for s, (a, b) in pairs.items()}
        told.append(f"in {m} {', '.join(f'{_model(s)} {_words(of)}' for s, of in ratios.items())}")
    return f"Errors of {label} over those of {rival}: {'; '.join(told)}." if pairs else ""


def _words(of: Interval) -> str:
    return f"{of.value:.2f} [{of.low:.2f}, {of.high:.2f}]"
