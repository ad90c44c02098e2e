"""An audit as a person reads it on a terminal: what is wrong first, one line a probe, the rest on demand."""

import textwrap
from collections.abc import Callable, Sequence

from ttr_numerics.probes.findings import Audit, grouped
from ttr_numerics.probes.probe import Finding, Probe
from ttr_numerics.verdict import Word

__all__ = ["as_list", "as_text", "colours", "headline", "ordered", "plain", "standing"]

_WIDTH = 100
_RIGHT = (Word.ROUNDING, Word.ILL_CONDITIONED)
_ORDER = ("wrong", "failed", "inconclusive", "right", "not asked")
_CODES = {"wrong": "31", "failed": "31", "inconclusive": "33", "right": "32", "not asked": "2"}

Paint = Callable[[str, str], str]  # a text, and how the probe it is about stands


def plain(text: str, standing: str) -> str:
    """No colours."""
    return text


def colours(text: str, standing: str) -> str:
    """As a terminal that shows colours wants it."""
    return f"\x1b[{_CODES[standing]}m{text}\x1b[0m"


def standing(finding: Finding) -> str:
    """wrong, failed, inconclusive, right, or not asked (the probe does not apply)."""
    if finding.wrong:
        return "wrong"
    if finding.failed:
        return "failed"
    if finding.word is None:
        return "not asked"
    return "right" if finding.word in _RIGHT else "inconclusive"


def headline(audit: Audit) -> str:
    """The whole in a few words."""
    stand = {standing(f) for f in audit.findings}
    if "wrong" in stand:
        return "wrong"
    if "failed" in stand:
        return "failed to run"
    return "right in everything that was asked" if "right" in stand else "inconclusive"


def as_text(audit: Audit, target: str, again: str, paint: Paint = plain) -> str:
    """Headline, how to repeat it (`again`, a command), the faults with their sentences, then a line for every probe."""
    stand = [standing(f) for f in audit.findings]
    asked = len(stand) - stand.count("not asked")
    head = f"{target} as {audit.layer} in {audit.contract or audit.dtype}: {headline(audit)}"
    lines = [
        paint(head, min(stand, key=_ORDER.index, default="not asked")),
        f"{asked} probes asked: {stand.count('wrong')} say wrong, {stand.count('failed')} failed to run, "
        f"{stand.count('inconclusive')} inconclusive; {stand.count('not asked')} do not apply; "
        f"{sum(f.seconds for f in audit.findings):.1f} s",
        f"the same cases again: {again}",
    ]
    for same in grouped([f for f in audit.findings if standing(f) in ("wrong", "failed")]):
        lines += ["", *_fault(same, paint)]
    asked_first = [f for f in ordered(audit.findings) if standing(f) != "not asked"]
    width = max((len(f.probe) for f in asked_first), default=5) + 2
    lines += ["", f"{'probe':<{width}}{'kind':<12}{'verdict':<16}{'error/tolerance':>15}{'seconds':>9}  what it says"]
    lines += [_line(f, width, paint) for f in asked_first]
    idle = _by_reason([f for f in audit.findings if standing(f) == "not asked"])
    lines += ["", "do not apply:"] if idle else []
    return "\n".join(
        [*lines, *(line for why, names in idle.items() for line in _wrapped(f"{why}: {', '.join(names)}"))]
    )


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """What is wrong first, what was not asked last; else as they were asked."""
    return sorted(findings, key=lambda f: _ORDER.index(standing(f)))


def as_list(probes: Sequence[Probe]) -> str:
    """Every probe with its kind, whether --quick asks it, and its sentence."""
    width = max(len(p.name) for p in probes) + 2
    lines = [f"{'probe':<{width}}{'kind':<12}{'asked':<7}the sentence that a sound implementation makes true"]
    lines += [f"{p.name:<{width}}{p.kind:<12}{'quick' if p.quick else 'full':<7}{p.claim}" for p in probes]
    return "\n".join(lines)


def _fault(same: Sequence[Finding], paint: Paint) -> list[str]:
    """The probes that found one fault, the first one's sentences, and the smallest case that shows it."""
    first = same[0]
    others = f" (also: {', '.join(f.probe for f in same[1:])})" if len(same) > 1 else ""
    head = f"{first.probe}: {first.claim} [{_word(first)}]{others}"
    top, *more = textwrap.wrap(head, _WIDTH, subsequent_indent="  ")
    shown = min((f.case for f in same if f.case is not None), key=lambda case: case.size, default=None)
    sentences = [*first.reasons, *([f"smallest case found: {shown.sentence}"] if shown is not None else [])]
    return [paint(top, standing(first)), *more, *(line for text in sentences for line in _wrapped(text))]


def _by_reason(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Names of probes by the first sentence they say."""
    names: dict[str, list[str]] = {}
    for f in findings:
        names.setdefault(next(iter(f.reasons), ""), []).append(f.probe)
    return names


def _line(finding: Finding, width: int, paint: Paint) -> str:
    ratio = f"{finding.ratio:.2g}" if finding.word is not None else ""
    said = finding.claim if finding.word in _RIGHT else next(iter(finding.reasons), "")
    text = textwrap.shorten(said, _WIDTH - 40, placeholder=" ...")
    head = f"{finding.probe:<{width}}{finding.kind:<12}{_word(finding):<16}"
    return paint(f"{head}{ratio:>15}{finding.seconds:>9.2f}  {text}".rstrip(), standing(finding))


def _word(finding: Finding) -> str:
    if finding.failed:
        return "failed"
    return finding.word.value if finding.word else "does not apply"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
