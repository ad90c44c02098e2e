"""Judge one output against its layer: reference, derived tolerance, verdict, cause.

The path: validate (`problem`) → float64 reference and tolerance (`tolerance.rounding`) → error per position →
word → cause (`diagnosis`) → the same output against the exact partner (`pairs`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError, quiet, to_numpy
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import Pairing, pairing
from ttr_numerics.precision import Contract, Format, contract_named, format_named
from ttr_numerics.problem import Problem, ProblemError, check_dtypes
from ttr_numerics.tolerance import Rounding, rounding
from ttr_numerics.verdict.diagnosis import explain
from ttr_numerics.verdict.packed import joined
from ttr_numerics.verdict.reasons import basis, distance, justified, partner, places
from ttr_numerics.verdict.statistics import statistics
from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["check", "check_arrays", "check_problem", "judged", "measured", "problems", "received"]


def check(
    subject: Any,
    layer: str | Callable[..., Any],
    *,
    dtype: str | None = None,
    convention: Convention | None = None,
    **arrays: Any,
) -> Verdict:
    """Is `subject`, an output (..., T, d_v) or a callable of the arrays, what `layer` gives on `arrays`?

    `layer` is a catalogue name or one of `ttr_numerics.layers`; `arrays` are q, k, v and the layer's own, of any
    library. A `convention` says how they differ from the layers' own; a callable gets them as they are. `dtype` names
    the arithmetic, by default the output's own: float64, float32, float16, bfloat16, or a precision contract such as
    "bfloat16,state=float32,residual=float32" (`precision.contract_named`).
    Raises `ProblemError` (a ValueError) on bad input. The tolerance is derived: see `ttr_numerics.tolerance`.

    >>> rng = np.random.default_rng(0)
    >>> q, k, v = rng.standard_normal((3, 2, 16, 4)).astype(np.float32)
    >>> o = np.cumsum(k[..., :, None] * v[..., None, :], axis=-3)   # somebody's linear attention
    >>> o = np.einsum("htk,htkv->htv", q, o)
    >>> check(o, "linear_attention", q=q, k=k, v=v).word
    <Word.ROUNDING: 'rounding'>
    >>> check(0 * o, "linear_attention", q=q, k=k, v=v).word
    <Word.WRONG: 'wrong'>
    """
    given, row = received(subject, layer, arrays)
    return check_arrays(given, row, convention or Convention(), dtype)


def received(
    subject: Any, layer: str | Callable[..., Any], arrays: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], Pairing]:
    """The arrays as NumPy's, the output `o` among them, and the layer's row."""
    row = pairing(layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer)))
    given = {name: _numpy(x) for name, x in arrays.items() if x is not None}
    check_dtypes(given)
    if callable(subject):
        result = subject(**arrays)
        subject = getattr(result, "o", result)
    return {**given, "o": _numpy(subject)}, row


def check_arrays(
    given: Mapping[str, np.ndarray], row: Pairing, convention: Convention, dtype: str | None = None
) -> Verdict:
    """The verdict on arrays in a foreign convention, `o` among them; a packed batch is judged sequence by sequence."""
    return joined([check_problem(problem, dtype) for problem in problems(given, row, convention)])


def problems(given: Mapping[str, np.ndarray], row: Pairing, convention: Convention) -> list[Problem]:
    """The validated problems in arrays of a foreign convention, one a packed sequence."""
    sequences = []
    for arrays in convention.sequences(given, row.arguments):
        unknown = sorted(set(arrays) - {"q", "k", "v", "o", *row.arrays, *row.optional})
        if unknown:
            raise ProblemError(f"{unknown[0]}: expected only arrays of {row.name}, got an argument it does not take")
        sequences.append(Problem.build(row, arrays))
    return sequences


def check_problem(problem: Problem, dtype: str | None = None) -> Verdict:
    """The verdict on a validated problem; `dtype` declares the arithmetic, by default that of the output."""
    verdict, bound = judged(problem, dtype)
    if verdict.status != 0:
        return verdict
    return _with(verdict, verdict.word, (*verdict.reasons, *partner(problem, bound)))


def judged(problem: Problem, dtype: str | None = None) -> tuple[Verdict, Rounding]:
    """The verdict against the layer alone, without its exact partner, and the tolerance behind it."""
    verdict, bound = measured(problem, dtype)
    if not verdict.wrong.any():
        return verdict, bound
    with quiet():  # a hypothesis may overflow: it explains nothing
        match = explain(problem, bound, verdict.wrong, bound.contract, _output(problem, bound.contract))
    return replace(verdict, word=match.word, reasons=(*match.reasons, *verdict.reasons), cause=match.cause), bound


def measured(problem: Problem, dtype: str | None = None) -> tuple[Verdict, Rounding]:
    """The same without the search for a cause, which takes longest: what is wrong is plain *wrong*."""
    arithmetic = contract_named(dtype or problem.output_dtype)
    output = _output(problem, arithmetic)
    try:
        with quiet():  # what overflows is found and said below
            bound = rounding(problem.row.layer, problem.arrays, arithmetic, output, problem.row.forms)
    except LinAlgError as refusal:
        raise ProblemError(f"{problem.row.name}: no reference for this input: {refusal}") from refusal
    if not np.isfinite(bound.reference).all():
        raise ProblemError(f"{problem.row.name}: no reference for this input: its output overflows float64")
    peak = np.max(np.abs(bound.reference))
    if peak > output.largest:
        raise ProblemError(f"o: expected an output within {output.name}'s range, got a reference of {peak:.1e}")
    verdict = _verdict(problem, bound, distance(problem.o, bound.reference), output)
    if verdict.wrong.any():
        assert verdict.statistics is not None
        return replace(verdict, reasons=(*places(verdict, problem), *verdict.statistics.sentences(arithmetic))), bound
    word = _accepted(verdict, arithmetic)
    return _with(verdict, word, justified(word, verdict, arithmetic)), bound


def _output(problem: Problem, arithmetic: Contract) -> Format:
    """The coarser of the format in which the output came and the contract's."""
    return max(format_named(problem.output_dtype), arithmetic.output, key=lambda f: f.u)


