"""The sentences of a verdict: how its tolerance came about, why an output is right, where it is wrong."""

from typing import Any

import numpy as np

from ttr_numerics.arrays import LinAlgError, quiet
from ttr_numerics.precision import FORMATS, Contract
from ttr_numerics.problem import Problem
from ttr_numerics.tolerance import BIAS, FALSE_ALARM, Rounding, rounding, row_norms
from ttr_numerics.verdict.verdict import Verdict, Word

__all__ = ["basis", "distance", "justified", "partner", "places"]

_PARTNER_LIMIT = 1 << 26  # entries of all pairs of tokens that the exact partner may form
_JACOBIAN_LIMIT = 1 << 21  # entries of the derivative of all predictions by all weights, where a map has weights


def basis(bound: Rounding) -> str:
    """How the tolerance came about, in one sentence."""
    name, checks, policy = bound.contract.name, round(1 / FALSE_ALARM), bound.policy
    forms = f", {policy.words}" if policy.words else ""
    own = "the layer's own code with 4 bits fewer, scaled back," if name == "float64" else "the layer's own code"
    return (
        f"per head and token the larger of {bound.quantile:.2f} times the spread of {policy.replicas} replicas with "
        f"random {name} rounding (Student's quantile: one false alarm in {checks} checks) and {BIAS} times the error "
        f"of {own} in {name}{forms}; errors are against float64 on the same inputs"
    )


def justified(word: Word, verdict: Verdict, arithmetic: Contract) -> tuple[str, ...]:
    """Why an output within its tolerance is right, or cannot be judged."""
    heads = f"{verdict.error.size} positions"
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
        cure = "a wider dtype or a larger ridge" if verdict.layer == "mesa" else "a wider dtype"
        sentence = (
            f"right, and no more digits can be expected: rounding in {arithmetic.name} (u = {arithmetic.u:.1e}) is "
            f"amplified to {worst:.1e} of the answer at a head's median position, condition number up to "
            f"{np.max(verdict.condition):.1e}; use {cure}"
        )
    else:
        sentence = f"every one of {heads} lies within rounding: at worst {np.max(verdict.ratio):.2f} of its tolerance"
    return (sentence, *_reservations(verdict, arithmetic))


def _reservations(verdict: Verdict, arithmetic: Contract) -> tuple[str, ...]:
    """What an accepted output leaves open."""
    sentences = []
    open_positions = int(verdict.undecided.sum())
    if open_positions:
        sentences.append(
            f"nothing was decided at {open_positions} of {verdict.error.size} positions: there the tolerance is as "
            "large as the answer"
        )
    if arithmetic.precision < 24:
        sentences.append(
            f"if state and sums are float32, as in most kernels, declare it (--dtype float32): {arithmetic.name} "
            "arithmetic throughout is the widest tolerance"
        )
    return tuple(sentences)


def partner(problem: Problem, bound: Rounding) -> tuple[str, ...]:
    """The same output against the exact solver that the layer is."""
    row, q = problem.row, problem.arrays["q"]
    pairs = q.shape[-2] ** 2 * int(np.prod(q.shape[:-2])) * q.shape[-1]
    if pairs > _PARTNER_LIMIT:
        return (f"the exact partner was not computed: {pairs:.1e} pair entries; check a shorter piece",)
    try:
        with quiet():
            exact = row.partner(**problem.arrays)
            apart, allowed = distance(problem.o, exact.o), bound.bound
            if (apart > allowed).any():  # the partner, another algorithm, has rounding errors of its own
                allowed = allowed + rounding(row.partner, problem.arrays, FORMATS["float64"]).bound
    except LinAlgError as error:
        return (f"the exact partner refuses this input: {error}",)
    decided = (apart > 0) & np.isfinite(allowed)
    ratio = np.where(decided, apart, 0.0) / np.where(decided & (allowed > 0), allowed, np.finfo(float).tiny)
    agrees = "equals" if np.max(ratio) <= 1 else "does NOT equal"
    sentence = f"{agrees} its exact partner, {row.identity}: at worst {np.max(ratio):.2f} of the tolerance"
    return (sentence, *_targets(problem))


def _targets(problem: Problem) -> list[str]:
    """How well the layer's final map fits its pairs, beside each of its targets."""
    row = problem.row
    fits = [(row.target, row.fit)] if row.fit is not None else []
    fits += [(other.problem, other.fit) for other in row.other_targets]
    names = {"k", "v", *row.arrays, *row.optional} - {"initial_state"}  # a target fits these pairs alone
    given = {n: x for n, x in problem.arrays.items() if n in names}
    if not fits or not given["v"].size:
        return []
    weights = sum(given[x.name][(0,) * (given[x.name].ndim - 2)].size for x in row.takes if x.in_state)
    if given["v"].size * weights > _JACOBIAN_LIMIT:
        return [f"its target, {row.target}, was not computed: {weights} weights a head; check a shorter piece"]
    k, v = (_pairs(problem.arrays[n], problem.arrays["q"].ndim) for n in "kv")
    named = {n: x for n, x in given.items() if n not in ("k", "v")}
    with quiet():
        left = _span(_residual(v, row.memory(row.layer(**problem.arrays).state, **named)(k)))
    sentences = []
    for words, fit in fits:
        try:
            with quiet():
                least = _span(_residual(v, fit(**given)(k)))
        except (LinAlgError, ValueError) as error:  # not unique, or a loss that its solver does not take
            sentences.append(f"its target, {words}, refuses this input: {error}")
        else:
            sentences.append(
                f"its target is {words}: over the {k.shape[-2]} pairs, each counted once, the squared residual "
                f"relative to the values is {left}, for the target {least}"
            )
    return sentences


def places(verdict: Verdict, problem: Problem) -> tuple[str, ...]:
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


def _pairs(x: np.ndarray, ndim: int) -> np.ndarray:
    """Keys or values as rows (..., n, d), also where a token brings several."""
    return x.reshape(*x.shape[: ndim - 2], -1, x.shape[-1])


def _residual(v: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Σ‖v_i - m(k_i)‖² / Σ‖v_i‖² per head."""
    return np.sum((v - predicted) ** 2, axis=(-1, -2)) / np.maximum(np.sum(v * v, axis=(-1, -2)), np.finfo(float).tiny)


def distance(x: np.ndarray, y: Any) -> np.ndarray:
    """‖x_t - y_t‖₂ (..., T), inf where x is not finite."""
    finite = np.isfinite(x).all(axis=-1)
    difference = np.where(finite[..., None], x, 0.0) - y
    return np.where(finite, row_norms(difference), np.inf)
