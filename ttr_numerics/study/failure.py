"""What another's code raised, as a sentence: its kind, the first line of what it said, the file and the line."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["placed_sentence", "refused", "sentence"]

_OURS = str(Path(__file__).parents[1])
_INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def sentence(failure: BaseException) -> str:
    """The kind and the first line of what it said: "ValueError: no such matrix". Neither steers a terminal."""
    try:
        said = failure.msg if isinstance(failure, SyntaxError) else str(failure)
    except Exception:  # noqa: BLE001 (a stranger's class: it cannot say what is wrong)
        said = ""
    first = (said.splitlines() or [""])[0].encode(errors="replace").decode()  # no half of a pair can be stored
    said = "".join(c if c.isprintable() else " " for c in first).strip()
    return f"{type(failure).__name__}: {said}" if said else type(failure).__name__


def placed_sentence(failure: BaseException) -> str:
    """The same with the place: "ValueError: no such matrix (mine.py, line 7)"."""
    place = _place(failure)
    return f"{sentence(failure)} ({place})" if place else sentence(failure)


@contextmanager
def refused(expected: str) -> Iterator[None]:
    """A stranger's failure inside is a ValueError that says what was `expected`; a refusal of ours passes through."""
    try:
        yield
    except (Exception, SystemExit) as failure:
        if isinstance(failure, ValueError) and _is_ours(failure):
            raise
        raise ValueError(f"{expected}, got {placed_sentence(failure)}") from failure


def _is_ours(failure: BaseException) -> bool:
    """Raised by this package, and not because a stranger called it."""
    files = [frame.filename for frame in traceback.extract_tb(failure.__traceback__)]
    return files[-1].startswith(_OURS) and not any(map(_is_strangers, files))


def _place(failure: BaseException) -> str:
    """File and line of the innermost call that is neither of an installed library nor of this package."""
    if isinstance(failure, SyntaxError) and failure.filename:
        return f"{Path(failure.filename).name}, line {failure.lineno}"
    frames = [frame for frame in traceback.extract_tb(failure.__traceback__) if _is_strangers(frame.filename)]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _is_strangers(file: str) -> bool:
    return not file.startswith(("<", _OURS, *_INSTALLED))
