"""The study that a target names."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from ttr_numerics.named import named_object
from ttr_numerics.study.study import Study

__all__ = ["named"]


def named(target: str, axes: Sequence[tuple[str, tuple[Any, ...]]] = (), keys: str | None = None) -> Study:
    """The `Study` that package.module:NAME or file.py:NAME names; a word alone is `analysis.WORD:STUDY`.

    With other values on some of its axes, or of a user's keys. A file's functions travel to workers by value: only
    this process knows the file.
    """
    target = target if ":" in target or not target.isidentifier() else f"analysis.{target}:STUDY"
    found = named_object(target)
    if not isinstance(found, Study):
        raise ValueError(f"target: expected a Study, got {type(found).__name__} {target.rpartition(':')[2]}")
    if target.rpartition(":")[0].endswith(".py"):
        _by_value(found.measure.__module__)
    found = found if keys is None else found.with_keys(keys)
    return found.restricted(dict(axes)) if axes else found


def _by_value(module: str) -> None:
    try:
        pickler = importlib.import_module("cloudpickle")
    except ImportError:  # without Dask there are no workers that it could travel to
        return
    pickler.register_pickle_by_value(sys.modules[module])
