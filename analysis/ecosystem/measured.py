"""The rows: every function in every format through the probes, and every reproduction run by itself."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from analysis.ecosystem.implementation import Implementation
from analysis.ecosystem.readings import reading
from analysis.ecosystem.table import IMPLEMENTATIONS, target
from ttr_numerics.probes import PROBES, Finding, Probe, Remote, Subject
from ttr_numerics.probes.battery import examined
from ttr_numerics.probes.caller import Caller
from ttr_numerics.verdict import Word

__all__ = ["REPRODUCTIONS", "SEED", "audited", "examined_in", "measure", "reproduced"]

SEED = 0
SECONDS = 120.0  # of probes a function and format; what is then left is not asked
RIGHT = (Word.ROUNDING, Word.ILL_CONDITIONED)
REPRODUCTIONS = tuple(sorted((Path(__file__).parent / "reproductions").glob("[a-z]*.py")))

Rows = list[dict[str, Any]]


def measure(
    progress: Callable[..., Iterable[Any]],
    implementations: Sequence[Implementation] = IMPLEMENTATIONS,
    reproductions: Sequence[Path] = REPRODUCTIONS,
) -> Rows:
    """A row a function and format, one an accusation, one a line of each reproduction and of what it prints."""
    rows: Rows = []
    for one in progress([*implementations, *reproductions]):
        rows += reproduced(one) if isinstance(one, Path) else audited(one)
    return rows


def audited(one: Implementation, probes: Sequence[Probe] = PROBES) -> Rows:
    """The function in a process of its own: the quick probes and gradients, and whether float64 is computed in it."""
    remote, rows = Remote(target(one), one.limit), []
    try:
        for dtype in one.dtypes:
            rows += examined_in(one, remote, dtype, [p for p in probes if p.quick or "gradients" in p.name])
        if "float64" not in one.dtypes:
            rows += examined_in(one, remote, "float64", [p for p in probes if p.name == "honest dtype"])
    finally:
        remote.close()
    return rows


def examined_in(one: Implementation, caller: Caller, dtype: str, probes: Sequence[Probe]) -> Rows:
    """A row of the function in that format, and one of each probe that does not say right."""
    subject = Subject(caller, one.layer, one.peer.convention, dtype, "torch", one.contract.get(dtype))
    begun = time.monotonic()
    findings = list(_examined(subject, probes))
    asked = [f for f in findings if f.word is not None]
    doubted = [f for f in findings if f.failed or (f.word is not None and f.word not in RIGHT)]
    row = {
        "name": one.name,
        "layer": one.layer.name,
        "package": one.peer.package,
        "version": version(one.peer.package),
        "function": one.peer.path.partition(":")[2],
        "module": one.peer.path.partition(":")[0],
        "how": one.peer.how,
        "declares": one.declares,
        "dtype": dtype,
        "asked": len(asked),
        "right": sum(f.word in RIGHT for f in asked),
        "failed": sum(f.failed for f in findings),
        "inconclusive": sum(f.word is Word.INCONCLUSIVE for f in asked),
        "wrong": sum(f.failed or f.word is not Word.INCONCLUSIVE for f in doubted),
        "worst": max((f.ratio for f in asked if f.word in RIGHT), default=0.0),
        "left": len(probes) - len(findings),
        "seconds": round(time.monotonic() - begun, 1),
    }
    accusations = (_accusation(one, dtype, f) for f in doubted)
    # What decides nothing is counted, and said where it was read up.
    return [row, *(a for a in accusations if a["verdict"] != Word.INCONCLUSIVE.value or a["kind"] != "unread")]


def _examined(subject: Subject, probes: Sequence[Probe]) -> Iterator[Finding]:
    """Findings as long as there is time; each probe has a generator of its own, so that the clock moves no case."""
    begun = time.monotonic()
    for probe in probes:
        if time.monotonic() - begun > SECONDS:
            return
        try:
            yield from examined(subject, [probe], SEED)
        except ValueError as refusal:  # a convention that has no such input, as a discretised one no gate of 1
            yield Finding(probe.name, probe.claim, None, (str(refusal),))


def _accusation(one: Implementation, dtype: str, finding: Finding) -> dict[str, Any]:
    read = reading(one.name, finding.probe, dtype)
    return {
        "accused": one.name,
        "dtype": dtype,
        "probe": finding.probe,
        "verdict": "failed to run" if finding.failed or finding.word is None else finding.word.value,
        "ratio": None if finding.failed else finding.ratio,
        "reason": finding.reasons[0] if finding.reasons else "",
        "kind": read.kind.value if read else "unread",
        "sentence": read.sentence if read else "",
        "reproduction": read.reproduction if read else "",
    }


def reproduced(path: Path) -> Rows:
    """The script run alone: its lines and those it printed, numbered."""
    begun = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ""},
    )
    code = path.read_text("utf-8").rstrip().splitlines()
    package, _, said = code[0].strip('"').partition(", ")
    head: dict[str, Any] = {"reproduction": path.stem, "package": package, "version": version(package), "says": said}
    head |= {"holds": run.returncode == 0, "seconds": round(time.monotonic() - begun, 1)}
    printed = run.stdout.rstrip().splitlines() if run.returncode == 0 else run.stderr.rstrip().splitlines()[-1:]
    lines = [("code", n, text) for n, text in enumerate(code, start=1)]
    lines += [("printed", n, text) for n, text in enumerate(printed, start=1)]
    return [head, *({"of": path.stem, "what": what, "line": n, "text": text} for what, n, text in lines)]
