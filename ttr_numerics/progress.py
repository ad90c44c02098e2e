"""How far a long loop has come, on standard error: a bar on a terminal, elsewhere a line every few seconds."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, cast

__all__ = ["Progress", "progress_named"]

SECONDS_BETWEEN_LINES = 5.0

Progress = Callable[..., Iterable[Any]]


def progress_named(name: str) -> Progress:
    """A `progress(iterable, total=None)` that says `name`, how many are done, at what rate, and the time left."""

    def progress(iterable: Iterable[Any], total: int | None = None) -> Iterable[Any]:
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        if sys.stderr.isatty():
            from tqdm import tqdm

            return cast(Iterable[Any], tqdm(iterable, desc=name, total=total, file=sys.stderr, leave=False))
        return _with_lines(name, iterable, total)

    return progress


def _with_lines(name: str, iterable: Iterable[Any], total: int | None) -> Iterator[Any]:
    started = said = time.monotonic()
    for done, item in enumerate(iterable):
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            of_total = f" of {total}" if total is not None else ""
            left = f", about {(now - started) / done * (total - done):.0f} s left" if total and done else ""
            sys.stderr.write(f"{name}: {done}{of_total} done after {now - started:.0f} s{left}\n")
            sys.stderr.flush()
        yield item
