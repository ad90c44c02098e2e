"""Stored runs by what was trained: the repetitions of one setting together, and what their spread says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from analysis.chance import BEYOND
from analysis.mqar_trained.cells import LAYERS, PAIRS
from analysis.rows import Rows

__all__ = ["AXES", "Across", "Setting", "across", "beyond", "chance", "find", "settings"]

AXES = ("task", "layer", "d", "layers", "convolution")


class Across(NamedTuple):
    """Mean, lowest and highest of one number over repetitions."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Setting:
    """All repetitions of one task, layer, width d, depth and width of the convolution."""

    task: str
    layer: str
    d: int
    layers: int
    convolution: int
    rows: Rows

    def accuracy(self) -> Across:
        """Share of questions answered, on fresh sequences."""
        return across(row["value"] for row in self.rows)

    def curve(self) -> dict[int, Across]:
        """Validation accuracy by step."""
        steps = sorted(int(name[5:]) for name in self.rows[0] if name.startswith("step_"))
        return {step: across(row[f"step_{step}"] for row in self.rows) for step in steps}

    def spread(self, when: str) -> Across | None:
        """Participation ratio of the keys, "before" or "after" training; None where some run has none."""
        found = [row[f"spread_{when}"] for row in self.rows]
        return None if any(x is None for x in found) else across(found)

    def stopped(self) -> int:
        """Runs that failed on the way."""
        return sum(bool(row["stopped"]) for row in self.rows)


def across(values: Iterable[float]) -> Across:
    """Mean, lowest and highest."""
    x = list(values)
    return Across(float(np.mean(x)), min(x), max(x))


def settings(rows: Rows) -> list[Setting]:
    """Every setting, in the order of the tasks, layers and sizes."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in AXES), []).append(row)
    order = {name: place for place, name in enumerate(LAYERS)}
    tasks = list(PAIRS)
    found = [Setting(**dict(zip(AXES, key, strict=True)), rows=group) for key, group in groups.items()]
    return sorted(found, key=lambda s: (tasks.index(s.task), s.layers, -s.convolution, s.d, order[s.layer]))


def find(of: Sequence[Setting], **wanted: Any) -> list[Setting]:
    """The settings that agree with every name given."""
    return [s for s in of if all(getattr(s, name) == value for name, value in wanted.items())]


def chance(task: str) -> float:
    """1/n: what a reader reaches that knows which values were listed, and not with which keys."""
    return 1 / PAIRS[task]


def beyond(row: dict[str, Any], share: float) -> bool:
    """Whether a run's accuracy lies more than three standard errors, over sequences, above `share`."""
    error = (row["high"] - row["low"]) / (2 * float(stats.norm.ppf(0.975)))
    return bool(row["value"] > share + BEYOND * error)
