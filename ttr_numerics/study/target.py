"""The study that a target names."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttr_numerics import tasks
from ttr_numerics.named import named_object
from ttr_numerics.study.failure import refused
from ttr_numerics.study.study import Study
from ttr_numerics.study.validity import check_asked, check_study

__all__ = ["JOURNALS", "asks", "file_name", "journal_path", "named", "of_keys", "restricted", "shown"]

JOURNALS = Path(".studies")  # of the studies of the package `analysis`, in the working folder


def named(target: str, axes: Sequence[tuple[str, tuple[Any, ...]]] = (), keys: str | None = None) -> Study:
    """The `Study` that package.module:NAME or file.py:NAME names; a word alone is `analysis.WORD:STUDY`.

    With other values on some of its axes, or of a user's keys. A file's functions travel to workers by value: only
    this process knows the file. Raises ValueError in one sentence for what is no study, or one of no cell.
    """
    if _is_analysis(target):
        _refuse_unknown(target)
        target = f"analysis.{target}:STUDY"
    place, _, name = target.rpartition(":")
    with refused(f"target: expected {place} to import"):
        found = named_object(target)
    if not isinstance(found, Study):
        raise ValueError(f"target: expected a Study, got {type(found).__name__} {name}")
    check_study(found)
    if place.endswith(".py"):
        _by_value(found.measure.__module__)
    found = found if keys is None else of_keys(found, keys)
    return restricted(found, axes)


def restricted(study: Study, axes: Sequence[tuple[str, tuple[Any, ...]]]) -> Study:
    """The study with other values on some of its axes. Raises ValueError for one of no cell."""
    found = study.restricted(dict(axes)) if axes else study
    if not found.cells:
        at = " at such values" if axes else ""
        raise ValueError(f"target: expected a study of at least one cell, got {found.name}, which asks nothing{at}")
    return found


def journal_path(target: str, study: Study) -> Path:
    """Where its rows lie unless told otherwise: a user's here, those of an analysis where its report looks for them."""
    return (JOURNALS if _is_analysis(target) else Path()) / f"{file_name(study)}.jsonl"


def _is_analysis(target: str) -> bool:
    """Whether it is a word alone, the name of a module of the package `analysis`."""
    return ":" not in target and target.isidentifier()


def _refuse_unknown(name: str) -> None:
    """Refuse a name that the package has not, with those of its studies."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    package = importlib.util.find_spec("analysis")
    if package is None:
        raise ValueError(
            f"target: expected a study, file.py:STUDY or module:STUDY, or a NAME in a checkout of the repository, "
            f"got {name} and no package `analysis` here"
        )
    if importlib.util.find_spec(f"analysis.{name}") is None:
        modules = [
            path for place in package.submodule_search_locations or () for path in Path(place).glob("*/__init__.py")
        ]
        studies = sorted(path.parent.name for path in modules if '"STUDY"' in path.read_text(encoding="utf-8"))
        raise ValueError(f"target: expected one of {', '.join(studies)}, or file.py:STUDY, got {name}")


def of_keys(study: Study, source: str) -> Study:
    """The study of the keys stored under `source`. Raises ValueError where it has nothing to ask of them."""
    found = study.with_keys(source)
    check_asked(found)
    if not asks(study, source):
        T, d = tasks.stored(source).k.shape[-2:]
        tokens = f"{T} token{'s' if T != 1 else ''} of {d} channel{'s' if d != 1 else ''}"
        raise ValueError(f"--keys: expected keys that {study.name} can ask something of, got {source} with {tokens}")
    return found


def asks(study: Study, source: str) -> bool:
    """Whether it asks something of the keys stored under `source`."""
    if study.on_keys is None:
        return False
    return any(cell.get("keys") == source for cell in study.with_keys(source).cells)


def file_name(study: Study) -> str:
    """Its name as it is shown, with _ for what no file name of ours has besides: separators, and a dot in front."""
    plain = shown(study).replace("/", "_").replace("\\", "_")
    return "_" + plain[1:] if plain.startswith(".") else plain


def shown(study: Study) -> str:
    """Its name with _ for line ends and what else would steer a terminal."""
    return "".join(c if c.isprintable() else "_" for c in study.name)


def _by_value(module: str) -> None:
    try:
        pickler = importlib.import_module("cloudpickle")
    except ImportError:  # without Dask there are no workers that it could travel to
        return
    pickler.register_pickle_by_value(sys.modules[module])
