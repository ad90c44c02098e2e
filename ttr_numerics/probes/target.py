"""What a target names: a function, a torch module, or a class of either that is made without arguments."""

import inspect
from collections.abc import Callable
from typing import Any

from ttr_numerics.named import named_object

__all__ = ["resolve"]

_FORMS = "package.module:function or file.py:function"


def resolve(target: str) -> Callable[..., Any]:
    """The function (or torch module, or class to be made without arguments) that `target` names.

    `target` is `package.module:name` or `path/to/file.py:name`. A torch module is set to evaluate.
    """
    found, name = named_object(target, _FORMS), target.rpartition(":")[2]
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
