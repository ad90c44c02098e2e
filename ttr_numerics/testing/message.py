"""A failed audit in twenty lines: what is wrong, where, why, and how to see it again."""

import textwrap

from ttr_numerics.probes import Audit, Finding
from ttr_numerics.probes.replay import command
from ttr_numerics.verdict import EXIT_STATUS

__all__ = ["LINES", "message"]

LINES = 20
_WIDTH = 100
_GROUPS = 3


def message(audit: Audit, target: str) -> str:
    """At most `LINES` lines: headline, the first faults with their sentences, a line on the rest, how to replay."""
    bad = [f for f in audit.findings if f.failed or (f.word is not None and EXIT_STATUS[f.word] == 1)]
    undecided = [f for f in audit.findings if f.word is not None and EXIT_STATUS[f.word] not in (0, 1)]
    asked = sum(f.word is not None or f.failed for f in audit.findings)
    head = [f"{target} is not {audit.layer} in {audit.dtype}: {len(bad)} of {asked} probes say so"]
    if not bad:
        head = [
            f"{target} as {audit.layer} in {audit.dtype}: nothing was decided, {len(undecided)} probes inconclusive"
        ]
    last = [f"replay every probe: {command(audit, 'TARGET')}"]
    groups = _grouped(bad or undecided)
    room = (LINES - 3) // min(len(groups), _GROUPS) if groups else 0
    body = [line for same in groups[:_GROUPS] for line in _group(same)[:room]]
    hidden = [f.probe for same in groups[_GROUPS:] for f in same]
    rest = [_cut(f"and {len(hidden)} more: {', '.join(hidden)}")] if hidden else []
    return "\n".join([*head, *body, *rest, *last])


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """Findings with the same first sentence together, the largest group first."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(next(iter(finding.reasons), ""), []).append(finding)
    return sorted(groups.values(), key=len, reverse=True)


def _group(same: list[Finding]) -> list[str]:
    first = same[0]
    word = first.word.value if first.word is not None else "failed"
    lines = [_cut(f"{', '.join(f.probe for f in same)} [{word}]: {first.claim}")]
    for reason in first.reasons:
        lines += textwrap.wrap(reason, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return lines


def _cut(line: str) -> str:
    return textwrap.shorten(line, _WIDTH, placeholder=" ...")
