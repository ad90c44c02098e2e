"""A headless Chromium, driven over a pipe by its DevTools protocol: no library, no port, no network."""

import fcntl
import json
import os
import select
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)"
)

# Without a network, and without the calls that a browser makes at its start.
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
PATIENCE = 60.0  # seconds for an answer, on a machine that does other things


class Page:
    """One open page. What its console says of errors and warnings is kept in `complaints`."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.complaints: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        return self._browser.call(method, parameters, self)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        said = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, expression: str) -> Any:
        """The value of the expression once it is true."""
        deadline = time.monotonic() + PATIENCE
        while not (found := self.ask(expression)):
            assert time.monotonic() < deadline, f"never true: {expression[:300]}"
            time.sleep(0.05)
        return found

    def open(self, address: str) -> None:
        """Go there, and wait until the page's script has begun."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """As wide as a window, or as a phone, may be."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def mouse(self, kind: str, x: float, y: float, clicks: int = 0) -> None:
        """A mouse event at a place of the window; `kind` is Moved, Pressed or Released."""
        button = {"button": "left", "buttons": 1} if clicks else {}
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, clickCount=clicks, **button)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move, release."""
        self.mouse("Moved", *start)
        self.mouse("Pressed", *start, clicks=1)
        for share in (0.3, 0.6, 1.0):
            place = [a + share * (b - a) for a, b in zip(start, end, strict=True)]
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1], button="left", buttons=1)
        self.mouse("Released", *end, clicks=1)

    def key(self, name: str) -> None:
        """Press and release a key."""
        text = {"text": name} if len(name) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def heard(self, message: dict[str, Any]) -> None:
        """Keep what is a complaint."""
        said = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(said["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if said["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(said["args"]))
            case "Log.entryAdded" if said["entry"]["level"] in ("error", "warning"):
                self.complaints.append(said["entry"]["text"])


class Browser:
    """The running process: commands go down one pipe, answers and events come up the other, each ended by a NUL."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._waiting, self._number = b"", 0

    def page(self) -> Page:
        """A new page, listened to."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        return page

    def call(self, method: str, parameters: dict[str, Any], page: Page | None = None) -> dict[str, Any]:
        """Send a command and wait for its answer; what is heard meanwhile goes to the page."""
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if page is not None:
            command["sessionId"] = page._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message["error"]
                return dict(message["result"])
            if page is not None:
                page.heard(message)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            found = os.read(self._answers, 1 << 20) if ready else b""
            assert found, "the browser does not answer"
            self._waiting += found
        message, _, self._waiting = self._waiting.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def running() -> Iterator[Browser]:
    """A browser that ends with the block; it reads commands from descriptor 3 and answers on 4."""
    (given, commands), (answers, taken) = _pipe(), _pipe()
    with tempfile.TemporaryDirectory() as profile:
        moves = [(os.POSIX_SPAWN_DUP2, given, 3), (os.POSIX_SPAWN_DUP2, taken, 4)]
        moves += [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]  # type: ignore[list-item]
        arguments = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = os.posix_spawn(str(CHROMIUM), arguments, os.environ, file_actions=moves)
        os.close(given)
        os.close(taken)
        browser = Browser(commands, answers)
        try:
            yield browser
        finally:
            browser.call("Browser.close", {})
            os.close(commands)
            os.close(answers)
            os.waitpid(process, 0)
            _emptied(Path(profile))


def _pipe() -> tuple[int, int]:
    """Its two ends, above the descriptors that the browser is given."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _emptied(folder: Path) -> None:
    """The browser's helpers may still be writing when it has ended."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)
    folder.mkdir(exist_ok=True)
