"""A question posed as a grid: what one cell is, which cells there are, and the key under which a cell is stored."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.arrays import cast
from ttr_numerics.study.code import code_version
from ttr_numerics.study.configuration import Configuration, configuration

__all__ = ["GIVEN", "Grid", "Study", "placed"]

GIVEN = ("keys", "content", "library")  # parameters that a cell is given besides those of the axes

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


@dataclass(frozen=True)
class Study:
    """`measure(cell, rng)` gives the rows of one cell, a function of a module's top level so that workers find it.

    The generator is seeded by the study's seed and the cell alone: rows do not depend on order, or on who ran them.

    A study of stored keys says what it asks of T of them with d channels by `on_keys(T, d)`: grids whose cells are
    given two more parameters, `keys`, the name that `tasks.stored` reads, and `content`, a hash of what that holds.
    `sources` are the names it is asked of: what is shipped, or by `with_keys` a user's file.

    A study may compute with other `libraries` than NumPy: its cells then have the parameter `library`, and
    `placed(cell, x, ...)` gives it arrays of that library. Its generator stays that of the same cell without it, so
    that what is drawn by NumPy and then placed is the same to the bit in every library.
    """

    name: str
    question: str
    measure: Callable[[Cell, np.random.Generator], Sequence[Row]]
    grids: tuple[Grid, ...] = ()
    seed: int = 0
    on_keys: Callable[[int, int], Sequence[Grid]] | None = None
    sources: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ("numpy",)
    library: str = "numpy"

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell once: the grids in turn, then what is asked of each source."""
        return tuple(cell for cells in self.by_grid for cell in cells)

    @cached_property
    def by_grid(self) -> tuple[tuple[Cell, ...], ...]:
        """The cells of each grid that none before it has."""
        given: Cell = {} if self.library == "numpy" else {"library": self.library}
        grids = [grid.cells() for grid in self.grids]
        grids += [cells for source in self.sources for cells in self._keyed(source)]
        seen: set[str] = set()
        found = []
        for cells in grids:
            new = {_canonical(given | cell): given | cell for cell in cells}
            found.append(tuple(cell for content, cell in new.items() if content not in seen))
            seen |= new.keys()
        return tuple(found)

    def with_keys(self, source: str) -> "Study":
        """The study of the keys stored under `source` in place of those that are shipped.

        Raises ValueError for a study that asks nothing of stored keys, and for a source that cannot be read.
        """
        if self.on_keys is None:
            raise ValueError(f"--keys: expected a study of stored keys, got {self.name}, which asks nothing of them")
        tasks.stored(source)
        return replace(self, sources=(source,))

    def computed_by(self, library: str) -> "Study":
        """The study by another array library. Raises ValueError for one that it does not compute with."""
        if library not in self.libraries:
            raise ValueError(f"--library: expected one of {', '.join(self.libraries)} for {self.name}, got {library}")
        return replace(self, library=library)

    def restricted(self, chosen: Mapping[str, Sequence[Scalar]]) -> "Study":
        """The study with the chosen values alone on some axes.

        Values that the grids have select among them: a grid that has none of them asks nothing. A number that no grid
        has is put, with those beside it, into every grid of that axis. Raises ValueError for an axis that none has,
        and for a word that none has: what it means is for the study to say.
        """
        for name in chosen:
            known = [cell[name] for cell in self.cells if name in cell]
            if not known or name in GIVEN:
                axes = dict.fromkeys(name for cell in self.cells for name in cell if name not in GIVEN)
                raise ValueError(f"axis: expected one of {', '.join(axes)}, got {name}")
            _refuse_unknown_words(name, chosen[name], known)
        new = {name for name, values in chosen.items() if not all(self._has(name, value) for value in values)}
        on_keys = _Restricted(self.on_keys, chosen, new) if self.on_keys is not None else None
        return replace(self, grids=_restricted(self.grids, chosen, new), on_keys=on_keys)

    def _has(self, name: str, value: Scalar) -> bool:
        return any(name in cell and cell[name] == value for cell in self.cells)

    @cached_property
    def code(self) -> str:
        """The version of all code of ours that `measure` can reach."""
        return code_version(self.measure.__module__)

    @cached_property
    def configuration(self) -> Configuration:
        """What the rows depend on besides the cell, to be compared with that of stored rows."""
        return configuration(self.name, self.seed, self.measure.__module__, self.library)

    def key(self, cell: Cell) -> str:
        """What a stored cell is found by: its parameters, the study, the seed and the code."""
        content = _canonical({"study": self.name, "seed": self.seed, "code": self.code, "cell": cell})
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def generator(self, cell: Cell) -> np.random.Generator:
        """The cell's own random numbers: of its parameters, whatever the library that computes with them."""
        drawn = {name: value for name, value in cell.items() if name != "library"}
        return np.random.default_rng([self.seed, *hashlib.sha256(_canonical(drawn).encode()).digest()])

    def _keyed(self, source: str) -> list[list[Cell]]:
        assert self.on_keys is not None, "a study with sources says what it asks of them"
        of_source: Cell = {"keys": source, "content": tasks.content_of(source)}
        T, d = tasks.stored(source).k.shape[-2:]
        return [[of_source | cell for cell in grid.cells()] for grid in self.on_keys(T, d)]


def _refuse_unknown_words(name: str, chosen: Sequence[Scalar], known: Sequence[Scalar]) -> None:
    words = list(dict.fromkeys(value for value in known if isinstance(value, str)))
    for value in chosen:
        if isinstance(value, str) and not words:
            raise ValueError(f"axis: expected values of {name} like {known[0]}, got {value}")
        if value not in known and (isinstance(value, str) or len(words) == len(set(known))):
            raise ValueError(f"axis: expected {name} of {', '.join(words)}, got {value}")


@dataclass(frozen=True)
class _Restricted:
    """The grids of `on_keys` with the chosen values alone on some axes, of which `new` have values of no grid."""

    on_keys: Callable[[int, int], Sequence[Grid]]
    chosen: Mapping[str, Sequence[Scalar]]
    new: Collection[str]

    def __call__(self, T: int, d: int) -> Sequence[Grid]:
        return _restricted(self.on_keys(T, d), self.chosen, self.new)


def _restricted(
    grids: Sequence[Grid], chosen: Mapping[str, Sequence[Scalar]], new: Collection[str]
) -> tuple[Grid, ...]:
    """Grids without the axis stay as they are; grids left without a value are dropped."""
    found = []
    for grid in grids:
        axes = {}
        for name, values in grid.axes.items():
            wanted = chosen.get(name, values)
            axes[name] = tuple(wanted) if name in new else tuple(value for value in values if value in wanted)
        if all(axes.values()):
            found.append(Grid(axes))
    return tuple(found)


def placed(cell: Mapping[str, Any], *arrays: np.ndarray) -> tuple[Any, ...]:
    """The arrays, of the same dtypes, in the library of the cell: NumPy unless the study is `computed_by` another."""
    library = str(cell.get("library", "numpy"))
    return arrays if library == "numpy" else tuple(cast(x, library, x.dtype.name) for x in arrays)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
