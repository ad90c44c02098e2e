"""`ttr study`: run a grid, stop it, go on."""

import argparse
import json
import os
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
    study = commands.add_parser(
        "study",
        help="run a study over its grid; what is stored already is not computed again",
        description="Run the Study that TARGET names over its grid, and store every cell as it finishes.",
        epilog="Exit status: 0 every cell stored, 2 bad usage, 3 some cell failed, 130 interrupted (rows are kept).",
    )
    study.add_argument("target", help="package.module:STUDY, path/to/file.py:STUDY, or NAME for analysis.NAME:STUDY")
    study.add_argument("--store", metavar="FILE", help=f"the journal of rows (default: {_DEFAULT})")
    study.add_argument("--anew", action="store_true", help="set a journal of other seed, code or versions aside first")
    study.add_argument("--seed", type=int, metavar="N", help="other random numbers than the study's own")
    study.add_argument("--axis", action="append", default=[], metavar="NAME=V1,V2", help=_AXIS)
    study.add_argument("--keys", metavar="FILE", help=_KEYS)
    study.add_argument("--cores", type=int, metavar="N", help="processes of this machine (0: one a core)")
    study.add_argument("--cluster", metavar="ADDRESS", help="a running Dask scheduler, tcp://host:port")
    study.add_argument("--library", metavar="NAME", help="compute with torch or cupy (on workers with a GPU)")
    study.add_argument("--dry-run", action="store_true", help=_DRY)
    study.add_argument("--parquet", metavar="FILE", help="also write the rows as Parquet")
    study.add_argument("--json", action="store_true", help="the summary as JSON")
    study.set_defaults(run=_study)


_DEFAULT = "NAME.jsonl here; .studies/NAME.jsonl, which `ttr report NAME` reads, for a NAME alone"
_AXIS = "these values of one axis; numbers may be new, words are those of its grids"
_KEYS = "measure what it asks of the keys of FILE, or of FILE#PREFIX, and nothing else (`ttr report` compares)"
_DRY = "say how many cells are left and how long they take; times some for about 20 s where none is stored"


def _study(arguments: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr):  # the answer is ours, whatever a study's own code prints
        values, text, failures = _run(arguments)
    print(json.dumps(values) if arguments.json else text)
    for sentence in failures:
        print(f"ttr study: {sentence}", file=sys.stderr)
    return 3 if failures else 0


def _run(arguments: argparse.Namespace) -> tuple[dict[str, Any], str, list[str]]:
    """What is said, as values and as a sentence, and what failed."""
    from ttr_numerics.study import Store
    from ttr_numerics.study.target import journal_path, shown

    study = _asked(arguments)
    place = arguments.store or journal_path(arguments.target, study)
    if not arguments.store and not arguments.dry_run:
        place.parent.mkdir(exist_ok=True)
    store = Store(_writable(place, "--store") if arguments.store or not arguments.dry_run else place)
    parquet = _writable(arguments.parquet, "--parquet") if arguments.parquet else None
    with _workers(arguments) as workers:
        _admit(study, store, workers, arguments)
        if arguments.dry_run:
            return (*_foreseen(study, store, workers), [])
        summary = _measured(study, store, workers, arguments)
    if parquet is not None:
        store.write_parquet(parquet, [study.key(cell) for cell in study.cells])
    said = {"study": study.name, **vars(summary), "store": str(store.path)}
    return said, f"{shown(study)}: {_summed_up(summary)}; rows in {store.path}", _failures(study, store)


def _asked(arguments: argparse.Namespace) -> Any:
    """The study, with what the flags change of it."""
    from ttr_numerics.study.target import named, restricted

    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed: expected at least 0, got {arguments.seed}")
    axes = _axes(arguments.axis)
    study = named(arguments.target, keys=arguments.keys)
    study = restricted(study if arguments.keys is None else replace(study, grids=()), axes)
    study = study if arguments.seed is None else replace(study, seed=arguments.seed)
    return study if arguments.library is None else study.computed_by(arguments.library)


def _foreseen(study: Any, store: Any, workers: Any) -> tuple[dict[str, Any], str]:
    """How much is left to compute, as values and as a sentence."""
    from ttr_numerics.study.estimate import TIMING, estimate
    from ttr_numerics.study.target import shown

    found, count = estimate(study, store, TIMING), workers.count()
    said = {"study": study.name, "cells": len(study.cells), "missing": found.left, "failed_before": found.failed_before}
    said |= {"seconds_one_by_one": found.seconds, "workers": count, "seconds": found.on(count)}
    said |= {"timed": found.timed, "failure": found.failure}
    before = f" ({found.failed_before} failed before)" if found.failed_before else ""
    text = (
        f"{shown(study)}: {found.left} of {_counted(len(study.cells))} are missing{before}, {_how_long(found, count)}"
    )
    text += f" ({_counted(found.timed)} of them timed)" if found.timed else ""
    return said, text + (f"; a timed cell failed: {found.failure}" if found.failure else "")


