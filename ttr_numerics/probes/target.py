"""What a target names: a function, a torch module, or a class of either that is made without arguments."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["resolve"]

_FORMS = "package.module:function or file.py:function"


def resolve(target: str) -> Callable[..., Any]:
    """The function (or torch module, or class to be made without arguments) that `target` names.

    `target` is `package.module:name` or `path/to/file.py:name`. A torch module is set to evaluate.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not name:
        raise ValueError(f"target: expected {_FORMS}, got {target}")
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"target: expected {part} in {place}, got no such name")
        found = getattr(found, part)
    made = _made(found, name) if inspect.isclass(found) else found
    if not callable(made):
        raise ValueError(f"target: expected a function, got {type(made).__name__} {name}")
    if inspect.isroutine(made) or not hasattr(made, "forward"):
        return made
    return made.eval() if hasattr(made, "eval") else made


def _made(found: type, name: str) -> Any:
    """An instance, made without arguments, of the class called `name`."""
    try:
        return found()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"target: expected a class that is made without arguments, got {name}: {reason}; "
            "name an instance of it in a file"
        ) from error


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
