"""The arrays that a command's file stores: all of them, or with --prefix those of one layer of several."""

import argparse
from typing import Any

__all__ = ["add_prefix", "stored_arrays"]


def add_prefix(parser: argparse.ArgumentParser) -> None:
    """The flag."""
    parser.add_argument("--prefix", metavar="NAME", help="read NAME.q, NAME.k, ..., as `ttr capture` stores layers")


def stored_arrays(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arrays of `arguments.file`, those under the prefix without it."""
    from ttr_numerics.problem import read_arrays, under

    arrays = read_arrays(arguments.file)
    return under(arrays, arguments.prefix) if arguments.prefix is not None else arrays
