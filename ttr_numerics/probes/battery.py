"""The audit: every probe on one subject, each in its own time, nothing stopping the rest.

Quick probes come first. Seeds are fixed before the subject is called, and each probe has a generator of its own, so
that one probe alone replays. Cases that fail are made small when all probes are through.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import contract_named, format_named
from ttr_numerics.probes.caller import Caller, Here, ShapeError, SubjectError
from ttr_numerics.probes.certificates import CERTIFICATES
from ttr_numerics.probes.declared import DECLARED
from ttr_numerics.probes.exactness import EXACTNESS
from ttr_numerics.probes.failure import Failure, found
from ttr_numerics.probes.findings import Audit, grouped
from ttr_numerics.probes.gradients import GRADIENTS
from ttr_numerics.probes.heads import HEADS
from ttr_numerics.probes.honesty import HONESTY
from ttr_numerics.probes.laws import LAWS
from ttr_numerics.probes.probe import Finding, Found, NotApplicable, Probe
from ttr_numerics.probes.reductions import REDUCTIONS
from ttr_numerics.probes.regimes import REGIMES
from ttr_numerics.probes.schedules import SCHEDULES
from ttr_numerics.probes.shape import shape_named
from ttr_numerics.probes.shrunk import shrunk
from ttr_numerics.probes.storage import STORAGE
from ttr_numerics.probes.subject import Entry, Subject
from ttr_numerics.probes.target import prepared
from ttr_numerics.problem import ProblemError
from ttr_numerics.verdict import Word

__all__ = ["PROBES", "Audit", "Plan", "audit", "chosen", "examined", "plan"]

PROBES: tuple[Probe, ...] = (
    *REGIMES,
    *HEADS,
    *DECLARED,
    *LAWS,
    *REDUCTIONS,
    *SCHEDULES,
    *STORAGE,
    *EXACTNESS,
    *HONESTY,
    *CERTIFICATES,
    *GRADIENTS,
)


@dataclass(frozen=True)
class Plan:
    """What will be asked of whom: frozen, its seed too, before the subject is called."""

    subject: Subject
    probes: tuple[Probe, ...]
    seed: int
    journals: dict[str, list[Entry]] = field(default_factory=dict, compare=False, repr=False)

    def findings(self, seconds: float = np.inf) -> Iterator[Finding]:
        """The finding of each probe in order; those not begun within `seconds` are not asked, and say so."""
        yield from examined(self.subject, self.probes, self.seed, seconds, self.journals)

    def cases(self, findings: Sequence[Finding], seconds: float) -> Iterator[tuple[str, Failure | None]]:
        """For each probe that found something a case that shows it, made small within `seconds` in all.

        One of each cause comes first. The first may take half the time: its sizes are where the others begin.
        """
        until, small = time.perf_counter() + seconds, None
        groups = grouped([f for f in findings if f.wrong or f.failed])
        queue = [f for rank in zip_longest(*groups) for f in rank if f is not None]
        for place, finding in enumerate(queue):
            share = len(queue) - place if small else min(len(queue) - place, 2)
            case = self._case(finding, max(until - time.perf_counter(), 0.0) / share, small)
            small = case or small
            yield finding.probe, case

    def audit(self, findings: Iterable[Finding], cases: Mapping[str, Failure | None]) -> Audit:
        """The findings, with their cases, and what was asked."""
        s, shape = self.subject, str(self.subject.shape) if self.subject.shape else None
        shown = tuple(replace(f, case=cases.get(f.probe)) for f in findings)
        return Audit(s.row.name, s.dtype, self.seed, shown, s.contract, s.convention, s.library, shape)

    def _case(self, finding: Finding, seconds: float, like: Failure | None) -> Failure | None:
        exact, begun = finding.kind == "exact", time.perf_counter()
        slow = ("no answer within", "its process died")  # repeating it would take as long, or an import each time
        hung = any(words in reason for reason in finding.reasons for words in slow)
        if hung or not seconds:
            return None
        try:
            failure = found(self.subject, self.journals[finding.probe], exact)
        except SubjectError:
            return None
        left = seconds - (time.perf_counter() - begun)
        small = None if like is None else like.calls
        return None if failure is None else shrunk(self.subject, failure, exact, left, small)


def chosen(names: Sequence[str], quick: bool) -> tuple[Probe, ...]:
    """The probes of these names, all if there are none; of all only the `quick` ones; quick ones first.

    Raises ValueError for an unknown name.
    """
    known = {p.name: p for p in PROBES}
    for name in names:
        if name not in known:
            raise ValueError(f"probe: expected one of {', '.join(known)}, got {name}")
    wanted = [known[name] for name in names] or [p for p in PROBES if p.quick or not quick]
    return tuple(sorted(wanted, key=lambda p: not p.quick))


def plan(
    function: Callable[..., Any] | Caller,
    layer: str | Callable[..., Any],
    *,
    convention: Convention | None = None,
    dtype: str = "float32",
    contract: str | None = None,
    shape: str | None = None,
    library: str = "numpy",
    quick: bool = False,
    probes: Sequence[str] = (),
    seed: int | None = None,
) -> Plan:
    """What `audit` with these arguments would ask."""
    row = pairing(layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer)))
    if library not in ("numpy", "torch"):
        raise ValueError(f"library: expected numpy or torch, got {library}")
    if convention is not None and convention.discretisation is not None and "log_decay" not in row.arrays:
        raise ValueError(
            f"convention: expected one without a discretised gate, which {row.name} lacks, got one with it"
        )
    is_caller = hasattr(function, "call") and hasattr(function, "numbers")  # a torch module has parameters too
    name = getattr(function, "__name__", type(function).__name__)
    caller: Any = function if is_caller else Here(prepared(function, name))
    named = _declared(contract, dtype) if contract else None
    sizes = shape_named(shape) if shape else None
    subject = Subject(caller, row, convention or Convention(), format_named(dtype).name, library, named, shape=sizes)
    generic = {n: x for n, x in row.example(np.random.default_rng(0), (1, 1)).items() if isinstance(x, np.ndarray)}
    subject.convention.theirs(generic, row.arguments)  # a convention that cannot say this can say nothing
    fresh = int(np.random.default_rng().integers(2**32)) if seed is None else seed
    return Plan(subject, chosen(probes, quick), fresh)


def _declared(contract: str, dtype: str) -> str:
    """The contract's own name; an output that it does not name is stored in arrays of `dtype`, if that is coarser."""
    found, stored = contract_named(contract), format_named(dtype)
    if "output" not in contract and stored.u > found.output.u:
        found = replace(found, output=stored)
    return found.name


