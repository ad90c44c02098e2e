"""The subject in a process of its own: it may crash, hang or print, and the audit goes on."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ttr_numerics.probes.caller import Gradients, Here, Raw, SubjectError, resolve

__all__ = ["Remote"]

STARTING = 300.0  # seconds an import may take: a large library on a busy machine
PATIENCE = 3  # calls that may hang before the subject is given up


@dataclass
class Remote:
    """The function that `target` names, in a child process that is replaced when it dies; `timeout` seconds a call.

    Final states stay in the child: what comes back is a number that stands for one.
    """

    target: str
    timeout: float = 60.0
    _child: Any = field(default=None, repr=False)
    _pipe: Connection | None = field(default=None, repr=False)
    _hung: int = field(default=0, repr=False)

    def call(self, foreign: Mapping[str, Any], library: str, dtype: str, state: Any = None) -> Raw:
        """See `Caller`. Raises `SubjectError` where the child raises, dies or takes too long."""
        return self._asked("call", (dict(foreign), library, dtype, state))

    def gradients(
        self, foreign: Mapping[str, Any], library: str, dtype: str, part: str, upstream: np.ndarray
    ) -> Gradients:
        """See `Caller`."""
        return self._asked("gradients", (dict(foreign), library, dtype, part, upstream))

    def numbers(self, state: Any) -> tuple[np.ndarray, ...]:
        """See `Caller`."""
        return self._asked("numbers", (state,))

    def parameters(self) -> tuple[str, ...]:
        """See `Caller`."""
        return self._asked("parameters", ())

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
        self._child = self._pipe = None

    def _asked(self, what: str, arguments: tuple) -> Any:
        if self._hung == PATIENCE:
            raise SubjectError(f"it gave no answer within {self.timeout:g} s, {PATIENCE} times: not called again")
        try:
            pipe = self._started()
            pipe.send((what, arguments))
            return self._received(pipe, self.timeout)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise SubjectError(self._buried()) from None

    def _started(self) -> Connection:
        if self._pipe is None or not self._child.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs, self.target), daemon=True)
            self._child.start()
            theirs.close()
            self._received(self._pipe, STARTING)
        return self._pipe

    def _received(self, pipe: Connection, timeout: float) -> Any:
        if not pipe.poll(timeout):
            self.close()
            self._hung += 1
            raise SubjectError(f"no answer within {timeout:g} s")
        kind, value = pipe.recv()
        if kind == "refused":
            self.close()
            raise ValueError(value)
        if kind == "raised":
            raise SubjectError(value)
        return value

    def _buried(self) -> str:
        self._child.join()
        code = self._child.exitcode
        self._child = self._pipe = None
        return f"its process died ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"


def _serve(pipe: Connection, target: str) -> None:
    """Answer requests until the pipe closes. What the subject prints goes nowhere.

    An interrupt is the parent's to deal with, and its command line, which may hold the seed, is not the subject's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.argv = [target]
    with open(os.devnull, "w") as nowhere:
        for stream in (1, 2):  # whatever writes there: Python, compiled code, processes of its own
            os.dup2(nowhere.fileno(), stream)
        try:
            here = Here(resolve(target))
        except ValueError as error:
            pipe.send(("refused", str(error)))
            return
        except Exception as error:  # noqa: BLE001 (an import may raise anything)
            pipe.send(("refused", f"target: expected {target} to import, got {type(error).__name__}: {error}"))
            return
        pipe.send(("ready", None))
        states: list[Any] = []
        with contextlib.suppress(EOFError):
            while True:
                pipe.send(_answered(here, states, *pipe.recv()))


def _answered(here: Here, states: list[Any], what: str, arguments: tuple) -> tuple[str, Any]:
    """The answer to one request; final states are kept in `states` and stood for by their number."""
    if what == "parameters":
        return "names", here.parameters()
    if what == "gradients":
        return "returned", here.gradients(*arguments)
    if what == "numbers":
        return "returned", here.numbers(states[arguments[0]])
    foreign, library, dtype, state = arguments
    try:
        raw = here.call(foreign, library, dtype, None if state is None else states[state])
    except SubjectError as error:
        return "raised", str(error)
    if raw.state is None:
        return "returned", raw
    states.append(raw.state)
    return "returned", raw._replace(state=len(states) - 1)
