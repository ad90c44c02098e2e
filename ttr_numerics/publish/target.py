"""What a report is asked of: an analysis of the repository, or a user's own study."""

import hashlib
import importlib
import inspect
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from ttr_numerics.progress import Progress
from ttr_numerics.publish.generic import section_of
from ttr_numerics.publish.refusal import Refusal
from ttr_numerics.publish.studies import journal, measured_rows
from ttr_numerics.report import Section, versions
from ttr_numerics.study import Store, Study, Workers
from ttr_numerics.study.code import own_libraries
from ttr_numerics.study.failure import refused
from ttr_numerics.study.target import asks, journal_path, named, of_keys

__all__ = ["Analyses", "Target", "of_analysis", "of_study", "rows_file", "takes"]


@dataclass(frozen=True)
class Analyses:
    """The analyses of a package by name: those of the default report, and those measured only when named.

    Each is a module with `render(rows) -> Section` and either STUDY or SEED and `measure(progress)`; the first
    paragraph of its docstring is the question. `layers` names the layer that a line shows by the line's own `layer` or
    label, None where it shows none: what the page's filter lists.
    """

    package: str
    default: tuple[str, ...]
    on_request: tuple[str, ...]
    title: str
    lead: str
    layers: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def known(self) -> tuple[str, ...]:
        """All names, in the order of the page."""
        return self.default + self.on_request

    def chosen(self, names: Sequence[str], out: Path, *, measuring: bool) -> tuple[list[str], list[str]]:
        """What to make of `names`, or by default of all; and what is left as it is stored, measured only when named.

        Raises Refusal for a name that is not known.
        """
        for name in names:
            if name not in self.known:
                raise Refusal(f"There is no analysis {name!r}; there are {', '.join(self.known)}.")
        left = [name for name in self.on_request if not names and (measuring or not rows_file(name, out).exists())]
        return [name for name in self.known if name in names or (not names and name not in left)], left


@dataclass(frozen=True)
class Target:
    """One report by its name: the module that renders it, and the study that measures it, where it is one."""

    name: str
    command: str
    module: ModuleType
    study: Study | None = None
    store: Path | None = None
    layers: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name as its author writes it."""
        return self.name if self.study is None else self.study.name

    @property
    def question(self) -> str:
        """What is asked: the first paragraph of an analysis, the question of a user's study."""
        said = inspect.getdoc(self.module) if hasattr(self.module, "render") else None
        if not said:
            return self.study.question if self.study is not None else ""
        return " ".join(said.partition("\n\n")[0].split())

    @property
    def seed(self) -> int:
        """Of all random numbers."""
        return int(self.module.SEED) if self.study is None else self.study.seed

    @property
    def versions(self) -> dict[str, str]:
        """Of what can change a digit, with the libraries that the study's own code imports."""
        if self.study is None:
            return versions()
        here = self.study.configuration.versions
        own = own_libraries(self.study.measure.__module__)
        return {**{name: here[name] for name in own if name in here}, **versions()}

    def measured(self, progress: Progress, workers: Workers) -> Sequence[dict[str, Any]]:
        """The rows; what is stored of a study is not measured again. Raises Unmeasured."""
        if self.study is None:
            rows: Sequence[dict[str, Any]] = self.module.measure(progress)
            return rows
        store = journal(self.study.name) if self.store is None else Store(self.store)
        return measured_rows(self.study, progress, store, workers)

    def section(self, rows: Sequence[dict[str, Any]]) -> Section:
        """The module's own section of these rows, or one made of nothing but the rows and the grid."""
        if hasattr(self.module, "render"):
            section = self.module.render(rows)
            if not isinstance(section, Section):
                raise Refusal(f"{self.name}: expected a Section of render(rows), got {type(section).__name__}.")
            return section
        assert self.study is not None, "an analysis renders itself"
        return section_of(self.study, self.name, rows)


def of_analysis(
    analyses: Analyses, name: str, keys: str | None = None, library: str | None = None, store: str | None = None
) -> Target:
    """An analysis by name; of a user's keys, by another array library, from another journal.

    Raises ValueError where it is no study, asks nothing of stored keys or does not compute with that library.
    """
    with refused(f"{name}: expected {analyses.package}.{name} to import"):
        module = importlib.import_module(f"{analyses.package}.{name}")
    posed = getattr(module, "STUDY", None)
    study = posed if isinstance(posed, Study) and not hasattr(module, "measure") else None
    place = Path(store) if store is not None else None
    if keys is None and library is None:
        command = f"python -m {analyses.package} {name}"
        return Target(name, command, module, study, place, layers=analyses.layers)
    if study is None and keys is not None:
        raise Refusal(f"--keys: expected a study of stored keys, got {name}, which asks nothing of them.")
    if study is None:
        raise Refusal(f"--library: expected a study of several array libraries, got {name}, which is none.")
    asked = _asked(study if keys is None else of_keys(study, keys), library)
    return Target(name, _command(name, keys, library), module, asked, place, layers=analyses.layers)


def takes(analyses: Analyses, name: str, keys: str | None, library: str | None) -> bool:
    """Whether an analysis is a study that asks something of a user's keys, and that this library computes."""
    study = of_analysis(analyses, name).study
    if study is None or (library is not None and library not in study.libraries):
        return False
    return keys is None or asks(study, keys)


def of_study(text: str, keys: str | None = None, library: str | None = None, store: str | None = None) -> Target:
    """A user's study, as file.py:STUDY or package.module:STUDY; its journal is the one of `ttr study`.

    Raises ValueError in one sentence where there is no study, or none of stored keys.
    """
    study = _asked(named(text, keys=keys), library)
    module, place = _module(text.rpartition(":")[0]), Path(store) if store else journal_path(text, study)
    return Target(_plain(study.name), _command(text, keys, library), module, study, place)


def _asked(study: Study, library: str | None) -> Study:
    return study if library is None else study.computed_by(library)


def _plain(name: str) -> str:
    """A name of Latin letters and digits for files and links; of a name without any, told apart from others."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return found or f"study_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _command(target: str, keys: str | None, library: str | None) -> str:
    flags = [("--keys", keys), ("--library", library)]
    given = [word for flag, value in flags if value is not None for word in (flag, value)]
    return shlex.join(["ttr", "report", target, *given])


def rows_file(name: str, out: Path) -> Path:
    """Where the measured rows of a report lie."""
    return out / f"{name}.jsonl"


def _module(place: str) -> ModuleType:
    """The module that was just loaded from a file, or by its name."""
    if not place.endswith(".py"):
        return sys.modules[place]
    path = Path(place).resolve()
    loaded = [module for module in sys.modules.values() if getattr(module, "__file__", None)]
    return next(module for module in reversed(loaded) if Path(str(module.__file__)).resolve() == path)
