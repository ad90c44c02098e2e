"""`ttr`: the command line. Answers go to standard output, everything else to standard error.

Exit status: 0 right, 1 wrong, 2 bad usage or bad input, 3 the subject failed to run, 5 inconclusive, 130 interrupted.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
        print(f"ttr {arguments.command}: cannot write the answer: {error.strerror or error}", file=sys.stderr)
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
    check = commands.add_parser(
        "check",
        help="judge an output stored in a file",
        description="Judge an output o stored with q, k, v and the layer's own arrays (.npz, .safetensors).",
        epilog="Exit status: 0 right, 1 wrong, 2 bad usage or bad input, 5 inconclusive.",
    )
    check.add_argument("file", help=".npz or .safetensors with q, k, v, o (..., T, d) and the layer's arrays")
    check.add_argument("--layer", required=True, help="a name from `ttr layers`")
    check.add_argument("--dtype", help="arithmetic of the output: float64, float32, float16, bfloat16 (default: o's)")
    check.add_argument("--convention", help="of the arrays: fla, mamba, torch_sdpa, transformers, ... (default: ours)")
    check.add_argument("--scale", help="multiply the logits q·k by this number, or by 1/sqrt(d)")
    check.add_argument("--grouped-heads", action="store_true", help="query heads share key heads, in order")
    check.add_argument("--json", action="store_true", help="the whole verdict as JSON")
    check.set_defaults(run=_check)
    audit = commands.add_parser(
        "audit",
        help="put a function through every probe",
        description="Call a function in a process of its own on designed inputs: is it the layer, everywhere?",
        epilog="Exit status: 0 right, 1 wrong, 2 bad usage, 3 the subject failed to run, 5 inconclusive.",
    )
    audit.add_argument("target", help="package.module:function or path/to/file.py:function")
    audit.add_argument("--as", dest="layer", required=True, help="a name from `ttr layers`")
    audit.add_argument("--convention", help="of its arrays: fla, mamba, torch_sdpa, transformers, ... (default: ours)")
    audit.add_argument("--scale", help="it multiplies the logits q·k by this number, or by 1/sqrt(d)")
    audit.add_argument("--grouped-heads", action="store_true", help="query heads share key heads, in order")
    audit.add_argument("--dtype", default="float32", help="float64, float32, float16, bfloat16 (default: float32)")
    audit.add_argument("--library", default="torch", help="whose arrays it takes: torch or numpy (default: torch)")
    audit.add_argument("--quick", action="store_true", help="the probes that take seconds")
    audit.add_argument("--seed", type=int, help="replay the cases of an earlier audit")
    audit.add_argument("--timeout", type=float, default=60.0, help="seconds a call may take (default: 60)")
    audit.add_argument("--json", action="store_true", help="every finding as JSON")
    audit.set_defaults(run=_audit)
    layers = commands.add_parser("layers", help="print the catalogue: every layer and the regression it is")
    layers.add_argument("--json", action="store_true", help="the catalogue as JSON")
    layers.add_argument("--markdown", action="store_true", help="the catalogue as a Markdown table")
    layers.set_defaults(run=_layers)
    derive = commands.add_parser(
        "derive",
        help="print the derivation of a layer, proved in symbols while you wait",
        description="Print what a layer is, as equations between its own code on symbols and the closed form.",
        epilog="Exit status: 0 every equation proved, 1 one was not, 2 bad usage.",
    )
    derive.add_argument("layer", help="a name from `ttr layers`")
    derive.add_argument("--latex", action="store_true", help="as a LaTeX fragment")
    derive.set_defaults(run=_derive)
    return parser


class _Version(argparse.Action):
    """Print the package's version and stop."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        parser.exit(message=f"ttr_numerics {version('ttr-numerics')}\n")


def _check(arguments: argparse.Namespace) -> int:
    from ttr_numerics.pairs import pairing
    from ttr_numerics.problem import ProblemError, check_dtypes, describe, read_arrays, rename_aliases
    from ttr_numerics.verdict import check_arrays
    from ttr_numerics.verdict.text import as_text

    row = pairing(arguments.layer)
    arrays, notes = rename_aliases(read_arrays(arguments.file))
    for note in notes:
        print(f"ttr check: {note}", file=sys.stderr)
    convention = _convention(arguments)
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
    verdict = check_arrays(kept, row, convention, arguments.dtype)
    print(json.dumps(verdict.to_json()) if arguments.json else as_text(verdict))
    return verdict.status


def _audit(arguments: argparse.Namespace) -> int:
    from ttr_numerics.probes import Remote, audit
    from ttr_numerics.probes.text import as_text

    if not arguments.timeout > 0:
        raise ValueError(f"--timeout: expected above 0, got {arguments.timeout:g}")
    remote, convention = Remote(arguments.target, arguments.timeout), _convention(arguments)
    try:
        _check_starts(remote)
        result = audit(
            remote,
            arguments.layer,
            convention=convention,
            dtype=arguments.dtype,
            library=arguments.library,
            quick=arguments.quick,
            seed=arguments.seed,
        )
    finally:
        remote.close()
    print(json.dumps(result.to_json()) if arguments.json else as_text(result, arguments.target))
    return result.status


def _check_starts(remote: Any) -> None:
    """A target that does not import, or dies of it, is bad usage and no finding."""
    from ttr_numerics.probes import SubjectError

    try:
        remote.parameters()
    except SubjectError as error:
        raise ValueError(f"target: expected {remote.target} to import, got: {error}") from error


def _convention(arguments: argparse.Namespace) -> Any:
    """The declared preset, with --scale and --grouped-heads put on it where they are given."""
    from ttr_numerics.convention import PRESETS, Convention

    if arguments.convention is not None and arguments.convention not in PRESETS:
        raise ValueError(f"--convention: expected one of {', '.join(PRESETS)}, got {arguments.convention}")
    base = PRESETS[arguments.convention] if arguments.convention else Convention()
    scale = base.scale if arguments.scale is None else _scale(arguments.scale)
    return replace(base, scale=scale, grouped_heads=base.grouped_heads or arguments.grouped_heads)


def _scale(text: str) -> Any:
    from ttr_numerics.convention import inverse_root

    if text.replace(" ", "") == "1/sqrt(d)":
        return inverse_root
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"--scale: expected a number or 1/sqrt(d), got {text}") from None
    if not 0 < value < float("inf"):
        raise ValueError(f"--scale: expected a positive finite number, got {text}")
    return value


def _layers(arguments: argparse.Namespace) -> int:
    from ttr_numerics.pairs import catalogue
    from ttr_numerics.pairs.markdown import as_markdown
    from ttr_numerics.verdict.text import catalogue_json, catalogue_text

    if arguments.markdown:
        print(as_markdown(catalogue()))
    else:
        print(json.dumps(catalogue_json(catalogue()), indent=1) if arguments.json else catalogue_text(catalogue()))
    return 0


def _derive(arguments: argparse.Namespace) -> int:
    from ttr_numerics.derivations.text import as_latex, as_text
    from ttr_numerics.pairs import pairing

    row = pairing(arguments.layer)
    derivation = row.derivation()
    print((as_latex if arguments.latex else as_text)(row.name, derivation))
    return 1 if derivation.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
