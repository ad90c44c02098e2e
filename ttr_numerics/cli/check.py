"""`ttr check`: judge an output stored in a file."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ttr_numerics.cli.border import convention_of, declared
from ttr_numerics.cli.stored import add_prefix, stored_arrays

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
    check = commands.add_parser(
        "check",
        help="judge an output stored in a file",
        description="Judge an output o stored with q, k, v and the layer's own arrays (.npz, .safetensors).",
        epilog="Exit status: 0 right, 1 wrong, 2 bad usage or bad input, 5 inconclusive.",
    )
    check.add_argument("file", help=".npz or .safetensors with q, k, v, o (..., T, d) and the layer's arrays")
    add_prefix(check)
    check.add_argument("--layer", required=True, help="a name from `ttr layers`")
    check.add_argument("--dtype", help="arithmetic of the output: float64, float32, float16, bfloat16 (default: o's)")
    check.add_argument(
        "--contract", help='or what it keeps in which format, as "bfloat16,state=float32,residual=float32"'
    )
    check.add_argument("--convention", help="of the arrays: fla, mamba, torch_sdpa, transformers, ... (default: ours)")
    check.add_argument("--scale", help="multiply the logits q·k by this number, or by 1/sqrt(d)")
    check.add_argument("--grouped-heads", action="store_true", help="query heads share key heads, in order")
    check.add_argument(
        "--certify",
        action="store_true",
        help="prove the error between two bounds, in ball arithmetic: small problems (needs python-flint)",
    )
    check.add_argument("--json", action="store_true", help="the whole verdict as JSON")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from ttr_numerics.pairs import pairing
    from ttr_numerics.problem import ProblemError, check_dtypes, describe, rename_aliases
    from ttr_numerics.verdict import check_arrays, problems
    from ttr_numerics.verdict.text import as_text

    row, dtype = pairing(arguments.layer), _dtype(arguments)
    arrays, notes = rename_aliases(stored_arrays(arguments))
    for note in notes:
        print(f"ttr check: {note}", file=sys.stderr)
    convention = convention_of(arguments)
    foreign = {ours: theirs for theirs, ours in convention.names}
    if foreign.get("q", "q") not in arrays:
        name = foreign.get("q", "q")
        raise ProblemError(f"{name}: expected in {arguments.file}, got no such array; there are {describe(arrays)}")
    check_dtypes(arrays)
    used = {"q", "k", "v", "o", *row.arrays, *row.optional}
    unused = sorted(set(arrays) - used - convention.reads(used))
    if unused:
        print(f"ttr check: not used by {row.name}: {', '.join(unused)}", file=sys.stderr)
    kept = {name: x for name, x in arrays.items() if name not in unused}
    if arguments.certify:
        return _certify(problems(kept, row, convention), dtype, arguments)
    verdict = check_arrays(kept, row, convention, dtype)
    print(json.dumps(verdict.to_json()) if arguments.json else as_text(verdict))
    return verdict.status


def _dtype(arguments: argparse.Namespace) -> str | None:
    """The declared arithmetic, of either flag."""
    if arguments.dtype is not None and arguments.contract is not None:
        raise ValueError("--contract: expected without --dtype, got both")
    return declared(arguments.dtype, "--dtype") or declared(arguments.contract, "--contract")


def _certify(sequences: Sequence[Any], dtype: str | None, arguments: argparse.Namespace) -> int:
    """Print the certificate in place of the verdict; its exit status is that of the verdict it carries."""
    from ttr_numerics.verdict.certificate import certificate_text, certify_problems

    try:
        certificate = certify_problems(sequences, dtype)
    except ModuleNotFoundError as error:
        raise ValueError(f"--certify: {error}") from error
    print(json.dumps(certificate.to_json()) if arguments.json else certificate_text(certificate))
    return certificate.status
