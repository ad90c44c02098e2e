"""`ttr report`: measure what is missing, and write the page."""

import argparse
import importlib
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
    report = commands.add_parser(
        "report",
        help="measure what is missing, and write one page with figures, its Markdown and its rows",
        description="Measure the analyses of this folder, or the studies named, and write their report.",
        epilog="Exit status: 0 written, 2 bad usage, 3 some cell failed, 130 interrupted (what was finished is kept).",
    )
    report.add_argument(
        "targets", nargs="*", metavar="TARGET", help="NAME for analysis.NAME, path/to/file.py:STUDY or module:STUDY"
    )
    report.add_argument("--out", type=Path, metavar="FOLDER", help="default: reports for the analyses, else report")
    report.add_argument("--render-only", action="store_true", help="render the stored rows, measure nothing")
    keys = "ask the studies of the keys of FILE, or of FILE#PREFIX; what they are compared with is measured too"
    report.add_argument("--keys", metavar="FILE", help=keys)
    report.add_argument("--store", metavar="FILE", help="the journal of one study (default: that of `ttr study`)")
    report.add_argument("--cores", type=int, metavar="N", help="processes of this machine (default, and 0: one a core)")
    report.add_argument("--cluster", metavar="ADDRESS", help="a running Dask scheduler, tcp://host:port")
    report.add_argument("--library", metavar="NAME", help="compute with torch or cupy (on workers with a GPU)")
    report.add_argument("--json", action="store_true", help="the summary as JSON")
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.cores is not None and arguments.cores < 0:
        raise ValueError(f"--cores: expected at least 0, got {arguments.cores}")
    own = [text for text in arguments.targets if ":" in text]
    names = [text for text in arguments.targets if ":" not in text]
    if arguments.cores is not None and arguments.cluster:
        raise ValueError("--cores: expected without --cluster, got both")
    if arguments.store is not None and len(arguments.targets) != 1:
        raise ValueError(f"--store: expected one study, got {len(arguments.targets)}")
    with redirect_stdout(sys.stderr):  # the answer is ours, whatever a study's own code prints
        done = _made(arguments, names, own)
    if arguments.json:
        said = {"page": str(done.page), "shown": done.shown, "seconds": done.seconds, "failures": done.failures}
        print(json.dumps(said))
    elif done.lines():
        print("\n".join(done.lines()))
    for sentence in done.failures:
        print(f"ttr report: {sentence}", file=sys.stderr)
    return 3 if done.failures else 0


def _made(arguments: argparse.Namespace, names: list[str], own: list[str]) -> Any:
    """The report of the analyses of this folder, or one of studies and keys of the user's."""
    analyses = _analyses(here=not names) if names or not own else None
    if analyses is not None and not own and (arguments.keys, arguments.library, arguments.store) == (None, None, None):
        from ttr_numerics.publish import publish_analyses

        out, measuring = arguments.out or Path("reports"), not arguments.render_only
        return publish_analyses(analyses, names, out, measuring=measuring, crew=_crew(arguments))
    return _of_user(arguments, analyses, names, own)


def _of_user(arguments: argparse.Namespace, analyses: Any, names: list[str], own: list[str]) -> Any:
    """Studies of the user's own, of the user's keys, or by another library: a page of these alone."""
    from ttr_numerics.publish import of_analysis, of_study, publish, takes

    left: list[str] = []
    if analyses is not None and names:
        analyses.chosen(names, Path(), measuring=True)
    elif analyses is not None:
        names = [name for name in analyses.default if takes(analyses, name, arguments.keys, arguments.library)]
        left = [name for name in analyses.default if name not in names]
    given = (arguments.keys, arguments.library, arguments.store)
    targets = [of_analysis(analyses, name, *given) for name in names] + [of_study(text, *given) for text in own]
    if arguments.keys and not arguments.render_only:
        _say_whose(targets, arguments.keys)
    asked = f", on the keys of {Path(arguments.keys).name}" if arguments.keys else ""
    done = publish(
        targets,
        [target.name for target in targets],
        arguments.out or Path("report"),
        f"Report of {', '.join(target.title for target in targets)}{asked}",
        " ".join(target.question for target in targets),
        measuring=not arguments.render_only,
        crew=_crew(arguments),
    )
    why = "it asks nothing of these keys" if arguments.keys else f"it does not compute with {arguments.library}"
    done.left = [f"{name:<16} left out: {why}" for name in left]
    return done


def _say_whose(targets: list[Any], keys: str) -> None:
    """How many cells are of the user's keys: the others are what a page compares them with."""
    for target in targets:
        cells = target.study.cells if target.study is not None else ()
        own = sum(cell.get("keys") == keys for cell in cells)
        compared = ", the others what its page compares them with" if own < len(cells) else ""
        print(f"{target.name}: {own} of {len(cells)} cells are of {Path(keys).name}{compared}", file=sys.stderr)


def _crew(arguments: argparse.Namespace) -> Any:
    """A context of the workers that the flags ask for."""
    from ttr_numerics.publish import on_cores
    from ttr_numerics.study import Cluster, Kept

    resources = {"GPU": 1.0} if arguments.library == "cupy" else {}
    if arguments.cluster or resources:
        return Kept(Cluster(arguments.cluster, arguments.cores or None, resources))
    return on_cores(arguments.cores or None)


def _analyses(*, here: bool) -> Any:
    """What the package `analysis` registers, of the working folder itself where it has to be `here`.

    It is imported before anything that loads NumPy: it chooses the threads of BLAS.
    """
    folder = Path.cwd()
    if here and not (folder / "analysis" / "__main__.py").is_file():
        raise ValueError(_NO_ANALYSES)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        return importlib.import_module("analysis.__main__").registered()
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("analysis"):
            raise
        raise ValueError(_NO_ANALYSES) from error


_NO_ANALYSES = (
    "TARGET: expected a study of yours, file.py:STUDY, or a folder with the package `analysis` (a checkout of the "
    "repository), got neither"
)
