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
    report.add_argument("--keys", metavar="FILE", help="ask the studies of the keys of FILE, or of FILE#PREFIX")
    report.add_argument("--store", metavar="FILE", help="the journal of a user's study (default: NAME.jsonl, here)")
    report.add_argument("--cores", type=int, metavar="N", help="processes of this machine (default, and 0: one a core)")
    report.add_argument("--json", action="store_true", help="the summary as JSON")
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    if arguments.cores is not None and arguments.cores < 0:
        raise ValueError(f"--cores: expected at least 0, got {arguments.cores}")
    own = [text for text in arguments.targets if ":" in text]
    names = [text for text in arguments.targets if ":" not in text]
    if arguments.store is not None and len(own) != 1:
        raise ValueError(f"--store: expected one study of yours, file.py:STUDY, got {len(own)}")
    with redirect_stdout(sys.stderr):  # the answer is ours, whatever a study's own code prints
        done = _made(arguments, names, own)
    if arguments.json:
        said = {"page": str(done.page), "shown": done.shown, "seconds": done.seconds, "failures": done.failures}
        print(json.dumps(said))
    else:
        print("\n".join(done.lines()))
    for sentence in done.failures:
        print(f"ttr report: {sentence}", file=sys.stderr)
    return 3 if done.failures else 0


def _made(arguments: argparse.Namespace, names: list[str], own: list[str]) -> Any:
    """The report of the analyses of this folder, or one of studies and keys of the user's."""
    analyses = _analyses(here=not names) if names or not own else None
    if analyses is not None and not own and arguments.keys is None:
        from ttr_numerics.publish import publish_analyses

        out, measuring = arguments.out or Path("reports"), not arguments.render_only
        return publish_analyses(analyses, names, out, measuring=measuring, cores=arguments.cores or None)
    return _of_user(arguments, analyses, names, own)


def _of_user(arguments: argparse.Namespace, analyses: Any, names: list[str], own: list[str]) -> Any:
    """Studies of the user's own, or of the user's keys: a page of these alone."""
    from ttr_numerics.publish import of_analysis, of_study, publish, takes_keys

    left: list[str] = []
    if analyses is not None and names:
        analyses.chosen(names, Path(), measuring=True)
    elif analyses is not None:
        names = [name for name in analyses.default if takes_keys(analyses, name)]
        left = [name for name in analyses.default if name not in names]
    targets = [of_analysis(analyses, name, arguments.keys) for name in names]
    targets += [of_study(text, arguments.keys, arguments.store) for text in own]
    asked = f", on the keys of {Path(arguments.keys).name}" if arguments.keys else ""
    done = publish(
        targets,
        [target.name for target in targets],
        arguments.out or Path("report"),
        f"Report of {', '.join(target.title for target in targets)}{asked}",
        " ".join(target.question for target in targets),
        measuring=not arguments.render_only,
        cores=arguments.cores or None,
    )
    done.left = [f"{name:<16} left out: it asks nothing of stored keys" for name in left]
    return done


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
