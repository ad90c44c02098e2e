"""`ttr audit`: put a function through every probe."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ttr_numerics.cli.border import convention_of, declared

__all__ = ["add"]

INTERRUPTED = 130


def add(commands: Any) -> None:
    """The command and its flags."""
    audit = commands.add_parser(
        "audit",
        help="put a function through every probe",
        description="Call a function in a process of its own on designed inputs: is it the layer, everywhere?",
        epilog="Exit status: 0 right, 1 wrong, 2 bad usage, 3 the subject failed to run, 5 inconclusive, "
        "130 interrupted.",
    )
    audit.add_argument("target", help="package.module:function or path/to/file.py:function; torch modules too")
    audit.add_argument("--as", dest="layer", required=True, help="a name from `ttr layers`")
    audit.add_argument("--convention", help="of its arrays: fla, mamba, torch_sdpa, transformers, ... (default: ours)")
    audit.add_argument("--scale", help="it multiplies the logits q·k by this number, or by 1/sqrt(d)")
    audit.add_argument("--grouped-heads", action="store_true", help="query heads share key heads, in order")
    audit.add_argument("--dtype", default="float32", help="float64, float32, float16, bfloat16 (default: float32)")
    audit.add_argument(
        "--contract", help='what it keeps in which format: "bfloat16,state=float32,..." (default: see README)'
    )
    audit.add_argument("--shape", help="also ask at the sizes it is used at: T=4096,heads=16,d=128")
    audit.add_argument("--library", default="torch", help="whose arrays it takes: torch or numpy (default: torch)")
    audit.add_argument("--quick", action="store_true", help="the probes that take seconds")
    audit.add_argument(
        "--probe", action="append", default=[], metavar="NAME", help="this probe alone (may be repeated)"
    )
    audit.add_argument("--list", action=_List, nargs=0, help="print every probe with its sentence, and stop")
    audit.add_argument("--seed", type=int, help="replay the cases of an earlier audit")
    audit.add_argument("--timeout", type=float, default=60.0, help="seconds a call may take (default: 60)")
    audit.add_argument("--within", type=float, default=float("inf"), help="begin no probe after so many seconds")
    audit.add_argument("--shrink", type=float, default=20.0, help="seconds to make failing cases small (default: 20)")
    audit.add_argument("--save", type=Path, metavar="FOLDER", help="write a program that replays each failing case")
    audit.add_argument("--page", type=Path, metavar="FILE", help="write everything as one HTML page")
    audit.add_argument("--json", action="store_true", help="every finding as JSON")
    audit.set_defaults(run=_audit)


class _List(argparse.Action):
    """Print the probes and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ttr_numerics.probes import PROBES
        from ttr_numerics.probes.text import as_list

        print(as_list(PROBES))
        parser.exit()


def _audit(arguments: argparse.Namespace) -> int:
    from ttr_numerics.probes import Remote, plan

    for name in ("timeout", "within"):
        if not getattr(arguments, name) > 0:
            raise ValueError(f"--{name}: expected above 0, got {getattr(arguments, name):g}")
    if not 0 <= arguments.shrink < float("inf"):
        raise ValueError(f"--shrink: expected seconds, 0 or more, got {arguments.shrink:g}")
    _check_places(arguments)
    remote = Remote(arguments.target, arguments.timeout)
    planned = plan(  # the seed is fixed here, before the subject is imported
        remote,
        arguments.layer,
        convention=convention_of(arguments),
        dtype=arguments.dtype,
        contract=declared(arguments.contract, "--contract"),
        shape=arguments.shape,
        library=arguments.library,
        quick=arguments.quick,
        probes=arguments.probe,
        seed=arguments.seed,
    )
    try:
        _check_starts(remote)
        result, whole = _found(planned, arguments)
    finally:
        remote.close()
    _written(result, arguments)
    _print(result, arguments, whole)
    return result.status if whole else INTERRUPTED


def _found(planned: Any, arguments: argparse.Namespace) -> tuple[Any, bool]:
    """The audit, with a case for what fails, and whether all of it was done before an interrupt."""
    from ttr_numerics.progress import progress_named

    findings: list[Any] = []
    cases: dict[str, Any] = {}
    whole = True
    try:
        asked = progress_named("probes")(planned.findings(arguments.within), total=len(planned.probes))
        findings.extend(asked)
        bad = sum(f.wrong or f.failed for f in findings)
        if arguments.shrink and bad:
            cases.update(progress_named("failing cases")(planned.cases(findings, arguments.shrink), total=bad))
    except KeyboardInterrupt:
        whole = False
    return planned.audit(findings, cases), whole


def _written(result: Any, arguments: argparse.Namespace) -> None:
    """The page and the programs, where they were asked for."""
    if arguments.save is not None:
        from ttr_numerics.probes.replay import save

        programs = save(arguments.save, arguments.target, result)
        print(f"ttr audit: programs that replay failing cases: {len(programs)} in {arguments.save}", file=sys.stderr)
    if arguments.page is not None:
        from ttr_numerics.probes.page import as_page
        from ttr_numerics.report import write_atomically

        write_atomically(arguments.page, as_page([(arguments.target, result)]))
        print(f"ttr audit: the page is {arguments.page}", file=sys.stderr)


def _print(result: Any, arguments: argparse.Namespace, whole: bool) -> None:
    from ttr_numerics.probes.replay import command
    from ttr_numerics.probes.text import as_text, colours, plain

    again = command(result, arguments.target)
    if not whole:
        print("ttr audit: interrupted; what was found until then follows", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"target": arguments.target, "command": again, "interrupted": not whole} | result.to_json()))
        return
    shows = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    print(as_text(result, arguments.target, again, colours if shows else plain))


def _check_places(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written before minutes are spent."""
    if arguments.save is not None:
        arguments.save.mkdir(parents=True, exist_ok=True)
    if arguments.page is not None and (arguments.page.is_dir() or not arguments.page.parent.is_dir()):
        raise ValueError(f"--page: expected a file in an existing folder, got {arguments.page}")


def _check_starts(remote: Any) -> None:
    """A target that does not import, or dies of it, is bad usage and no finding."""
    from ttr_numerics.probes import SubjectError

    try:
        remote.parameters()
    except SubjectError as error:
        raise ValueError(f"target: expected {remote.target} to import, got: {error}") from error