def audit(
    function: Callable[..., Any] | Caller,
    layer: str | Callable[..., Any],
    *,
    convention: Convention | None = None,
    dtype: str = "float32",
    contract: str | None = None,
    shape: str | None = None,
    library: str = "numpy",
    quick: bool = False,
    probes: Sequence[str] = (),
    seed: int | None = None,
    shrink: float = 0.0,
) -> Audit:
    """Does `function` behave as `layer` does, in every regime and by every law the battery knows?

    It is called with arrays of `library` (numpy or torch) in `dtype`, in the declared `convention`: queries, keys and
    values by position, the layer's other arrays by their names; it returns o, or (o, state, ...). `contract` is its
    arithmetic where that is not `dtype` throughout, `shape` the sizes it is used at ("T=4096,heads=16,d=128"), at which
    it is then asked too. Only `probes` of these names are asked if there are any. Cases are drawn anew from `seed`
    (fresh if None), which is in the result; those that fail are made small for `shrink` seconds. Raises ValueError for
    an unknown layer, dtype, contract, library or probe.

    >>> from ttr_numerics import layers
    >>> audit(layers.linear_attention, "linear_attention", quick=True, seed=0).status
    0
    """
    planned = plan(
        function,
        layer,
        convention=convention,
        dtype=dtype,
        contract=contract,
        shape=shape,
        library=library,
        quick=quick,
        probes=probes,
        seed=seed,
    )
    findings = tuple(planned.findings())
    return planned.audit(findings, dict(planned.cases(findings, shrink)) if shrink > 0 else {})


def examined(
    subject: Subject,
    probes: Sequence[Probe],
    seed: int,
    seconds: float = np.inf,
    journals: dict[str, list[Entry]] | None = None,
) -> Iterator[Finding]:
    """The finding of each probe, with a generator of its own; `journals` gets the calls of those that fail."""
    until = time.perf_counter() + seconds
    for probe in probes:
        begun = time.perf_counter()
        if begun >= until:
            late = f"not asked: {seconds:g} s were over"
            yield Finding(probe.name, probe.claim, None, (late,), kind=probe.kind)
            continue
        asked = replace(subject, journal=[])
        finding = _one(asked, probe, np.random.default_rng([seed, *probe.name.encode()]))
        if journals is not None and (finding.wrong or finding.failed):
            journals[probe.name] = asked.journal
        yield replace(finding, seconds=time.perf_counter() - begun, kind=probe.kind)


def _one(subject: Subject, probe: Probe, rng: np.random.Generator) -> Finding:
    try:
        result = Found(*probe.examine(subject, rng))
    except NotApplicable as reason:
        return Finding(probe.name, probe.claim, None, (str(reason),))
    except ShapeError as error:
        return Finding(probe.name, probe.claim, Word.WRONG, (str(error),), np.inf)
    except SubjectError as error:
        return Finding(probe.name, probe.claim, None, (f"the subject failed: {error}",), failed=True)
    except (ProblemError, LinAlgError) as refusal:
        return Finding(probe.name, probe.claim, None, (f"no reference here: {refusal}",))
    except MemoryError:
        return Finding(probe.name, probe.claim, None, ("too large for this machine's memory",))
    return Finding(probe.name, probe.claim, result.word, result.reasons, result.ratio, cause=result.cause)
