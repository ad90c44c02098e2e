"""The audit: every probe on one subject, each in its own time, nothing stopping the rest."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import format_named
from ttr_numerics.probes.caller import Caller, Here, ShapeError, SubjectError
from ttr_numerics.probes.exactness import EXACTNESS
from ttr_numerics.probes.laws import LAWS
from ttr_numerics.probes.probe import Finding, NotApplicable, Probe
from ttr_numerics.probes.regimes import REGIMES
from ttr_numerics.probes.subject import Subject
from ttr_numerics.problem import ProblemError
from ttr_numerics.verdict import EXIT_STATUS, Word

__all__ = ["PROBES", "Audit", "audit", "examined"]

PROBES: tuple[Probe, ...] = (*REGIMES, *LAWS, *EXACTNESS)
FAILED = 3  # exit status: the subject did not run


@dataclass(frozen=True)
class Audit:
    """All findings on one subject, in order; `seed` replays them."""

    layer: str
    dtype: str
    seed: int
    findings: tuple[Finding, ...]

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
        """Everything as plain JSON values."""
        findings = [
            {
                "probe": f.probe,
                "claim": f.claim,
                "verdict": f.word.value if f.word else None,
                "failed": f.failed,
                "reasons": list(f.reasons),
                "ratio": f.ratio if np.isfinite(f.ratio) else str(f.ratio),
                "seconds": round(f.seconds, 3),
            }
            for f in self.findings
        ]
        head = {"schema": 1, "layer": self.layer, "dtype": self.dtype, "seed": self.seed, "status": self.status}
        return head | {"findings": findings}


def audit(
    function: Callable[..., Any] | Caller,
    layer: str | Callable[..., Any],
    *,
    convention: Convention | None = None,
    dtype: str = "float32",
    library: str = "numpy",
    quick: bool = False,
    seed: int | None = None,
) -> Audit:
    """Does `function` behave as `layer` does, in every regime and by every law the battery knows?

    It is called with arrays of `library` (numpy or torch) in `dtype`, in the declared `convention`: queries, keys and
    values by position, the layer's other arrays by their names; it returns o, or (o, state, ...). Cases are drawn anew
    from `seed` (fresh if None), which is in the result. Raises ValueError for an unknown layer, dtype or library.

    >>> from ttr_numerics import layers
    >>> audit(layers.linear_attention, "linear_attention", quick=True, seed=0).status
    0
    """
    row = pairing(layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer)))
    if library not in ("numpy", "torch"):
        raise ValueError(f"library: expected numpy or torch, got {library}")
    caller: Any = function if hasattr(function, "call") and hasattr(function, "parameters") else Here(function)
    subject = Subject(caller, row, convention or Convention(), format_named(dtype).name, library)
    chosen = int(np.random.default_rng().integers(2**32)) if seed is None else seed
    probes = [p for p in PROBES if p.quick or not quick]
    return Audit(row.name, subject.dtype, chosen, tuple(examined(subject, probes, chosen)))


def examined(subject: Subject, probes: Sequence[Probe], seed: int) -> Iterator[Finding]:
    """The finding of each probe, with a generator of its own so that one probe alone replays."""
    for probe in probes:
        begun = time.perf_counter()
        finding = _one(subject, probe, np.random.default_rng([seed, *probe.name.encode()]))
        yield replace(finding, seconds=time.perf_counter() - begun)


def _one(subject: Subject, probe: Probe, rng: np.random.Generator) -> Finding:
    try:
        word, reasons, ratio = probe.examine(subject, rng)
    except NotApplicable as reason:
        return Finding(probe.name, probe.claim, None, (str(reason),))
    except ShapeError as error:
        return Finding(probe.name, probe.claim, Word.WRONG, (str(error),), np.inf)
    except SubjectError as error:
        return Finding(probe.name, probe.claim, None, (f"the subject failed: {error}",), failed=True)
    except (ProblemError, LinAlgError) as refusal:
        return Finding(probe.name, probe.claim, None, (f"no reference here: {refusal}",))
    return Finding(probe.name, probe.claim, word, reasons, ratio)
