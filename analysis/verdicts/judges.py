"""What each judge says of a case: the rules in use, on one generic output, and ours, on that output and by audit.

Every rule gets the float64 layer on the same rounded inputs as the truth. Two ask for a reference of the subject's own
format: it is the layer with every operation rounded to nearest in that format throughout, sums exact; in float64,
another sound form of the layer, where the catalogue has one.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analysis.verdicts.kinds import Case
from ttr_numerics.arrays import LinAlgError, cast, quiet, to_numpy
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.battery import PROBES, examined, plan
from ttr_numerics.tolerance import row_norms, run_as
from ttr_numerics.verdict import check

__all__ = ["BESIDE", "Generic", "Said", "audited", "checked", "effect", "generic", "output", "ruled", "stored_in"]

ENOUGH = 8  # wrong findings: what more would say is known
RIGHT, WRONG, UNDECIDED = "right", "wrong", "undecided"
_WORDS = {0: RIGHT, 1: WRONG, 3: "failed", 5: UNDECIDED}


@dataclass(frozen=True)
class Said:
    """right, wrong, undecided or failed; the cause, where one is named; seconds; probes that say wrong, and why."""

    word: str
    cause: str | None = None
    seconds: float = 0.0
    probes: tuple[str, ...] = ()
    reasons: str = ""


@dataclass(frozen=True)
class Generic:
    """The arrays of one call in the subject's dtype, in float64 in our convention, and what is right."""

    foreign: dict[str, Any]
    ours: dict[str, Any]
    truth: np.ndarray
    same: np.ndarray | None


def generic(case: Case) -> Generic:
    """The case's arrays as stored, the float64 layer on them, and the layer in the format itself."""
    foreign = stored_in(case)
    numbers = {n: x for n, x in foreign.items() if not isinstance(x, np.ndarray)}
    arrays = {n: x for n, x in foreign.items() if n not in numbers}
    ours = {**case.convention.ours(arrays, case.row.arguments), **numbers}
    return Generic(foreign, ours, np.asarray(case.row.layer(**ours).o), _same(case, ours))


def stored_in(case: Case) -> dict[str, Any]:
    """The case's arrays rounded to its dtype, in float64."""
    form = FORMATS[case.dtype]
    return {n: form.nearest(x) if isinstance(x, np.ndarray) else x for n, x in case.arrays.items()}


def _same(case: Case, ours: dict[str, Any]) -> np.ndarray | None:
    try:
        if case.dtype != "float64":
            with quiet():
                return run_as(case.row.layer, ours, FORMATS[case.dtype])
        return np.asarray(case.row.forms[-1](**ours).o) if case.row.forms else None
    except LinAlgError:  # in half precision the layer's own system may not be solvable: there is no such reference
        return None


def output(case: Case, function: Callable[..., Any], foreign: Mapping[str, Any]) -> np.ndarray:
    """o of one call, in float64."""
    arrays = {n: cast(x, case.library, case.dtype) if isinstance(x, np.ndarray) else x for n, x in foreign.items()}
    o, _ = function(*list(arrays.values())[:3], **dict(list(arrays.items())[3:]))
    return to_numpy(o).astype(np.float64)


def ruled(case: Case, o: np.ndarray, given: Generic) -> dict[str, Said]:
    """What every rule beside ours says of the output."""
    said = {}
    for name, rule in BESIDE.items():
        begun = time.perf_counter()
        accepted = rule(case, o, given)
        word = UNDECIDED if accepted is None else RIGHT if accepted else WRONG
        said[name] = Said(word, seconds=time.perf_counter() - begun)
    return said


def checked(case: Case, o: np.ndarray, given: Generic) -> Said:
    """`check` on the output."""
    begun = time.perf_counter()
    arrays = {n: cast(x, "numpy", case.dtype) if isinstance(x, np.ndarray) else x for n, x in given.foreign.items()}
    stored = cast(o, "numpy", case.dtype)
    verdict = check(stored, case.row.name, convention=case.convention, dtype=case.contract, **arrays)
    return Said(_WORDS[verdict.status], getattr(verdict, "cause", None), time.perf_counter() - begun)


