"""Measure, store, read back, render: `python -m analysis [NAME ...] [--render-only] [--out FOLDER]`.

Each analysis writes its rows, a Markdown report and figures; the page `index.html` is made of all that are
stored. What is in `ON_REQUEST` is measured only when named: it takes other libraries along, and its rows are times,
which no second run repeats. Exit status: 0 done, 2 a bad name, stored rows or folder, 130 interrupted (what was
finished is kept).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from analysis.journal import measured_rows
from ttr_numerics.progress import Progress, progress_named
from ttr_numerics.report import (
    Figure,
    Section,
    Study,
    figure_file,
    figure_svg,
    read_study,
    render_html,
    render_markdown,
    threads,
    versions,
    write_atomically,
    write_study,
)
from ttr_numerics.study import Study as Posed

ANALYSES = ("recall_error", "conditioning", "capacity", "key_covariance", "design_space")
ON_REQUEST = ("performance", "peers", "ecosystem", "soundness", "verdicts")
TITLE = "Sequence layers as regressors"
LEAD = (
    "A sequence layer with associative memory is a regression fitted at test time. How far layers are from "
    "the regression each of them stands for, why, and how certain that is: on random keys and on the keys of "
    "a language model."
)


class Analysis(Protocol):
    """What every module of `ANALYSES` and `ON_REQUEST` offers; its docstring's first paragraph is the question.

    One that is a study of `ttr_numerics.study` offers STUDY in place of SEED and `measure`.
    """

    SEED: int
    STUDY: Posed

    def measure(self, progress: Progress) -> list[dict[str, Any]]: ...

    def render(self, rows: Sequence[dict[str, Any]]) -> Section: ...


class Refusal(Exception):  # noqa: N818 (one sentence to the user, who can set it right: not a fault of ours)
    """Why nothing can be done, in one sentence; exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the analyses named on the command line, all of them by default; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m analysis", description=(__doc__ or "").partition("\n")[0])
    named = f"any of {', '.join(ANALYSES)} (default: all of these)"
    named += "".join(f", or {name}, measured only when named" for name in ON_REQUEST)
    parser.add_argument("names", nargs="*", metavar="NAME", help=named)
    parser.add_argument("--render-only", action="store_true", help="render the stored rows, measure nothing")
    parser.add_argument("--out", type=Path, default=Path("reports"), metavar="FOLDER", help="default: reports")
    options = parser.parse_args(arguments)
    try:
        _run(options.names, options.out, measuring=not options.render_only)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted; the analyses that had finished are in {options.out}.", file=sys.stderr)
        return 130
    return 0


def _run(names: Sequence[str], out: Path, *, measuring: bool) -> None:
    known = ANALYSES + ON_REQUEST
    for name in names:
        if name not in known:
            raise Refusal(f"There is no analysis {name!r}; there are {', '.join(known)}.")
    left = [name for name in ON_REQUEST if not names and (measuring or not _rows_file(name, out).exists())]
    chosen = [name for name in known if name in names or (not names and name not in left)]
    _make_writable(out)
    seconds: dict[str, float] = {}
    for name in chosen:
        started = time.monotonic()
        if measuring:
            _measure(name, out)
        _render(name, out)
        seconds[name] = time.monotonic() - started
    stored = [name for name in known if _rows_file(name, out).exists()]
    page = render_html([_section(name, out) for name in stored], TITLE, LEAD)
    with _writing_to(out):
        write_atomically(out / "index.html", page)
    for name in chosen:
        print(f"{name:<16}{seconds[name]:6.1f} s   {out / name}.md")
    for name in left:
        print(f"{name:<16} left as stored: measured only when named, by `python -m analysis {name}`")
    print(f"The page is {out / 'index.html'}: {len(stored)} of {len(known)} analyses.")


def _measure(name: str, out: Path) -> None:
    module = _load(name)
    question = " ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split())
    posed = getattr(module, "STUDY", None)
    if isinstance(posed, Posed) and not hasattr(module, "measure"):
        rows, seed = tuple(measured_rows(posed, progress_named(name))), posed.seed
    else:
        rows, seed = tuple(module.measure(progress_named(name))), module.SEED
    study = Study(name, question, seed, f"python -m analysis {name}", versions(), rows, threads())
    with _writing_to(out):
        write_study(_rows_file(name, out), study)


def _render(name: str, out: Path) -> None:
    section, study = _section(name, out)
    drawings = {figure_file(section, each): _drawing(section, each) for each in section.figures}
    with _writing_to(out):
        for stale in (out / "figures").glob(f"{section.name}-*.svg"):
            if stale.name not in drawings:
                stale.unlink()
        for file, svg in drawings.items():
            write_atomically(out / "figures" / file, svg)
        write_atomically(out / f"{name}.md", render_markdown(section, study))


def _drawing(section: Section, figure: Figure) -> str:
    return figure_svg(figure.panels, f"{section.name}-{figure.name}", figure.finding)


def _section(name: str, out: Path) -> tuple[Section, Study]:
    path = _rows_file(name, out)
    try:
        study = read_study(path)
    except FileNotFoundError:
        raise Refusal(f"There are no stored rows {path}; run `python -m analysis {name} --out {out}` first.") from None
    except (OSError, ValueError) as error:
        raise Refusal(str(error)) from error
    if study.analysis != name:
        raise Refusal(f"Expected rows of {name} in {path}, got rows of {study.analysis}.")
    return _load(name).render(study.rows), study


def _load(name: str) -> Analysis:
    return cast(Analysis, importlib.import_module(f"analysis.{name}"))


def _rows_file(name: str, out: Path) -> Path:
    return out / f"{name}.jsonl"


def _make_writable(out: Path) -> None:
    """Find out before measuring, not after."""
    with _writing_to(out):
        (out / "figures").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(f"Cannot write to {out}: {error.strerror or error}.") from error


if __name__ == "__main__":
    sys.exit(main())
