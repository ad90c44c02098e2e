"""What the assertions of this process found, for whoever writes a report of it."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.probes import Audit

__all__ = ["listen", "record"]

_LISTENERS: list[Callable[[str, Audit], Any]] = []


def listen(listener: Callable[[str, Audit], Any]) -> Callable[[], None]:
    """Call `listener(target, audit)` for every assertion from now on, until the function returned here is called."""
    _LISTENERS.append(listener)
    return lambda: _LISTENERS.remove(listener)


def record(target: str, audit: Audit) -> None:
    """Tell everyone who listens."""
    for listener in _LISTENERS:
        listener(target, audit)