def _how_long(found: Any, count: int) -> str:
    seconds = found.on(count)
    if seconds is None:
        return "how long they take is not known"
    return f"about {_span(seconds)} on {f'{count} cores' if count != 1 else 'one core'}"


def _measured(study: Any, store: Any, workers: Any, arguments: argparse.Namespace) -> Any:
    """The summary of a run, which begins by saying how much is to be computed."""
    from ttr_numerics.progress import progress_named
    from ttr_numerics.study import run
    from ttr_numerics.study.engine import missing
    from ttr_numerics.study.estimate import estimate
    from ttr_numerics.study.target import shown

    found = estimate(study, store)
    if found.left:
        lost = store.damaged()
        lost = f" ({lost} line{'s' if lost != 1 else ''} of it cannot be read)" if lost else ""
        stored = f"{_counted(len(study.cells))}, {len(study.cells) - found.left or 'none'} stored in {store.path}{lost}"
        known = f" ({_how_long(found, workers.count())})" if found.seconds is not None else ""
        before = f", {found.failed_before} failed before" if found.failed_before else ""
        begun = f"computing {found.left} {_by(arguments)}{known}; an interrupt keeps what is stored"
        print(f"{shown(study)}: {stored}{before}; {begun}", file=sys.stderr)
    try:
        return run(study, store, workers, progress_named(shown(study)))
    except KeyboardInterrupt:
        kept = f"{len(study.cells) - len(missing(study, store))} of {_counted(len(study.cells))}"
        print(f"{shown(study)}: {kept} in {store.path}; the same command goes on from there", file=sys.stderr)
        raise


def _by(arguments: argparse.Namespace) -> str:
    if arguments.cluster:
        return f"on the cluster at {arguments.cluster}"
    if arguments.cores is None:
        return "one by one"
    return f"on {arguments.cores} core{'s' if arguments.cores != 1 else ''}" if arguments.cores else "on every core"


def _summed_up(summary: Any) -> str:
    others = f"{summary.meanwhile} by another run meanwhile, " if summary.meanwhile else ""
    before = f"{_counted(summary.cells)}, {summary.stored} stored before, {summary.computed} computed now"
    return f"{before}, {others}{summary.failed} failed"


def _admit(study: Any, store: Any, workers: Any, arguments: argparse.Namespace) -> None:
    """Rows of another seed, code or library beside new ones would be told apart by nobody: refuse, or set aside."""
    stored = store.configurations(study.name)
    differences = [found for each in stored if (found := each.differences(study.configuration))]
    if not differences or study.configuration in stored or (arguments.anew and arguments.dry_run):
        return
    if arguments.anew:
        workers.begin()  # without any, the journal stays where it is
        print(f"ttr study: the rows of before are in {store.set_aside()}", file=sys.stderr)
        return
    raise ValueError(
        f"--store: expected rows of the same seed, code and versions in {store.path}, got {'; '.join(differences[-1])} "
        "(--anew sets that journal aside and begins again; --store names another)"
    )


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"--axis: expected NAME=V1,V2, got {text}")
    return name, tuple(_value(part) for part in values.split(","))


def _axes(texts: list[str]) -> list[tuple[str, tuple[Any, ...]]]:
    found = [_axis(text) for text in texts]
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--axis: expected each axis once, as {name}=V1,V2, got {name} {names.count(name)} times")
    return found


def _value(text: str) -> Any:
    """A number, truth value or null as JSON has it; anything else is the text itself."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(found, list | dict | str) else found


def _workers(arguments: argparse.Namespace) -> Any:
    """A context of those that the flags ask for."""
    from ttr_numerics.study import Cluster, InProcess, Kept

    if arguments.cores is not None and arguments.cluster:
        raise ValueError("--cores: expected without --cluster, got both")
    if arguments.cores is not None and arguments.cores < 0:
        raise ValueError(f"--cores: expected at least 0, got {arguments.cores}")
    if arguments.cores is None and not arguments.cluster:
        return nullcontext(InProcess())
    resources = {"GPU": 1.0} if arguments.library == "cupy" else {}
    return Kept(Cluster(arguments.cluster, arguments.cores or None, resources))


def _writable(text: str | Path, flag: str) -> Path:
    """Find out before measuring, not after."""
    path = Path(text)
    if (path.exists() and not path.is_file()) or not path.absolute().parent.is_dir():
        raise ValueError(f"{flag}: expected a file in an existing folder, got {text}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise ValueError(f"{flag}: expected a file that can be written, got {text}")
    return path


def _failures(study: Any, store: Any) -> list[str]:
    """The first few failed cells with what they raised."""
    from ttr_numerics.study.engine import stored

    failed = [entry for entry in stored(study, store) if entry.error]
    said = [f"failed at {json.dumps(e.cell, ensure_ascii=False)}: {e.error}" for e in failed[:_TOLD]]
    return [*said, f"{_counted(len(failed) - _TOLD)} more failed"] if len(failed) > _TOLD else said


_TOLD = 5  # failed cells that are named


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _counted(cells: int) -> str:
    return f"{cells} cell{'s' if cells != 1 else ''}"
