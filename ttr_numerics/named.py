"""Objects that the command line names: `package.module:name` or `path/to/file.py:name`."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["named_object"]


def named_object(target: str, forms: str = "package.module:NAME or file.py:NAME") -> Any:
    """What `target` names; dots after the colon go into it.

    A file is a module from then on, of its stem's name if that is free.

    Raises ValueError in one sentence; what the module itself raises on import comes through.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not name:
        raise ValueError(f"target: expected {forms}, got {target}")
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"target: expected {part} in {place}, got no such name")
        found = getattr(found, part)
    return found


def _module(place: str) -> ModuleType:
    """The module, which finds its neighbours: those of its file, or of the working folder, as a script would."""
    own = str(Path(place).resolve().parent) if place.endswith(".py") else str(Path.cwd())
    if own not in sys.path:
        sys.path.insert(0, own)
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise ValueError(f"target: expected an importable module, got {place}: {error}") from error
    path = Path(place)
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_of_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ValueError(f"target: expected a Python file, got {place}, which is not one")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its classes and functions can be found by name
    spec.loader.exec_module(module)
    return module
