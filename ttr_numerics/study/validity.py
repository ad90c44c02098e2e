"""What a study must be to be run: everything that a user's own file may get wrong is refused before any cell."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ttr_numerics import tasks
from ttr_numerics.study.failure import refused
from ttr_numerics.study.rows import VAST, VAST_DIGITS
from ttr_numerics.study.study import GIVEN, Grid, Study

__all__ = ["check_asked", "check_study"]

_MOST = 1_000_000  # cells of a study: each is looked up in its journal
_LONGEST = 200  # bytes of a name, which with .jsonl and a number names a file


def check_study(study: Study) -> None:
    """Refuse, before any cell is computed, what a user's own file gets wrong."""
    if not _is_text(study.name) or not study.name.strip() or len(study.name.encode()) > _LONGEST:
        raise ValueError(f"name: expected a text of 1 to {_LONGEST} bytes, got {str(study.name)[:40]!r}")
    if not _is_text(study.question):
        raise ValueError(f"question: expected a text for {study.name}, got {type(study.question).__name__}")
    if isinstance(study.seed, bool) or not isinstance(study.seed, int) or study.seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0 for {study.name}, got {study.seed!r}")
    if not callable(study.measure) or study.measure.__module__ == "functools":  # a partial: its code is elsewhere
        raise ValueError(f"measure: expected a function for {study.name}, got {type(study.measure).__name__}")
    _refuse_namesakes(study)
    _check_grids("grids", study.grids, study.name)
    if not isinstance(study.sources, tuple | list):
        raise ValueError(f"sources: expected a tuple of names for {study.name}, got {type(study.sources).__name__}")
    if not study.sources:
        return
    if study.on_keys is None:
        raise ValueError(f"sources: expected an on_keys(T, d) beside them for {study.name}, got none")
    check_asked(study)


def _refuse_namesakes(study: Study) -> None:
    """Refuse two studies of one name in a module: each would take the other's stored rows for its own."""
    for name, other in vars(sys.modules[study.measure.__module__]).items():
        if isinstance(other, Study) and other.name == study.name and other.measure is not study.measure:
            raise ValueError(
                f"name: expected each study of a module under a name of its own, got {study.name!r} twice, "
                f"for {name} too"
            )


def check_asked(study: Study) -> None:
    """Refuse grids of stored keys that cannot be run."""
    assert study.on_keys is not None
    for source in study.sources:
        with refused(f"on_keys: expected grids of {study.name} for {source}"):
            asked = study.on_keys(*tasks.stored(source).k.shape[-2:])
        _check_grids("on_keys", asked, study.name)


def _check_grids(what: str, grids: Any, name: str) -> None:
    if not isinstance(grids, tuple | list):
        raise ValueError(f"{what}: expected a tuple of Grid for {name}, got {type(grids).__name__}")
    for grid in grids:
        if not isinstance(grid, Grid) or not isinstance(grid.axes, Mapping):
            raise ValueError(f"{what}: expected Grid({{axis: values}}) for {name}, got {type(grid).__name__}")
        for axis, values in grid.axes.items():
            _check_axis(axis, values)
    cells = sum(math.prod(map(len, grid.axes.values())) for grid in grids)
    if cells > _MOST:
        raise ValueError(f"{what}: expected at most {_MOST:,} cells for {name}, got {cells:,}")


def _check_axis(axis: Any, values: Any) -> None:
    if not _is_text(axis):
        raise ValueError(f"axes: expected names that are text, got {axis!r}")
    if axis in GIVEN:
        raise ValueError(f"axes: expected other names than {', '.join(GIVEN)}, which are given, got {axis}")
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{axis}: expected a tuple of values, got {type(values).__name__} (of NumPy: .tolist())")
    for value in values:
        if value is not None and not isinstance(value, bool | int | float | str):
            what = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
            raise ValueError(f"{axis}: expected numbers, texts, truth values or None, got {what} (of NumPy: .tolist())")
        if isinstance(value, str) and not _is_text(value):
            raise ValueError(f"{axis}: expected text of whole characters, got half of a pair (surrogate)")
        if isinstance(value, int) and abs(value) >= VAST:
            raise ValueError(f"{axis}: expected whole numbers of at most {VAST_DIGITS} digits, got one of more")


def _is_text(value: Any) -> bool:
    """Text that can be stored: no half of a surrogate pair."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()
