"""A case is a contender on one model: its errors by head, and beside them the best named rival that stores no more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.design_space.contenders import CONTENDERS
from analysis.design_space.measured import PREDICTION, RECALL
from analysis.rows import Rows, chosen, values
from ttr_numerics.measure import Interval, geometric_interval, mean_interval

__all__ = ["MEASURES", "Case", "best_predictors", "cases_of", "ends_of_lists", "model", "ratio_of"]

MEASURES = (PREDICTION, RECALL)
ROUNDING = float(np.finfo(float).eps) ** 2  # squared errors below it are none


@dataclass(frozen=True)
class Case:
    """Errors (heads,) by measure; `rivals` are named contenders that store no more, `ratios` of errors to theirs."""

    source: str
    contender: str
    names: str
    numbers: int
    errors: Mapping[str, np.ndarray]
    rivals: Mapping[str, str]
    ratios: Mapping[str, Interval]

    def mean(self, measure: str) -> Interval:
        """Mean and one standard error over heads."""
        return mean_interval(self.errors[measure])


def cases_of(rows: Rows) -> list[Case]:
    """Every contender on every source."""
    return [case for source in values(rows, "source") for case in _on_source(chosen(rows, source=source), source)]


def _on_source(own: Rows, source: str) -> list[Case]:
    bare = [_bare(chosen(own, contender=label), source, label) for label in values(own, "contender")]
    return [_beside_rivals(case, bare) for case in bare]


def _bare(own: Rows, source: str, label: str) -> Case:
    errors = {m: np.array([row["value"] for row in chosen(own, measure=m)]) for m in MEASURES}
    return Case(source, label, own[0]["names"], max(row["numbers"] for row in own), errors, {}, {})


def _beside_rivals(case: Case, others: Sequence[Case]) -> Case:
    """The case with its best rival in each measure: named, of no more numbers."""
    able = [x for x in others if x.names and x.contender != case.contender and x.numbers <= case.numbers]
    best = {m: min(able, key=lambda x: x.mean(m).value) for m in MEASURES if able}
    rivals = {m: rival.contender for m, rival in best.items()}
    ratios = {m: ratio_of(case, rival, m) for m, rival in best.items()}
    return Case(case.source, case.contender, case.names, case.numbers, case.errors, rivals, ratios)


def ratio_of(one: Case, other: Case, measure: str) -> Interval:
    """Geometric mean over heads of the ratios of errors, and its 95 % interval."""
    above, below = (np.maximum(x.errors[measure], ROUNDING) for x in (one, other))
    return geometric_interval(above / below)


def best_predictors(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """By source its contenders, the best predictor first."""
    sources = dict.fromkeys(case.source for case in cases)
    return {
        source: sorted((c for c in cases if c.source == source), key=lambda c: c.mean(PREDICTION).value)
        for source in sources
    }


def ends_of_lists(rows: Rows) -> dict[str, tuple[int, int]]:
    """By what was chosen (step, gate, ...) how often it is an end of the list tried, and how often it was chosen."""
    ends = {
        (c.label, f"{name} {x:g}") for c in CONTENDERS for name, tried in c.grid.items() for x in (tried[0], tried[-1])
    }
    lists = {(c.label, name) for c in CONTENDERS for name, tried in c.grid.items() if len(tried) > 1}
    choices = dict.fromkeys((row["source"], row["measure"], row["contender"], row["settings"]) for row in rows)
    found: dict[str, tuple[int, int]] = {}
    for _, _, label, settings in choices:
        for said in settings.split(", "):
            name = said.partition(" ")[0]
            if (label, name) in lists:
                at, of = found.get(name, (0, 0))
                found[name] = (at + ((label, said) in ends), of + 1)
    return found


def model(source: str) -> str:
    """The model of a display name."""
    return source.partition(" ")[0]
