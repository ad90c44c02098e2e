"""`ttr study`: run a grid, stop it, go on."""

import argparse
import json
import sys
from contextlib import redirect_stdout
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
    study.add_argument("--store", metavar="FILE", help="the journal of rows (default: NAME.jsonl, here)")
    study.add_argument("--anew", action="store_true", help="set a journal of other seed, code or versions aside first")
    study.add_argument("--seed", type=int, metavar="N", help="other random numbers than the study's own")
    study.add_argument("--axis", action="append", default=[], metavar="NAME=V1,V2", help="other values of one axis")
    study.add_argument("--keys", metavar="FILE", help="ask it of the keys of FILE, or of FILE#PREFIX, as captured")
    study.add_argument("--cores", type=int, metavar="N", help="processes of this machine (0: one a core)")
    study.add_argument("--cluster", metavar="ADDRESS", help="a running Dask scheduler, tcp://host:port")
    study.add_argument("--library", metavar="NAME", help="compute with torch or cupy (on workers with a GPU)")
    study.add_argument("--dry-run", action="store_true", help="say how many cells are left, and how long they take")
    study.add_argument("--parquet", metavar="FILE", help="also write the rows as Parquet")
    study.add_argument("--json", action="store_true", help="the summary as JSON")
    study.set_defaults(run=_study)


def _study(arguments: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr):  # the answer is ours, whatever a study's own code prints
        values, text, failures = _run(arguments)
    print(json.dumps(values) if arguments.json else text)
    for sentence in failures:
        print(f"ttr study: {sentence}", file=sys.stderr)
    return 3 if failures else 0


def _run(arguments: argparse.Namespace) -> tuple[dict[str, Any], str, list[str]]:
    """What is said, as values and as a sentence, and what failed."""
    from ttr_numerics.progress import progress_named
    from ttr_numerics.study import Store, run
    from ttr_numerics.study.engine import estimate
    from ttr_numerics.study.target import file_name, named

    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed: expected at least 0, got {arguments.seed}")
    study = named(arguments.target, _axes(arguments.axis), arguments.keys)
    study = study if arguments.seed is None else replace(study, seed=arguments.seed)
    study = study if arguments.library is None else study.computed_by(arguments.library)
    store = Store(_writable(arguments.store or f"{file_name(study)}.jsonl", "--store"))
    parquet = _writable(arguments.parquet, "--parquet") if arguments.parquet else None
    workers = _workers(arguments)
    _admit(study, store, arguments.anew, arguments.dry_run)
    if arguments.dry_run:
        cells, seconds = estimate(study, store)
        said = {"study": study.name, "cells": len(study.cells), "missing": cells, "seconds_one_by_one": seconds}
        return (
            said,
            f"{study.name}: {cells} of {len(study.cells)} cells are missing, about {_span(seconds)} on one core",
            [],
        )
    summary = run(study, store, workers, progress_named(study.name))
    if parquet is not None:
        store.write_parquet(parquet, [study.key(cell) for cell in study.cells])
    text = (
        f"{study.name}: {_counted(summary.cells)}, {summary.stored} stored before, {summary.computed} computed now, "
        f"{summary.failed} failed; rows in {store.path}"
    )
    return {"study": study.name, **vars(summary), "store": str(store.path)}, text, _failures(study, store)


def _admit(study: Any, store: Any, anew: bool, dry_run: bool) -> None:
    """Rows of another seed, code or library beside new ones would be told apart by nobody: refuse, or set aside."""
    stored = store.configurations(study.name)
    if not stored or study.configuration in stored:
        return
    if anew and dry_run:
        return
    if anew:
        print(f"ttr study: the rows of before are in {store.set_aside()}", file=sys.stderr)
        return
    there = "; ".join(stored[-1].differences(study.configuration)) or "other libraries"
    raise ValueError(
        f"--store: expected rows of the same seed, code and versions in {store.path}, got {there} "
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
    from ttr_numerics.study import Cluster, InProcess

    if arguments.cores is not None and arguments.cluster:
        raise ValueError("--cores: expected without --cluster, got both")
    if arguments.cores is not None and arguments.cores < 0:
        raise ValueError(f"--cores: expected at least 0, got {arguments.cores}")
    if arguments.cores is None and not arguments.cluster:
        return InProcess()
    resources = {"GPU": 1.0} if arguments.library == "cupy" else {}
    return Cluster(arguments.cluster, arguments.cores or None, resources)


def _writable(text: str, flag: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"{flag}: expected a file in an existing folder, got {text}")
    return path


def _failures(study: Any, store: Any) -> list[str]:
    """The first few failed cells with what they raised."""
    entries = store.entries()
    failed = [entries[key] for key in map(study.key, study.cells) if key in entries and entries[key].error]
    said = [f"failed at {json.dumps(e.cell, ensure_ascii=False)}: {e.error}" for e in failed[:_TOLD]]
    return [*said, f"{_counted(len(failed) - _TOLD)} more failed"] if len(failed) > _TOLD else said


_TOLD = 5  # failed cells that are named


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _counted(cells: int) -> str:
    return f"{cells} cell{'s' if cells != 1 else ''}"
