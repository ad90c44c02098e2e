"""Causes that the right answer itself shows, without running anything: moved, permuted, scaled, missing outputs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ttr_numerics.precision import Format
from ttr_numerics.tolerance import Rounding, row_norms
from ttr_numerics.verdict.evidence import Evidence
from ttr_numerics.verdict.search import Explanation
from ttr_numerics.verdict.verdict import Word

__all__ = ["moved", "rescaled", "rescaled_by_token"]

_MOST_TOKENS = 512  # of which every pair is compared
_CHUNKS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class _Compared:
    """Outputs and answers (n, T, d_v), tolerances and wrong positions (n, T), of all heads."""

    o: np.ndarray
    answers: np.ndarray
    allowed: np.ndarray
    wrong: np.ndarray
    shape: tuple[int, ...]

    @property
    def decided(self) -> bool:
        """Whether in every head the tolerance is smaller than the answer at most tokens."""
        sizes = row_norms(self.answers)
        return bool((np.median(self.allowed, axis=-1) < np.median(sizes, axis=-1)).all())

    @property
    def heads(self) -> np.ndarray:
        """Which heads are wrong."""
        return np.asarray(self.wrong.any(axis=-1))


Pattern = Callable[[_Compared, Format], tuple[str, str] | None]


def moved(evidence: Evidence, bound: Rounding, output: Format) -> Explanation | None:
    """Zeros, NaN, and answers that stand in another place."""
    return _first((_zero, _heads, _in_time, _layout, _columns, _rows), evidence, bound, output)


def rescaled(evidence: Evidence, bound: Rounding, output: Format) -> Explanation | None:
    """Answers times something, plus something, or missing at some rows and columns."""
    return _first(
        (
            _not_finite,
            _flushed,
            _some_zero,
            _stale,
            _factor,
            _factor_per_head,
            _mixed,
            _offset,
            _tail_columns,
        ),
        evidence,
        bound,
        output,
    )


def rescaled_by_token(evidence: Evidence, bound: Rounding, output: Format) -> Explanation | None:
    """Each token's answer times a number of its own: as many unknowns as tokens."""
    return _first((_factor_per_token,), evidence, bound, output)


def _first(patterns: tuple[Pattern, ...], evidence: Evidence, bound: Rounding, output: Format) -> Explanation | None:
    shape = bound.reference.shape
    x = _Compared(
        evidence.o.reshape(-1, *shape[-2:]),
        bound.reference.reshape(-1, *shape[-2:]),
        bound.bound.reshape(-1, shape[-2]),
        evidence.wrong.reshape(-1, shape[-2]),
        shape[:-2],
    )
    for pattern in patterns:
        found = pattern(x, output)
        if found is not None:
            word = Word.CONVENTION if found[0] in _CONVENTIONS else Word.WRONG
            return Explanation(found[0], word, found[1])
    return None


_CONVENTIONS = ("heads.permuted", "layout.swapped")


def _zero(x: _Compared, output: Format) -> tuple[str, str] | None:
    if not x.o.any():
        return "output.zero", "the output is zero everywhere"
    if x.decided and not x.o[x.heads].any():
        return "output.zero", f"the output of {int(x.heads.sum())} of {len(x.o)} heads is zero everywhere"
    return None


