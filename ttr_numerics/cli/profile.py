"""`ttr profile`: what a file's keys are like, and which layer would serve them."""

import argparse
import json
from typing import Any

from ttr_numerics.cli.stored import add_prefix, stored_arrays

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
    profile = commands.add_parser(
        "profile",
        help="describe the keys of a file, and which layer would serve them",
        description="Covariance, conditioning and recall of the keys k (and values v) stored in a file.",
        epilog="Exit status: 0 done, 2 bad usage or bad input.",
    )
    profile.add_argument("file", help=".npz or .safetensors with k (..., T, d_k), and v (..., T, d_v) if there are any")
    add_prefix(profile)
    profile.add_argument("--seed", type=int, default=0, help="of the random values where the file has none")
    profile.add_argument("--json", action="store_true", help="everything as JSON")
    profile.set_defaults(run=_profile)


def _profile(arguments: argparse.Namespace) -> int:
    from ttr_numerics.problem import ProblemError, describe, rename_aliases
    from ttr_numerics.profile import as_text, profiled

    arrays, _ = rename_aliases(stored_arrays(arguments))
    if "k" not in arrays:
        raise ProblemError(f"k: expected in {arguments.file}, got no such array; there are {describe(arrays)}")
    found = profiled(arrays["k"], arrays.get("v"), arguments.seed)
    print(json.dumps(found.to_json()) if arguments.json else as_text(found))
    return 0
