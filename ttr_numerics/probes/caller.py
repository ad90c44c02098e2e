"""Calling a stranger's function: arrays of its library in, NumPy out, and whether it wrote into what it was given."""

import importlib
import importlib.util
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np

from ttr_numerics.arrays import cast, to_numpy

__all__ = ["Caller", "Here", "ShapeError", "Raw", "SubjectError", "resolve"]


class SubjectError(RuntimeError):
    """The subject raised, died or took too long: one sentence."""


class ShapeError(SubjectError):
    """The subject gave an output of another shape than the layer's."""


class Raw(NamedTuple):
    """What one call gave: o on NumPy in the layout and dtype it came in, a final state, the inputs it wrote into."""

    o: np.ndarray
    dtype: str
    state: Any
    changed: tuple[str, ...]


class Caller(Protocol):
    """A function here or in another process."""

    def call(self, foreign: Mapping[str, Any], library: str, dtype: str, state: Any = None) -> Raw:
        """Call it on NumPy arrays (and numbers), cast to `dtype` of `library`, from `state` if not None."""

    def parameters(self) -> tuple[str, ...]:
        """Names of its parameters; "**" stands for any keyword."""


@dataclass(frozen=True)
class Here:
    """A function of this process."""

    function: Callable[..., Any]

    def call(self, foreign: Mapping[str, Any], library: str, dtype: str, state: Any = None) -> Raw:
        """See `Caller`. q, k and v go by position, under whatever names; the rest by name."""
        given = {n: cast(x, library, dtype) if isinstance(x, np.ndarray) else x for n, x in foreign.items()}
        named = dict(list(given.items())[3:]) | ({} if state is None else {"initial_state": state})
        try:
            with warnings.catch_warnings():  # a warning is no failure, whatever the caller's filters say
                warnings.simplefilter("ignore")
                result = self.function(*list(given.values())[:3], **named)
        except Exception as error:
            raise SubjectError(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from error
        o, final = _parts(result)
        if not hasattr(o, "dtype"):
            raise SubjectError(f"expected an array as output, got {type(o).__name__}")
        changed = tuple(n for n, x in foreign.items() if isinstance(x, np.ndarray) and _differ(given[n], x, dtype))
        return Raw(np.asarray(to_numpy(o)), str(o.dtype).removeprefix("torch."), final, changed)

    def parameters(self) -> tuple[str, ...]:
        """See `Caller`."""
        found = inspect.signature(self.function).parameters.values()
        return tuple("**" if p.kind is p.VAR_KEYWORD else p.name for p in found)


def _differ(after: Any, before: np.ndarray, dtype: str) -> bool:
    fresh = to_numpy(cast(before, "numpy", dtype))
    return not np.array_equal(np.asarray(to_numpy(after)), fresh, equal_nan=fresh.dtype.kind == "f")


def _parts(result: Any) -> tuple[Any, Any]:
    if hasattr(result, "o"):
        return result.o, getattr(result, "state", None)
    if isinstance(result, tuple | list):
        return result[0], result[1] if len(result) > 1 else None
    return result, None


def resolve(target: str) -> Callable[..., Any]:
    """The function that `package.module:function` or `path/to/file.py:function` names."""
    place, colon, name = target.rpartition(":")
    if not colon or not name:
        raise ValueError(f"target: expected package.module:function or file.py:function, got {target}")
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"target: expected {part} in {place}, got no such name")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"target: expected a function, got {type(found).__name__} {name}")
    return found


def _module(place: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise ValueError(f"target: expected an importable module, got {place}: {error}") from error
    path = Path(place)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ValueError(f"target: expected a Python file, got {place}, which is not one")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
