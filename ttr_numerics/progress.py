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
    """An iterator's item is done when it comes, that of a collection when the next one is asked for."""
    started = said = time.monotonic()
    for done, item in enumerate(iterable, start=isinstance(iterable, Iterator)):
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            of_total = f" of {total}" if total is not None else ""
            left = f", about {(now - started) / done * (total - done):.0f} s left" if total and done else ""
            rate = _rate(done, now - started)
            sys.stderr.write(f"{name}: {done}{of_total} done after {now - started:.0f} s{rate}{left}\n")
            sys.stderr.flush()
        yield item


def _rate(done: int, seconds: float) -> str:
    """How many a second, or how long each where that is more than a second; nothing while nothing is done.

    >>> _rate(30, 4.0), _rate(2, 9.0), _rate(0, 9.0)
    (', 7.5 a second', ', 4.5 s each', '')
    """
    if not done or seconds <= 0:
        return ""
    return f", {_short(done / seconds)} a second" if done >= seconds else f", {_short(seconds / done)} s each"


def _short(value: float) -> str:
    """One digit after the point below ten."""
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
