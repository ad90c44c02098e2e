"""Measure, store, read back, render: a file of rows, a Markdown report and figures each, and one page of all."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ttr_numerics.progress import progress_named
from ttr_numerics.publish.by_layer import by_layer
from ttr_numerics.publish.catalogue import catalogue_table
from ttr_numerics.publish.refusal import Refusal
from ttr_numerics.publish.studies import Unmeasured, on_cores
from ttr_numerics.publish.target import Analyses, Target, of_analysis, rows_file
from ttr_numerics.report import (
    Drawing,
    Section,
    Study,
    Table,
    drawings_of,
    figure_file,
    figure_svg,
    read_study,
    render_html,
    render_markdown,
    threads,
    write_atomically,
    write_study,
)
from ttr_numerics.study import Workers
from ttr_numerics.study.failure import placed_sentence

__all__ = ["Published", "publish", "publish_analyses"]


@dataclass
class Published:
    """The page, the seconds that each report took, what could not be measured, and what was left; in sentences."""

    page: Path
    shown: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What was written and what was not asked, for a person."""
        said = [f"{name:<16}{took:6.1f} s   {self.page.parent / name}.md" for name, took in self.seconds.items()]
        reports = f"{len(self.shown)} report{'s' if len(self.shown) != 1 else ''}"
        said += self.left
        return [*said, f"The page is {self.page}: {reports}."] if self.shown else said


def publish(
    targets: Sequence[Target],
    chosen: Sequence[str],
    out: Path,
    title: str,
    lead: str,
    *,
    tables: Sequence[Table] = (),
    measuring: bool = True,
    crew: AbstractContextManager[Workers] | None = None,
) -> Published:
    """Reports of the `chosen` in the folder `out`, and the page of all `targets` that are stored there.

    The studies are measured by the workers of `crew`, by default one a core. One that cannot be measured whole leaves
    the files of before as they are. Raises Refusal in one sentence for a folder that cannot be written and for rows
    that are missing or cannot be read.
    """
    _refuse_equal_names([target.name for target in targets])
    done = Published(out / "index.html")
    sections: dict[str, tuple[Section, Study]] = {}
    drawings: dict[str, Sequence[Drawing]] = {}
    with _prepared(out), on_cores() if crew is None else crew as workers:
        for target in (target for target in targets if target.name in chosen):
            started = time.monotonic()
            failure = _measure(target, out, workers) if measuring else None
            done.failures += [str(failure)] if failure else []
            if failure and not _stands_with_gaps(target, failure):
                continue
            sections[target.name], drawn = _render(target, out)
            drawings |= drawn
            done.seconds[target.name] = time.monotonic() - started
    stored = [target for target in targets if rows_file(target.name, out).exists()]
    if stored:
        shown = [sections.get(target.name) or _section(target, out) for target in stored]
        page = render_html(shown, title, lead, tables, drawings=drawings)
        with _writing_to(out):
            write_atomically(done.page, page)
    done.shown = tuple(target.name for target in stored)
    return done


def publish_analyses(
    analyses: Analyses,
    names: Sequence[str],
    out: Path,
    *,
    measuring: bool = True,
    crew: AbstractContextManager[Workers] | None = None,
) -> Published:
    """The analyses of a repository by name, by default all but those on request, with the catalogue at the end."""
    chosen, left = analyses.chosen(names, out, measuring=measuring)
    stored = [name for name in analyses.known if name in chosen or rows_file(name, out).exists()]
    done = publish(
        [of_analysis(analyses, name) for name in stored],
        chosen,
        out,
        analyses.title,
        analyses.lead,
        tables=[catalogue_table()],
        measuring=measuring,
        crew=crew,
    )
    again = f"measured only when named, by `python -m {analyses.package}"
    done.left = [f"{name:<16} left as stored: {again} {name}`" for name in left]
    return done


@contextmanager
def _prepared(out: Path) -> Iterator[None]:
    """The folder and its figures/, found to be writable before anything is measured; what stays empty is removed."""
    figures = out / "figures"
    made = [folder for folder in (figures, out, *out.parents) if not folder.exists()]
    try:
        with _writing_to(out):
            figures.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out):
                pass
        yield
    finally:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _measure(target: Target, out: Path, workers: Workers) -> Unmeasured | None:
    """Store the rows; where cells failed say so, and store those of the others only if a report can be made of them."""
    if target.store is not None and target.store.resolve() == rows_file(target.name, out).resolve():
        raise Refusal(f"--out: expected another folder than that of the journal {target.store}, got {out}.")
    unmeasured = None
    try:
        rows = tuple(target.measured(progress_named(target.name), workers))
    except Unmeasured as failure:
        if not _stands_with_gaps(target, failure):
            return failure
        unmeasured, rows = failure, tuple(failure.rows)
    study = Study(target.name, target.question, target.seed, target.command, target.versions, rows, threads())
    with _writing_to(out):
        try:
            write_study(rows_file(target.name, out), study)
        except ValueError as error:
            raise Refusal(f"{target.name}: {error}") from error
    return unmeasured


def _stands_with_gaps(target: Target, failure: Unmeasured) -> bool:
    """A module's own section was written for whole grids."""
    return bool(failure.rows) and not hasattr(target.module, "render")


def _render(target: Target, out: Path) -> tuple[tuple[Section, Study], dict[str, Sequence[Drawing]]]:
    """Write the Markdown report and the files of its figures, which are drawn once, for the page too."""
    section, study = _section(target, out)
    with _drawable(target, rows_file(target.name, out)):
        drawings = {figure_file(section, each): drawings_of(section, each) for each in section.figures}
    findings = {figure_file(section, each): each.finding for each in section.figures}
    with _writing_to(out):
        for stale in (out / "figures").glob(f"{section.name}-*.svg"):
            if stale.name not in drawings:
                stale.unlink()
        for file, drawn in drawings.items():
            write_atomically(out / "figures" / file, figure_svg(drawn, findings[file]))
        write_atomically(out / f"{target.name}.md", render_markdown(section, study))
    return (section, study), dict(drawings)


def _section(target: Target, out: Path) -> tuple[Section, Study]:
    path = rows_file(target.name, out)
    try:
        study = read_study(path)
    except FileNotFoundError:
        again = f"{target.command} --out {out}"
        raise Refusal(f"There are no stored rows {path}; run `{again}` first.") from None
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
    if study.analysis != target.name:
        raise Refusal(f"Expected rows of {target.name} in {path}, got rows of {study.analysis}.")
    with _drawable(target, path):
        return by_layer(target.section(study.rows), target.layers), study


@contextmanager
def _drawable(target: Target, path: Path) -> Iterator[None]:
    """Refuse rows that lack what `render` reads, and a `render` that fails of itself."""
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(
            f"{target.name}: expected rows in {path} that `render` draws, got {placed_sentence(error)}; "
            f"rows of before are measured anew by `{target.command}`."
        ) from error


def _refuse_equal_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refusal(f"Expected reports of different names, got {twice[0]} twice.")


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(f"Cannot write to {out}: {error.strerror or error}.") from error
