"""The study that a target names."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ttr_numerics.named import named_object
from ttr_numerics.study.study import Study

__all__ = ["named"]


def named(target: str, axes: Sequence[tuple[str, tuple[Any, ...]]] = ()) -> Study:
    """The `Study` that package.module:NAME or file.py:NAME names, with other values on some of its axes.

    A file's functions travel to workers by value: only this process knows the file.
    """
    found = named_object(target)
    if not isinstance(found, Study):
        raise ValueError(f"target: expected a Study, got {type(found).__name__} {target.rpartition(':')[2]}")
    if target.rpartition(":")[0].endswith(".py"):
        _by_value(found.measure.__module__)
    return replace(found, grids=tuple(grid.restricted(dict(axes)) for grid in found.grids)) if axes else found


def _by_value(module: str) -> None:
    try:
        pickler = importlib.import_module("cloudpickle")
    except ImportError:  # without Dask there are no workers that it could travel to
        return
    pickler.register_pickle_by_value(sys.modules[module])
