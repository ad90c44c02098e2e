"""Judge one output against its layer: reference, derived tolerance, verdict, cause.

The path: validate (`problem`) → float64 reference and tolerance (`tolerance.rounding`) → error per position →
word → cause (`diagnosis`) → the same output against the exact partner (`pairs`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError, to_numpy
from ttr_numerics.convention import Convention
from ttr_numerics.pairs import pairing
from ttr_numerics.precision import Format, format_named
from ttr_numerics.problem import Problem, ProblemError
from ttr_numerics.tolerance import FALSE_ALARM, REPLICAS, Rounding, rounding
from ttr_numerics.verdict.diagnosis import explain
from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["check", "check_problem"]


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
    library. `dtype` names the arithmetic (float64, float32, float16, bfloat16), by default the output's own.
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
    row = pairing(layer if isinstance(layer, str) else getattr(layer, "__name__", str(layer)))
    unknown = sorted(set(arrays) - {"q", "k", "v", *row.arrays, *row.optional})
    if unknown:
        raise ProblemError(f"{unknown[0]}: expected only arrays of {row.name}, got an argument it does not take")
    given = {name: _numpy(x) for name, x in arrays.items() if x is not None}
    if convention is not None:
        given = convention.apply(given)
    if callable(subject):
        result = subject(**arrays)
        subject = getattr(result, "o", result)
    return check_problem(Problem.build(row, {**given, "o": _numpy(subject)}), dtype)


def check_problem(problem: Problem, dtype: str | None = None) -> Verdict:
    """The verdict on a validated problem; `dtype` declares the arithmetic, by default that of the output."""
    output = format_named(problem.output_dtype)
    arithmetic = format_named(dtype) if dtype else output
    output = output if output.u > arithmetic.u else arithmetic
    try:
        bound = rounding(problem.row.layer, problem.arrays, arithmetic, output)
    except LinAlgError as refusal:
        raise ProblemError(f"{problem.row.name}: no reference for this input: {refusal}") from refusal
    error = _distance(problem.o, bound.reference)
    verdict = _verdict(problem, bound, error, arithmetic)
    if verdict.wrong.any():
        match = explain(problem, bound, verdict.wrong, arithmetic, output)
        return _with(verdict, match.word, (*match.reasons, *_places(verdict, problem)))
    return _with(verdict, _accepted(verdict, arithmetic), (*_sentences(verdict, arithmetic), *_partner(problem, bound)))


def _verdict(problem: Problem, bound: Rounding, error: np.ndarray, arithmetic: Format) -> Verdict:
    return Verdict(
        word=Word.WRONG,
        layer=problem.row.name,
        arithmetic=arithmetic.name,
        reasons=(),
        error=error,
        tolerance=bound.bound,
        magnitude=_distance(bound.reference, 0.0),
        predicted=bound.spread,
        condition=_condition(problem),
        basis=_basis(bound),
    )


def _basis(bound: Rounding) -> str:
    """How the tolerance came about, in one sentence."""
    name, checks = bound.format.name, round(1 / FALSE_ALARM)
    return (
        f"per head and token the larger of {bound.quantile:.2f} times the spread of {REPLICAS} replicas with random "
        f"{name} rounding (Student's quantile: one false alarm in {checks} checks) and twice the error of a sequential "
        f"{name} reference; errors are against float64 on the same inputs"
    )


def _accepted(verdict: Verdict, arithmetic: Format) -> Word:
    """Inconclusive or ill-conditioned by the median position of any head, else rounding."""
    if (np.mean(verdict.undecided, axis=-1) > 0.5).any():
        return Word.INCONCLUSIVE
    size = np.where(verdict.magnitude > 0, verdict.magnitude, np.inf)
    lost = np.median(verdict.predicted / size, axis=-1) > np.sqrt(arithmetic.u)  # more than half of all digits
    return Word.ILL_CONDITIONED if lost.any() else Word.ROUNDING


def _sentences(verdict: Verdict, arithmetic: Format) -> tuple[str, ...]:
    """Why an output within its tolerance is right, or cannot be judged."""
    word, heads = _accepted(verdict, arithmetic), f"{verdict.error.size} positions"
    if word is Word.INCONCLUSIVE:
        n = int(verdict.undecided.sum())
        return (
            f"at {n} of {heads} the tolerance is as large as the answer, so an output of zeros would pass there: "
            f"{arithmetic.name} arithmetic decides nothing; use a wider dtype, or inputs with less cancellation",
        )
    size = np.where(verdict.magnitude > 0, verdict.magnitude, np.inf)
    relative = verdict.predicted / size
    if word is Word.ILL_CONDITIONED:
        worst = float(np.max(np.median(relative, axis=-1)))
        return (
            f"right, and no more digits can be expected: rounding in {arithmetic.name} (u = {arithmetic.u:.1e}) is "
            f"amplified to {worst:.1e} of the answer at a head's median position, condition number up to "
            f"{np.max(verdict.condition):.1e}; use a wider dtype or a larger ridge",
        )
    return (f"every one of {heads} lies within rounding: at worst {np.max(verdict.ratio):.2f} of its tolerance",)


def _partner(problem: Problem, bound: Rounding) -> tuple[str, ...]:
    """The same output against the exact solver that the layer is."""
    row, q = problem.row, problem.arrays["q"]
    pairs = q.shape[-2] ** 2 * int(np.prod(q.shape[:-2])) * q.shape[-1]
    if pairs > _PARTNER_LIMIT:
        return (f"the exact partner was not computed: {pairs:.1e} pair entries; check a shorter piece",)
    try:
        exact = row.partner(**problem.arrays)
    except LinAlgError as error:
        return (f"the exact partner refuses this input: {error}",)
    ratio = _distance(problem.o, exact.o) / np.where(bound.bound > 0, bound.bound, np.finfo(float).tiny)
    agrees = "equals" if np.max(ratio) <= 1 else "does NOT equal"
    sentences = [f"{agrees} its exact partner, {row.identity}: at worst {np.max(ratio):.2f} of the tolerance"]
    if row.fit is not None:
        named = {n: problem.arrays[n] for n in (*row.arrays, *row.optional) if n in problem.arrays}
        k, v = problem.arrays["k"], problem.arrays["v"]
        left, best = (_residual(k, v, S) for S in (exact.state, row.fit(k, v, **named)))
        sentences.append(
            f"its target is {row.target}: over the {k.shape[-2]} pairs the squared residual relative to the values is "
            f"{_span(left)}, for the target {_span(best)}"
        )
    return tuple(sentences)


_PARTNER_LIMIT = 1 << 28


def _places(verdict: Verdict, problem: Problem) -> tuple[str, ...]:
    """Where an output is wrong: how many positions, the first, the worst, and what is not finite."""
    first, worst = verdict.first_wrong, verdict.worst
    assert first is not None
    heads = verdict.wrong.any(axis=-1)
    n, of = int(verdict.wrong.sum()), verdict.wrong.size
    sentences = [
        f"wrong at {n} of {of} positions in {int(heads.sum())} of {heads.size} heads; first at {_place(first)}: "
        f"error {verdict.error[first]:.2e}, tolerance {verdict.tolerance[first]:.2e}",
        f"worst at {_place(worst)}: error {verdict.error[worst]:.2e}, {verdict.ratio[worst]:.2g} times its tolerance, "
        f"output of size {verdict.magnitude[worst]:.2e}",
    ]
    bad = ~np.isfinite(problem.o).all(axis=-1)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        sentences.insert(0, f"the output is NaN or infinite at {int(bad.sum())} positions, first at {_place(place)}")
    return tuple(sentences)


def _place(index: tuple[int, ...]) -> str:
    *head, token = index
    return f"token {token}" + (f" of head {head[0] if len(head) == 1 else tuple(head)}" if head else "")


def _span(x: np.ndarray) -> str:
    low, high = f"{np.min(x):.2g}", f"{np.max(x):.2g}"
    return low if low == high else f"{low} to {high}"


def _residual(k: np.ndarray, v: np.ndarray, S: np.ndarray) -> np.ndarray:
    """Σ‖v_i - k_i S‖² / Σ‖v_i‖² per head."""
    return np.sum((v - k @ S) ** 2, axis=(-1, -2)) / np.maximum(np.sum(v * v, axis=(-1, -2)), np.finfo(float).tiny)


def _condition(problem: Problem) -> np.ndarray:
    """cond of the rows the regression sees, [K; √ridge] (...): inf where they are rank-deficient."""
    k, ridge = problem.arrays["k"], problem.arrays.get("ridge", 0.0)
    diagonal = np.sqrt(np.broadcast_to(ridge, (*k.shape[:-2], k.shape[-1])))
    rows = np.concatenate([k, diagonal[..., None] * np.eye(k.shape[-1])], axis=-2)
    s = np.linalg.svd(rows, compute_uv=False)
    level = max(rows.shape[-2:]) * np.finfo(float).eps * s[..., 0]
    return np.where(s[..., -1] > level, s[..., 0] / np.where(s[..., -1] > level, s[..., -1], 1.0), np.inf)


def _distance(x: np.ndarray, y: Any) -> np.ndarray:
    """‖x_t - y_t‖₂ (..., T), inf where x is not finite."""
    finite = np.isfinite(x).all(axis=-1)
    difference = np.where(finite[..., None], x, 0.0) - y
    return np.where(finite, np.sqrt(np.sum(difference * difference, axis=-1)), np.inf)


def _with(verdict: Verdict, word: Word, reasons: tuple[str, ...]) -> Verdict:
    return Verdict(**{**vars(verdict), "word": word, "reasons": reasons})


def _numpy(x: Any) -> np.ndarray:
    return to_numpy(x) if hasattr(x, "dtype") else np.asarray(x)
