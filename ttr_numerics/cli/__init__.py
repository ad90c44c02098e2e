"""`ttr`: the command line. Answers go to standard output, everything else to standard error.

Exit status: 0 right, 1 wrong, 2 bad usage or bad input, 3 the subject failed to run, 5 inconclusive, 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from ttr_numerics.cli import audit, capture, catalogue, check, profile, report, study

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except ValueError as error:  # ProblemError and everything that refuses an argument
        print(f"ttr {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # standard output that cannot be written
        what = error.filename or "the answer"
        print(f"ttr {arguments.command}: cannot write {what}: {error.strerror or error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(f"ttr {arguments.command}: input too large for this machine's memory", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"ttr {arguments.command}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ttr", description="Sequence layers against the regressions they are.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (check, audit, capture, profile, study, report, catalogue):
        command.add(commands)
    return parser


class _Version(argparse.Action):
    """Print the package's version and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"ttr_numerics {version('ttr-numerics')}\n")
