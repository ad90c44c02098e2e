"""Audits as one HTML page that needs nothing else: no network, no fonts, and no script to be read.

Style, script and colours are those of the reports. Every text of the subject's or the user's is escaped.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ttr_numerics.probes.findings import Audit, grouped
from ttr_numerics.probes.probe import Finding
from ttr_numerics.probes.replay import command, program
from ttr_numerics.probes.text import headline, ordered, standing
from ttr_numerics.report import Measured, Panel, Theory, page_drawings, versions
from ttr_numerics.report.ink import FONTS, SHADES
from ttr_numerics.report.notation import cell, power

__all__ = ["as_page"]

DRAWN = 6  # faults of one subject that are drawn over their positions
FEWEST = 8  # tokens that make a line


def as_page(audits: Sequence[tuple[str, Audit]]) -> str:
    """The page of `audits`, pairs of a target's name and what was found."""
    subjects = [_subject(number, target, audit) for number, (target, audit) in enumerate(audits)]
    title, lead = _title(subjects)
    page = (
        _environment()
        .get_template("audit.html.j2")
        .render(title=title, lead=lead, subjects=subjects, shades=SHADES, fonts=Markup(FONTS))
    )
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("ttr_numerics.probes"), PackageLoader("ttr_numerics.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": cell, "stand": _stand, "word": _word}
    return environment


def _title(subjects: Sequence[dict[str, Any]]) -> tuple[str, str]:
    if len(subjects) == 1:
        (only,) = subjects
        return f"{only['target']} as {only['audit'].layer}: {only['headline']}", only["counts"]
    wrong = sum(s["stand"] in ("wrong", "failed") for s in subjects)
    said = f"{wrong} of {len(subjects)} are wrong or failed to run" if wrong else f"none of {len(subjects)} is wrong"
    return f"Audits: {said}", "Each was put through probes that a sound implementation of its layer passes."


def _subject(number: int, target: str, audit: Audit) -> dict[str, Any]:
    """What the template says of one audit."""
    stand = [standing(f) for f in audit.findings]
    worst = next((s for s in ("wrong", "failed", "right") if s in stand), "inconclusive")
    faults = grouped([f for f in audit.findings if standing(f) in ("wrong", "failed")])
    rows = [f for f in audit.findings if f.word is not None]
    return {
        "target": target,
        "anchor": f"subject-{number}",
        "audit": audit,
        "headline": headline(audit),
        "stand": worst,
        "counts": _counts(stand, audit),
        "faults": [_fault(same, target, audit, f"{number}-{i}", i < DRAWN) for i, same in enumerate(faults)],
        "findings": ordered(audit.findings),
        "rows": rows,
        "chart": _chart(rows),
        "command": command(audit, target) if ":" in target else "",
        "facts": _facts(audit),
    }


def _counts(stand: Sequence[str], audit: Audit) -> str:
    asked = len(stand) - stand.count("not asked")
    seconds = sum(f.seconds for f in audit.findings)
    return (
        f"{asked} probes asked in {audit.contract or audit.dtype}: {stand.count('wrong')} say wrong, "
        f"{stand.count('failed')} failed to run, {stand.count('inconclusive')} inconclusive, "
        f"{stand.count('right')} right; {stand.count('not asked')} do not apply. It took {seconds:.1f} s."
    )


def _fault(same: Sequence[Finding], target: str, audit: Audit, name: str, drawn: bool) -> dict[str, Any]:
    """One fault: the probes that found it, why, the smallest case, and the error over positions."""
    first = same[0]
    shown = min((f for f in same if f.case is not None), key=lambda f: f.case.size if f.case else 0, default=None)
    profiled = next((f for f in same if _is_drawn(f)), None)
    return {
        "title": first.claim,
        "stand": _stand(first),
        "word": _word(first),
        "probes": [f.probe for f in same],
        "reasons": first.reasons,
        "case": shown.case.sentence if shown is not None and shown.case else "",
        "program": program(shown, target, audit) if shown is not None else "",
        "drawing": _positions(profiled, name) if profiled is not None and drawn else "",
        "drawn": profiled.probe if profiled is not None else "",
    }


def _is_drawn(finding: Finding) -> bool:
    profile = None if finding.case is None else finding.case.profile
    return profile is not None and profile.shape[-1] >= FEWEST


