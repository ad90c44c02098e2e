"""A question posed as a grid: what one cell is, which cells there are, and the key under which a cell is stored."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics.study.code import code_version

__all__ = ["Grid", "Study"]

Scalar = bool | int | float | str | None
Cell = dict[str, Scalar]
Row = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """Every combination of the values of its axes; the first axis varies slowest."""

    axes: Mapping[str, Sequence[Scalar]]

    def cells(self) -> list[Cell]:
        """The cells as plain values by axis name."""
        return [dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values())]

    def restricted(self, chosen: Mapping[str, Sequence[Scalar]]) -> "Grid":
        """The grid with other values on some of its axes. Raises ValueError for an axis it does not have."""
        for name in chosen:
            if name not in self.axes:
                raise ValueError(f"axis: expected one of {', '.join(self.axes)}, got {name}")
        return Grid({name: tuple(chosen.get(name, values)) for name, values in self.axes.items()})


@dataclass(frozen=True)
class Study:
    """`measure(cell, rng)` gives the rows of one cell, a function of a module's top level so that workers find it.

    The generator is seeded by the study's seed and the cell alone: rows do not depend on order, or on who ran them.
    """

    name: str
    question: str
    measure: Callable[[Cell, np.random.Generator], Sequence[Row]]
    grids: tuple[Grid, ...]
    seed: int = 0
    cells: tuple[Cell, ...] = field(init=False)

    def __post_init__(self) -> None:
        unique = {_canonical(cell): cell for grid in self.grids for cell in grid.cells()}
        object.__setattr__(self, "cells", tuple(unique.values()))

    @cached_property
    def code(self) -> str:
        """The version of all code of ours that `measure` can reach."""
        return code_version(self.measure.__module__)

    def key(self, cell: Cell) -> str:
        """What a stored cell is found by: its parameters, the study, the seed and the code."""
        content = _canonical({"study": self.name, "seed": self.seed, "code": self.code, "cell": cell})
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def generator(self, cell: Cell) -> np.random.Generator:
        """The cell's own random numbers."""
        return np.random.default_rng([self.seed, *hashlib.sha256(_canonical(cell).encode()).digest()])


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
