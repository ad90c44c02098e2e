"""`ttr audit`: put a function through every probe."""

import argparse
import json
from typing import Any

from ttr_numerics.cli.border import convention_of

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command and its flags."""
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


def _audit(arguments: argparse.Namespace) -> int:
    from ttr_numerics.probes import Remote, audit
    from ttr_numerics.probes.text import as_text

    if not arguments.timeout > 0:
        raise ValueError(f"--timeout: expected above 0, got {arguments.timeout:g}")
    remote, convention = Remote(arguments.target, arguments.timeout), convention_of(arguments)
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
