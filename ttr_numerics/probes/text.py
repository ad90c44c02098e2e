"""An audit as a person reads it on a terminal: what is wrong first, one line a probe, the rest on demand."""

import textwrap

from ttr_numerics.probes.battery import Audit
from ttr_numerics.probes.probe import Finding
from ttr_numerics.verdict import Word

__all__ = ["as_text"]

_WIDTH = 100
_RIGHT = (Word.ROUNDING, Word.ILL_CONDITIONED)


def as_text(audit: Audit, target: str) -> str:
    """Headline, the faults with their sentences, then a line for every probe."""
    asked = [f for f in audit.findings if f.word is not None]
    bad = [f for f in asked if f.word not in (*_RIGHT, Word.INCONCLUSIVE)]
    failed = [f for f in audit.findings if f.failed]
    seconds = sum(f.seconds for f in audit.findings)
    lines = [
        f"{target} as {audit.layer} in {audit.dtype}: {_headline(bad, failed, asked)}",
        f"{len(asked)} probes asked, {len(bad)} say wrong, {len(failed)} failed to run, "
        f"{len(audit.findings) - len(asked) - len(failed)} do not apply; {seconds:.1f} s; seed {audit.seed} replays it",
    ]
    for reasons, same in _grouped(bad + failed):
        names = ", ".join(f.probe for f in same)
        lines += ["", *textwrap.wrap(f"{names}: {same[0].claim} [{_word(same[0])}]", _WIDTH, subsequent_indent="  ")]
        lines += [line for reason in reasons for line in _wrapped(reason)]
    lines += ["", f"{'probe':<18}{'verdict':<17}{'error/tolerance':>15}  what it says (all reasons: --json)"]
    lines += [_line(f) for f in audit.findings]
    return "\n".join(lines)


def _grouped(findings: list[Finding]) -> list[tuple[tuple[str, ...], list[Finding]]]:
    """Findings with the same sentences together, in order."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.reasons, []).append(finding)
    return list(groups.items())


def _headline(bad: list[Finding], failed: list[Finding], asked: list[Finding]) -> str:
    if bad:
        return "wrong"
    if failed:
        return "failed to run"
    if any(f.word in _RIGHT for f in asked):
        return "right in everything that was asked"
    return "inconclusive"


def _line(finding: Finding) -> str:
    ratio = f"{finding.ratio:.2g}" if finding.word is not None else ""
    said = finding.claim if finding.word in _RIGHT else next(iter(finding.reasons), "")
    text = textwrap.shorten(said, _WIDTH - 36, placeholder=" ...")
    return f"{finding.probe:<18}{_word(finding):<17}{ratio:>15}  {text}".rstrip()


def _word(finding: Finding) -> str:
    if finding.failed:
        return "failed"
    return finding.word.value if finding.word else "-"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
