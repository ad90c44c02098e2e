"""The pytest plugin: `pytest --ttr-report FILE` writes what every `assert_layer` and `assert_output` found, as a page.

Loaded by pytest wherever ttr_numerics is installed; it imports the rest of the package when a report is asked for.
With pytest-xdist the workers send what they found to the process that writes.
"""

import pickle
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Collector", "pytest_addoption", "pytest_configure"]

_SENT = "ttr_numerics"  # the key under which a worker's findings travel


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    group = parser.getgroup("ttr_numerics", "verdicts on sequence layers")
    group.addoption("--ttr-report", metavar="FILE", help="write the verdicts of all ttr_numerics assertions as a page")


def pytest_configure(config: pytest.Config) -> None:
    """Collect where a report was asked for, refusing at once a place where none can be written."""
    target = config.getoption("--ttr-report")
    if not target:
        return
    path = Path(config.invocation_params.dir, target)
    if path.is_dir() or not path.parent.is_dir():
        raise pytest.UsageError(f"--ttr-report: expected a file in an existing folder, got {target}")
    config.pluginmanager.register(Collector(config, path), "ttr_numerics_collector")


class Collector:
    """Gathers (test, audit) of this process or its workers and writes the page at the end."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self.config: Any = config  # xdist gives a worker's attributes of its own
        self.path = path
        self.found: list[tuple[str, Any]] = []
        self.test = ""

    @property
    def is_worker(self) -> bool:
        """Whether another process writes the page."""
        return hasattr(self.config, "workerinput")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Know which test is running."""
        self.test = item.nodeid
        return (yield)

    def pytest_sessionstart(self) -> None:
        """Listen from here on."""
        from ttr_numerics.testing.record import listen

        self.stop = listen(lambda target, audit: self.found.append((f"{self.test}: {target}", audit)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker found."""
        sent = getattr(node, "workeroutput", {}).get(_SENT)  # a worker that crashed sends nothing
        if sent:
            self.found += pickle.loads(sent)

    def pytest_sessionfinish(self) -> None:
        """Hand over, or write."""
        from ttr_numerics.probes.page import as_page
        from ttr_numerics.report.files import write_atomically

        self.stop()
        if self.is_worker:
            self.config.workeroutput[_SENT] = pickle.dumps(self.found)
        elif self.found:
            write_atomically(self.path, as_page(sorted(self.found, key=lambda entry: entry[0])))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the page is."""
        said = f"verdicts: {self.path}" if self.found else "no verdict was asked for: no page written"
        terminalreporter.write_sep("-", f"ttr_numerics: {said}")
