"""Measure, store, read back, render: a file of rows, a Markdown report and figures each, and one page of all."""

import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ttr_numerics.progress import progress_named
from ttr_numerics.publish.catalogue import catalogue_table
from ttr_numerics.publish.refusal import Refusal
from ttr_numerics.publish.studies import Unmeasured, on_cores
from ttr_numerics.publish.target import Analyses, Target, of_analysis, rows_file
from ttr_numerics.report import (
    Figure,
    Section,
    Study,
    Table,
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
    cores: int | None = None,
) -> Published:
    """Reports of the `chosen` in the folder `out`, and the page of all `targets` that are stored there.

    A study that cannot be measured whole leaves the files of before as they are. Raises Refusal in one sentence for
    a folder that cannot be written and for rows that are missing or cannot be read.
    """
    _refuse_equal_names([target.name for target in targets])
    _make_writable(out)
    done = Published(out / "index.html")
    sections: dict[str, tuple[Section, Study]] = {}
    with on_cores(cores) as workers:
        for target in (target for target in targets if target.name in chosen):
            started = time.monotonic()
            failure = _measure(target, out, workers) if measuring else None
            done.failures += [str(failure)] if failure else []
            if failure and not _stands_with_gaps(target, failure):
                continue
            sections[target.name] = _render(target, out)
            done.seconds[target.name] = time.monotonic() - started
    stored = [target for target in targets if rows_file(target.name, out).exists()]
    if stored:
        shown = [sections.get(target.name) or _section(target, out) for target in stored]
        page = render_html(shown, title, lead, tables)
        with _writing_to(out):
            write_atomically(done.page, page)
    done.shown = tuple(target.name for target in stored)
    return done


def publish_analyses(
    analyses: Analyses, names: Sequence[str], out: Path, *, measuring: bool = True, cores: int | None = None
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
        cores=cores,
    )
    again = f"measured only when named, by `python -m {analyses.package}"
    done.left = [f"{name:<16} left as stored: {again} {name}`" for name in left]
    return done


def _make_writable(out: Path) -> None:
    """Find out before measuring, not after."""
    with _writing_to(out):
        (out / "figures").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass


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


def _render(target: Target, out: Path) -> tuple[Section, Study]:
    section, study = _section(target, out)
    drawings = {figure_file(section, each): _drawing(section, each) for each in section.figures}
    with _writing_to(out):
        for stale in (out / "figures").glob(f"{section.name}-*.svg"):
            if stale.name not in drawings:
                stale.unlink()
        for file, svg in drawings.items():
            write_atomically(out / "figures" / file, svg)
        write_atomically(out / f"{target.name}.md", render_markdown(section, study))
    return section, study


def _drawing(section: Section, figure: Figure) -> str:
    return figure_svg(figure.panels, f"{section.name}-{figure.name}", figure.finding)


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
    try:
        return target.section(study.rows), study
    except Refusal:
        raise
    except _UNFIT as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        raise Refusal(
            f"{target.name}: expected rows in {path} that `render` draws, got {type(error).__name__}: {error} "
            f"({where}); rows of before are measured anew by `{target.command}`."
        ) from error


# What a render makes of rows that lack what it reads.
_UNFIT = (LookupError, TypeError, ValueError, AttributeError, StopIteration, AssertionError)


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
