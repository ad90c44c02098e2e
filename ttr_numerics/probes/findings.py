"""What an audit found, as a value: findings in order, exit status, plain JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ttr_numerics.convention import Convention
from ttr_numerics.probes.failure import Failure
from ttr_numerics.probes.probe import Finding
from ttr_numerics.verdict import EXIT_STATUS, Word

__all__ = ["Audit", "grouped"]

FAILED = 3  # exit status: the subject did not run
LISTED = 4096  # numbers of a case that JSON holds; of a larger one it has the shapes


@dataclass(frozen=True)
class Audit:
    """All findings on one subject, in the order they were asked; `seed` replays them.

    `contract` is the arithmetic where it is not `dtype` throughout; `convention`, `library` and `shape` (the sizes it
    is declared to be used at) say what the subject was called with.
    """

    layer: str
    dtype: str
    seed: int
    findings: tuple[Finding, ...]
    contract: str | None = None
    convention: Convention = field(default_factory=Convention)
    library: str = "numpy"
    shape: str | None = None

    @property
    def status(self) -> int:
        """1 if any probe says wrong, else 3 if the subject failed to run, 5 if all is inconclusive, else 0."""
        statuses = [EXIT_STATUS[f.word] for f in self.findings if f.word is not None]
        if 1 in statuses:
            return 1
        if any(f.failed for f in self.findings):
            return FAILED
        return 0 if 0 in statuses else EXIT_STATUS[Word.INCONCLUSIVE]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; what is not finite as a string."""
        head = {"schema": 2, "layer": self.layer, "dtype": self.dtype, "contract": self.contract}
        head |= {"library": self.library, "convention": str(self.convention), "shape": self.shape}
        head |= {"seed": self.seed, "status": self.status}
        return head | {"findings": [_finding(f) for f in self.findings]}


def grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of one cause together, those without a cause by their first sentence; in order."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for f in findings:
        groups.setdefault((f.cause,) if f.cause else ("", *f.reasons[:1]), []).append(f)
    return list(groups.values())


def _finding(f: Finding) -> dict[str, Any]:
    return {
        "probe": f.probe,
        "kind": f.kind,
        "claim": f.claim,
        "verdict": f.word.value if f.word else None,
        "failed": f.failed,
        "reasons": list(f.reasons),
        "cause": f.cause,
        "ratio": f.ratio if np.isfinite(f.ratio) else str(f.ratio),
        "seconds": round(f.seconds, 3),
        "case": f.case and _case(f.case),
    }


def _case(case: Failure) -> dict[str, Any]:
    calls = [{"source": c.source, "arrays": {n: _plain(x) for n, x in c.case.foreign.items()}} for c in case.calls]
    judged = {name: _plain(getattr(case, name)) for name in ("expected", "tolerance", "got", "profile")}
    return {"mode": case.mode.value, "said": case.said, "shrunk": case.shrunk, "calls": calls} | judged


def _plain(x: Any) -> Any:
    """An array as nested lists, a large one as its shape; what is not finite as a string."""
    if isinstance(x, np.ndarray):
        return _plain(x.tolist()) if x.size <= LISTED else {"shape": list(x.shape)}
    if isinstance(x, list):
        return [_plain(entry) for entry in x]
    return str(x) if isinstance(x, float) and not np.isfinite(x) else x