def _positions(finding: Finding, name: str) -> Markup:
    assert finding.case is not None
    assert finding.case.profile is not None
    error, tolerance = finding.case.profile
    tokens = range(len(error))
    series = (Measured("error", tokens, error), Theory("tolerance", tokens, tolerance))
    panel = Panel(f"error over position, {finding.probe}", "token", "‖o − reference‖", series, y_log=True)
    return Markup("".join(drawing.svg for drawing in page_drawings([panel], f"fault-{name}")))


def _stand(finding: Finding) -> str:
    return standing(finding).replace(" ", "-")


def _word(finding: Finding) -> str:
    return "failed" if finding.failed else finding.word.value if finding.word else "does not apply"


def _facts(audit: Audit) -> list[tuple[str, str]]:
    stated = [
        ("seed", str(audit.seed)),
        ("dtype", audit.dtype),
        (
            "contract",
            audit.contract
            or f"none declared: tolerances of {audit.dtype} throughout, state and residual expected finer",
        ),
    ]
    stated += [
        ("library", audit.library),
        ("convention", str(audit.convention)),
        ("sizes", audit.shape or "the probes' own"),
    ]
    return [*stated, ("versions", ", ".join(f"{n} {v}" for n, v in sorted(versions().items())))]


_LABEL, _WIDTH, _ROW, _TOP = 128, 440, 17, 26
_MARKS = {"wrong": "square", "failed": "square", "inconclusive": "diamond", "right": "circle"}


def _chart(findings: Sequence[Finding]) -> Markup:
    """A row a probe, its error over tolerance on a logarithmic axis; what is 0 or infinite stands at the ends."""
    rows = sorted(findings, key=lambda f: -f.ratio if f.ratio == f.ratio else -math.inf)
    finite = [f.ratio for f in rows if 0 < f.ratio < math.inf]
    low = min(-2, math.floor(np.log10(min(finite, default=1.0))))
    high = max(2, math.ceil(np.log10(max(finite, default=1.0))))
    low, height = max(low, -12), _TOP + _ROW * len(rows) + 6

    def x(ratio: float) -> float:
        place = low - 0.6 if ratio <= 0 else high + 0.6 if not ratio < math.inf else max(np.log10(ratio), low - 0.6)
        return _LABEL + (_WIDTH - _LABEL - 8) * (place - low + 1) / (high - low + 2)

    step = max(1, (high - low) // 5)
    ticks = "".join(
        _tick(x(10.0**e), power(10.0**e), height)
        for e in range(low - low % step + step * (low % step > 0), high + 1, step)
    )
    marks = "".join(_mark(f, x(f.ratio), _TOP + _ROW * (i + 0.5)) for i, f in enumerate(rows))
    line = (
        f'<line x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{_TOP - 4}" y2="{height}" stroke="var(--ink)" stroke-width="1.2"/>'
    )
    return Markup(
        '<svg class="chart" role="img" aria-label="Error over tolerance of every probe, numbers in the table below" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="var(--sans)" font-size="11">{ticks}{line}{marks}</svg>'
    )


def _tick(x: float, label: str, height: float) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height}" stroke="var(--grid)"/>'
        f'<text x="{x:.1f}" y="{_TOP - 10}" text-anchor="middle" fill="var(--label)">{label}</text>'
    )


def _mark(finding: Finding, x: float, y: float) -> str:
    """The name, the mark, and in words what a reader of the screen hears."""
    stand = standing(finding)
    colour = {"wrong": "--hue-1", "failed": "--hue-1", "inconclusive": "--hue-4"}.get(stand, "--hue-2")
    shape = {
        "square": f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"',
        "diamond": f'<path d="M{x:.1f} {y - 4.6:.1f}l4.6 4.6-4.6 4.6-4.6-4.6z"',
        "circle": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6"',
    }[_MARKS[stand]]
    name = re.sub(r"(?<=.{20}).{2,}", "…", finding.probe)
    title = f"<title>{escape(finding.probe)}: {escape(cell(finding.ratio))} ({stand})</title>"
    text = f'<text x="{_LABEL - 8}" y="{y + 3.8:.1f}" text-anchor="end" fill="var(--ink)">{escape(name)}</text>'
    return f'<g>{title}{text}{shape} fill="var({colour})"/></g>'