def _heads(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Every output head equals some reference head to rounding, but not its own."""
    if len(x.o) < 2 or not (np.isfinite(x.o).all() and x.decided):
        return None
    source = []
    for i, head in enumerate(x.o):
        matches = np.flatnonzero((row_norms(head - x.answers) <= x.allowed).all(axis=-1))
        if not len(matches):
            return None
        source.append(i if i in matches else int(matches[0]))
    moves = [f"output head {_index(i, x)} is head {_index(j, x)}" for i, j in enumerate(source) if i != j]
    if not moves:
        return None
    if len(set(source)) == len(source):
        return "heads.permuted", f"heads are permuted: {'; '.join(moves[:6])}"
    return "heads.repeated", f"heads are given twice: {'; '.join(moves[:6])}"


def _index(i: int, x: _Compared) -> str:
    place = tuple(int(j) for j in np.unravel_index(i, x.shape))
    return str(place[0]) if len(place) == 1 else str(place)


def _in_time(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Every output is the answer of the token before it, or after it."""
    if x.o.shape[1] < 2 or not x.decided:
        return None
    h = x.heads
    if (row_norms(x.o[h, 1:] - x.answers[h, :-1]) <= x.allowed[h, :-1]).all():
        return "output.late", "to rounding, the output is one token late: token t holds the answer of t - 1"
    if (row_norms(x.o[h, :-1] - x.answers[h, 1:]) <= x.allowed[h, 1:]).all():
        return "output.early", "to rounding, the output is one token early: token t holds the answer of t + 1"
    return None


def _layout(x: _Compared, output: Format) -> tuple[str, str] | None:
    """The numbers of (T, H, d) read as (H, T, d), per batch entry."""
    if not x.shape or x.shape[-1] < 2 or not x.decided:
        return None
    H, (T, d) = x.shape[-1], x.o.shape[1:]
    o = x.o.reshape(-1, T, H, d).swapaxes(1, 2)
    answers, allowed = x.answers.reshape(-1, H, T, d), x.allowed.reshape(-1, H, T)
    if (row_norms(o - answers) <= allowed).all():
        return "layout.swapped", "the numbers of (T, H, d_v) read as (H, T, d_v): heads and time change places"
    return None


def _columns(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Every column of the output is some column of the answer."""
    o, answers, allowed = x.o[x.heads], x.answers[x.heads], x.allowed[x.heads][..., None, None]
    d = o.shape[-1]
    if d < 2 or o.size * d > 1 << 24 or not x.decided:
        return None
    small = allowed[..., 0, 0] < np.median(np.abs(answers), axis=-1)
    if np.mean(small) < 0.5:  # columns must be told from each other
        return None
    equal = (np.abs(o[..., :, None] - answers[..., None, :]) <= allowed).all(axis=(0, 1))
    if not (equal.any(axis=1).all() and equal.any(axis=0).all()):
        return None
    source = [j if equal[j, j] else int(np.argmax(equal[j])) for j in range(d)]
    return _permutation(source, "columns", "column")


def _rows(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Every row of the output is some row of the answer, the same in all wrong heads."""
    o, answers, allowed = x.o[x.heads], x.answers[x.heads], x.allowed[x.heads]
    T = o.shape[1]
    if not 2 < T <= _MOST_TOKENS or not x.decided:
        return None
    equal = np.ones((T, T), dtype=bool)
    for head, answer, tolerance in zip(o, answers, allowed, strict=True):
        near = head @ answer.T  # ‖a - b‖² = ‖a‖² + ‖b‖² - 2ab cancels: a first sieve, then the rows themselves
        squares = np.sum(head * head, axis=-1)[:, None] + np.sum(answer * answer, axis=-1) - 2 * near
        slack = np.sqrt(np.finfo(float).eps) * (np.sum(head * head, axis=-1)[:, None] + np.sum(answer**2, axis=-1))
        equal &= squares <= tolerance**2 + slack
    if not equal.any(axis=1).all():
        return None
    source = [t if equal[t, t] else int(np.argmax(equal[t])) for t in range(T)]
    if sorted(source) != list(range(T)) or not (row_norms(o - answers[:, source]) <= allowed[:, source]).all():
        return None
    return _permutation(source, "rows", "token")


def _permutation(source: list[int], what: str, one: str) -> tuple[str, str] | None:
    n, places = len(source), list(range(len(source)))
    shift = source[0]
    if source == places:
        return None
    if source == places[::-1]:
        return f"{what}.reversed", f"{what} are reversed: {one} 0 holds {n - 1}"
    if source == places[shift:] + places[:shift]:
        if what == "columns" and n == 2 * shift:
            return "columns.halves", "the two halves of the columns are exchanged"
        return f"{what}.rolled", f"{what} are rolled by {shift}: {one} 0 holds {shift}"
    changed = [f"{one} {i} holds {j}" for i, j in enumerate(source) if i != j]
    return f"{what}.permuted", f"{what} are permuted: {'; '.join(changed[:4])}"


def _place(x: _Compared) -> str:
    """Which part of the positions is wrong, in words; nothing where all are."""
    tokens = np.flatnonzero(x.wrong.any(axis=0))
    T, heads = x.wrong.shape[1], x.heads
    where = f" in {int(heads.sum())} of {heads.size} heads" if not heads.all() else ""
    if len(tokens) == T:
        return where
    if len(tokens) == T - tokens[0]:
        return f"{where} from token {tokens[0]} on"
    return f"{where} at {len(tokens)} of {T} tokens, first {tokens[0]}"


def _not_finite(x: _Compared, output: Format) -> tuple[str, str] | None:
    bad = ~np.isfinite(x.o).all(axis=-1)
    if not bad.any() or (x.wrong & ~bad).any():
        return None
    kind = "NaN" if np.isnan(x.o[bad]).any() else "infinite"
    rest = "and right at all others" if not bad.all() else "which is all of them"
    return "output.nan", f"the output is {kind} at {int(bad.sum())} positions, {rest}"


def _some_zero(x: _Compared, output: Format) -> tuple[str, str] | None:
    if x.o[x.wrong].any():
        return None
    return "rows.zero", f"the output is zero{_place(x)}, and right elsewhere"


def _flushed(x: _Compared, output: Format) -> tuple[str, str] | None:
    """The smallest entries are zero, and all others right."""
    gone = (x.o == 0) & (x.answers != 0) & (np.abs(x.answers) > x.allowed[..., None])
    if not gone.any() or not gone.any(axis=-1)[x.wrong].all():
        return None
    left, lost = np.where(gone, 0.0, x.o - x.answers), np.max(np.abs(x.answers[gone]))
    kept = np.abs(x.answers[(x.o != 0) & ~gone])
    if (
        (row_norms(left) > x.allowed).any()
        or not kept.size
        or lost > np.min(kept) + np.max(x.allowed[np.isfinite(x.allowed)])
    ):
        return None
    return "output.flushed", f"the {int(gone.sum())} smallest entries of the answer, up to {lost:.1e}, are zero"


def _stale(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Wrong rows hold the row before them."""
    if x.wrong[:, 0].any() or x.wrong.all(axis=1).any():
        return None
    h, t = np.nonzero(x.wrong)
    if (row_norms(x.o[h, t] - x.o[h, t - 1]) <= x.allowed[h, t - 1]).all():
        return "rows.stale", f"the output still holds the row before{_place(x)}, and is right elsewhere"
    return None


def _fitting(x: _Compared, expected: np.ndarray) -> bool:
    """Whether the wrong rows equal these, in tolerances that scale with them, and are at most half as far from them."""
    answers, allowed = row_norms(x.answers), x.allowed
    larger = np.maximum(1.0, row_norms(expected) / np.where(answers > 0, answers, 1.0))
    apart = row_norms(x.o - expected)
    nearer = (
        np.linalg.norm((apart / allowed)[x.wrong])
        <= np.linalg.norm((row_norms(x.o - x.answers) / allowed)[x.wrong]) / 2
    )
    return bool(nearer and (apart <= larger * allowed)[x.wrong].all()) and x.decided


def _number(c: float) -> str:
    """Six digits, of what it differs from 1 by where that is little."""
    return f"{c:.6g}" if abs(c - 1) > 1e-4 else f"1 {'+' if c > 1 else '-'} {abs(c - 1):.1e}"


def _factors(x: _Compared, axes: tuple[int, ...]) -> np.ndarray:
    """⟨o, answer⟩/⟨answer, answer⟩ over the wrong rows, along `axes`, in units of the tolerance."""
    weight = np.where(x.wrong & np.isfinite(x.allowed), 1 / np.maximum(x.allowed, np.finfo(float).tiny), 0.0)[..., None]
    answers, o = x.answers * weight, np.where(np.isfinite(x.o), x.o, 0.0) * weight
    below = np.sum(answers * answers, axis=axes, keepdims=True)
    return np.sum(answers * o, axis=axes, keepdims=True) / np.where(below > 0, below, 1.0)


def _factor(x: _Compared, output: Format) -> tuple[str, str] | None:
    c = _factors(x, (0, 1, 2))
    if not _fitting(x, c * x.answers) or x.wrong.sum() * x.o.shape[-1] < 2:
        return None
    factor = float(c.item())
    if factor < 0 and abs(factor + 1) < 1e-2:
        return "output.negated", f"the output has the other sign{_place(x)}"
    return "output.factor", f"the output is {_number(factor)} times the answer, to rounding{_place(x)}"


def _factor_per_head(x: _Compared, output: Format) -> tuple[str, str] | None:
    c = _factors(x, (1, 2))
    if len(x.o) < 2 or not _fitting(x, c * x.answers):
        return None
    words = ", ".join(_number(f) for f in c[x.heads].reshape(-1)[:6])
    return "output.factor_per_head", f"each head is a factor of its own times the answer, to rounding: {words}"


def _mixed(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Heads with a share of the next one's, or of the one before's: o = answer + c · neighbour."""
    answers = x.answers.reshape(*x.shape, *x.answers.shape[1:])
    for axis, n in enumerate(x.shape):
        for by in (1, -1)[: n - 1]:
            other = np.roll(answers, by, axis=axis).reshape(x.answers.shape)
            weight = np.where(np.isfinite(x.allowed), 1 / np.maximum(x.allowed, np.finfo(float).tiny), 0.0)[..., None]
            below = float(np.sum((other * weight) ** 2))
            c = float(np.sum((x.o - x.answers) * other * weight**2)) / below if below else 0.0
            if np.isfinite(c) and c and _fitting(x, x.answers + c * other):
                kind = "head" if axis == len(x.shape) - 1 else "batch entry"
                return "heads.mixed", f"every {kind} holds {c:.4g} times its neighbour's answer beside its own"
    return None


def _factor_per_token(x: _Compared, output: Format) -> tuple[str, str] | None:
    c = _factors(x, (2,))
    if x.o.shape[-1] < 4 or x.wrong.sum() < 2 or not _fitting(x, c * x.answers):
        return None
    low, high = (float(f(c[x.wrong])) for f in (np.min, np.max))
    return (
        "output.factor_per_token",
        f"every token is a factor of its own times the answer, {low:.4g} to {high:.4g}{_place(x)}: a normalisation of "
        "the output or of q differs",
    )


def _offset(x: _Compared, output: Format) -> tuple[str, str] | None:
    if x.wrong.sum() < 2:
        return None
    error = np.where(x.wrong[..., None], x.o - x.answers, 0.0)
    b = np.sum(error, axis=(0, 1)) / x.wrong.sum()
    if not _fitting(x, x.answers + b):
        return None
    return "output.offset", f"the output is the answer plus a constant of size {np.max(np.abs(b)):.3g}{_place(x)}"


def _tail_columns(x: _Compared, output: Format) -> tuple[str, str] | None:
    """Wrong in the last columns alone."""
    right = (np.abs(x.o - x.answers) <= x.allowed[..., None]).all(axis=(0, 1))
    first = int(np.argmin(right))
    if first == 0 or right[first:].any():
        return None
    what = "zero" if not x.o[..., first:].any() else "wrong"
    return "columns.tail", f"columns from {first} on are {what}, those before are right: a block was not covered"
