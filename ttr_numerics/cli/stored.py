"""The arrays that a command's file stores: all of them, or with --prefix those of one layer of several."""

import argparse
from typing import Any

__all__ = ["add_prefix", "stored_arrays"]


def add_prefix(parser: argparse.ArgumentParser) -> None:
    """The flag."""
    parser.add_argument("--prefix", metavar="NAME", help="read NAME.q, NAME.k, ..., as `ttr capture` stores layers")


def stored_arrays(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arrays of `arguments.file`, those under the prefix without it."""
    from ttr_numerics.problem import ProblemError, read_arrays

    arrays, prefix = read_arrays(arguments.file), arguments.prefix
    if prefix is None:
        return arrays
    start = prefix.removesuffix(".") + "."
    found = {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}
    if found:
        return found
    there = sorted({name.rpartition(".")[0] for name in arrays if "." in name})
    if not there:
        raise ProblemError(f"--prefix: expected names with a prefix such as layer0.k, got {', '.join(arrays)}")
    raise ProblemError(f"--prefix: expected one of {', '.join(there)}, got {prefix}")