def _verdict(problem: Problem, bound: Rounding, error: np.ndarray, output: Format) -> Verdict:
    return Verdict(
        word=Word.WRONG,
        layer=problem.row.name,
        arithmetic=bound.contract.name,
        reasons=(),
        error=error,
        tolerance=bound.bound,
        magnitude=distance(bound.reference, 0.0),
        predicted=bound.spread,
        condition=_condition(problem),
        basis=basis(bound),
        statistics=statistics(problem.o, bound, bound.contract, output),
    )


def _accepted(verdict: Verdict, arithmetic: Contract) -> Word:
    """Inconclusive or ill-conditioned by the median position of any head, else rounding."""
    if (np.mean(verdict.undecided, axis=-1) > 0.5).any():
        return Word.INCONCLUSIVE
    size = np.where(verdict.magnitude > 0, verdict.magnitude, np.inf)
    lost = np.median(verdict.predicted / size, axis=-1) > np.sqrt(arithmetic.u)  # more than half of all digits
    return Word.ILL_CONDITIONED if lost.any() else Word.ROUNDING


def _condition(problem: Problem) -> np.ndarray:
    """cond of the rows the regression sees, [K; √ridge] (...): inf where they are rank-deficient."""
    k, ridge = problem.arrays["k"], problem.arrays.get("ridge", 0.0)
    diagonal = np.sqrt(np.broadcast_to(ridge, (*k.shape[:-2], k.shape[-1])))
    rows = np.concatenate([k, diagonal[..., None] * np.eye(k.shape[-1])], axis=-2)
    s = np.linalg.svd(rows, compute_uv=False)
    level = max(rows.shape[-2:]) * np.finfo(float).eps * s[..., 0]
    return np.where(s[..., -1] > level, s[..., 0] / np.where(s[..., -1] > level, s[..., -1], 1.0), np.inf)


def _with(verdict: Verdict, word: Word, reasons: tuple[str, ...]) -> Verdict:
    return replace(verdict, word=word, reasons=reasons)


def _numpy(x: Any) -> np.ndarray:
    return to_numpy(x) if hasattr(x, "dtype") else np.asarray(x)