def audited(case: Case, function: Callable[..., Any], seed: int, whole: bool) -> dict[str, Said]:
    """The quick audit and, if it is to be `whole`, the full one, of which it is the first part.

    Once `ENOUGH` probes have said wrong, further regimes and gradients, which would say it again, are not asked.
    """
    planned = plan(
        function,
        case.row.name,
        convention=case.convention,
        dtype=case.dtype,
        contract=case.contract,
        library=case.library,
        quick=not whole,
        seed=seed,
    )
    quick = {p.name for p in PROBES if p.quick}
    found: list[Any] = []
    for probe in planned.probes:
        if sum(f.wrong for f in found) < ENOUGH or probe.kind not in ("regime", "gradient"):
            found += examined(planned.subject, (probe,), planned.seed)
    said = {"quick audit": _concluded([f for f in found if f.probe in quick])}
    return said | ({"full audit": _concluded(found)} if whole else {})


def _concluded(findings: list[Any]) -> Said:
    wrong = [f for f in findings if f.wrong]
    statuses = {f.word.value for f in findings if f.word is not None}
    word = WRONG if wrong else "failed" if any(f.failed for f in findings) else RIGHT
    word = UNDECIDED if word == RIGHT and statuses <= {"inconclusive"} else word
    causes = Counter(f.cause for f in wrong if f.cause)
    cause = causes.most_common(1)[0][0] if causes else None
    probes = tuple(f.probe for f in wrong) or tuple(f"failed: {f.probe}" for f in findings if f.failed)
    reasons = " ".join(reason for f in wrong for reason in f.reasons)
    return Said(word, cause, sum(f.seconds for f in findings), probes, reasons)


def _assert_close(case: Case, o: np.ndarray, given: Generic) -> bool:
    dtype = getattr(torch, case.dtype)
    try:
        torch.testing.assert_close(torch.tensor(o).to(dtype), torch.tensor(given.truth).to(dtype))
    except AssertionError:
        return False
    return True


def _allclose(case: Case, o: np.ndarray, given: Generic) -> bool:
    try:
        np.testing.assert_allclose(o, given.truth, rtol=1e-5)
    except AssertionError:
        return False
    return True


def _root_mean_square(case: Case, o: np.ndarray, given: Generic) -> bool:
    with quiet():
        return bool(np.linalg.norm(o - given.truth) <= 0.005 * np.linalg.norm(given.truth))


def _twice(case: Case, o: np.ndarray, given: Generic) -> bool | None:
    """FlashAttention's: the largest error at most twice that of the reference."""
    if given.same is None:
        return None
    return _largest(o - given.truth) <= 2 * _largest(given.same - given.truth)


def _gym(case: Case, o: np.ndarray, given: Generic) -> bool | None:
    """attention-gym's: at most twice the reference's error and eps of the largest entry."""
    if given.same is None:
        return None
    eps = 2 * FORMATS[case.dtype].u
    return _largest(o - given.truth) <= 2 * (_largest(given.same - given.truth) + eps * _largest(given.truth))


def _largest(x: np.ndarray) -> float:
    largest = float(np.max(np.abs(x)))
    return largest if np.isfinite(largest) else np.inf


BESIDE: Mapping[str, Callable[[Case, np.ndarray, Generic], bool | None]] = {
    "torch assert_close": _assert_close,
    "numpy assert_allclose 1e-5": _allclose,
    "RMS ratio 0.005": _root_mean_square,
    "FlashAttention 2x": _twice,
    "attention-gym": _gym,
}


def effect(o: np.ndarray, twin: np.ndarray) -> float:
    """max_t ‖o_t - twin_t‖/‖twin_t‖: the size of the fault on this output."""
    with quiet():
        size = row_norms(twin)
        ratio = row_norms(o - twin) / np.where(size > 0, size, 1.0)
    return float(np.max(ratio)) if np.isfinite(ratio).all() else float("inf")
