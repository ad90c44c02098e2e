"""What a target names: a function, a torch module, or a class of either that is made without arguments."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

from ttr_numerics.named import named_object

__all__ = ["prepared", "resolve"]

_FORMS = "package.module:function or file.py:function"


def resolve(target: str) -> Callable[..., Any]:
    """The function (or torch module, or class to be made without arguments) that `target` names.

    `target` is `package.module:name` or `path/to/file.py:name`. A torch module is set to evaluate.
    """
    return prepared(named_object(target, _FORMS), target.rpartition(":")[2])


def prepared(found: Any, name: str) -> Callable[..., Any]:
    """What is called: an instance of a class, a copy of a torch module that evaluates, else the function itself."""
    made = _made(found, name) if inspect.isclass(found) else found
    if not callable(made):
        raise ValueError(f"target: expected a function, got {type(made).__name__} {name}")
    if inspect.isroutine(made) or not (hasattr(made, "forward") and hasattr(made, "eval")):
        return made
    return copy.deepcopy(made).eval()  # its weights are cast, and are somebody's


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
