"""The study that a target names."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ttr_numerics.named import named_object
from ttr_numerics.study.study import Grid, Study

__all__ = ["file_name", "named"]

_LONGEST = 200  # bytes of a name, which with .jsonl and a number names a file


def named(target: str, axes: Sequence[tuple[str, tuple[Any, ...]]] = (), keys: str | None = None) -> Study:
    """The `Study` that package.module:NAME or file.py:NAME names; a word alone is `analysis.WORD:STUDY`.

    With other values on some of its axes, or of a user's keys. A file's functions travel to workers by value: only
    this process knows the file. Raises ValueError in one sentence for what is no study, or one of no cell.
    """
    target = target if ":" in target or not target.isidentifier() else f"analysis.{target}:STUDY"
    found = named_object(target)
    if not isinstance(found, Study):
        raise ValueError(f"target: expected a Study, got {type(found).__name__} {target.rpartition(':')[2]}")
    if target.rpartition(":")[0].endswith(".py"):
        _by_value(found.measure.__module__)
    _check(found)
    found = found if keys is None else found.with_keys(keys)
    found = found.restricted(dict(axes)) if axes else found
    if not found.cells:
        of = f" of the keys in {keys}" if keys is not None else " at such values" if axes else ""
        raise ValueError(f"target: expected a study of at least one cell, got {found.name}, which asks nothing{of}")
    return found


def file_name(study: Study) -> str:
    """Its name with _ for what no file name of ours has: separators, control characters, a dot in front."""
    plain = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in study.name)
    return "_" + plain[1:] if plain.startswith(".") else plain


def _check(study: Study) -> None:
    """Refuse, before any cell is computed, what a user's own file gets wrong."""
    if not isinstance(study.name, str) or not study.name.strip() or len(study.name.encode()) > _LONGEST:
        raise ValueError(f"name: expected a text of 1 to {_LONGEST} bytes, got {str(study.name)[:40]!r}")
    if isinstance(study.seed, bool) or not isinstance(study.seed, int) or study.seed < 0:
        raise ValueError(f"seed: expected a whole number of at least 0 for {study.name}, got {study.seed}")
    if not isinstance(study.grids, tuple | list):
        raise ValueError(f"grids: expected a tuple of Grid for {study.name}, got {type(study.grids).__name__}")
    for grid in study.grids:
        if not isinstance(grid, Grid) or not isinstance(grid.axes, Mapping):
            raise ValueError(f"grids: expected Grid({{axis: values}}) for {study.name}, got {type(grid).__name__}")
        for axis, values in grid.axes.items():
            _check_axis(axis, values)


def _check_axis(axis: Any, values: Any) -> None:
    if not isinstance(axis, str):
        raise ValueError(f"axes: expected names that are text, got {axis!r}")
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{axis}: expected a tuple of values, got {type(values).__name__} (of NumPy: .tolist())")
    for value in values:
        if value is not None and not isinstance(value, bool | int | float | str):
            what = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
            raise ValueError(f"{axis}: expected numbers, texts, truth values or None, got {what} (of NumPy: .tolist())")


def _by_value(module: str) -> None:
    try:
        pickler = importlib.import_module("cloudpickle")
    except ImportError:  # without Dask there are no workers that it could travel to
        return
    pickler.register_pickle_by_value(sys.modules[module])
