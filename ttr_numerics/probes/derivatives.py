"""How far rounding alone may move a gradient, per token and head: `tolerance.rounding`, with a backward pass.

The layer's own code and its tape run R times in float64 with random rounding errors of the declared format in every
operation, forward and backward (`arrays.rounded_torch`), and once in that format itself; so do its other forms, which
sum in other orders. For each array the bound is that of `ttr_numerics.tolerance`,

    max( t_R(1 - α/2N) · √(Σ‖e_r‖²/R),  3 ‖e_reference‖ ) + u‖g‖ + underflow,

N positions of all arrays judged together; u‖g‖ is the rounding of the result. It is no less than is typical of the
head, or than its largest where the gradient itself is smaller than that. A precision contract is honoured but for a
state or a residual in fewer bits than the rest: a backward pass has no marks for them, and the coarsest format of such
a contract stands for all.

Gates have two errors more, those of public chunked forms: decays over several tokens are exponentials of differences of
running sums, and gradients by gates are running sums of what queries and keys contribute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.arguments import Domain
from ttr_numerics.arrays import LinAlgError, cast, namespace, quiet, to_numpy
from ttr_numerics.arrays.rounded import Rounding, Shortened
from ttr_numerics.arrays.rounded_torch import rounded_operations
from ttr_numerics.arrays.tape import leaf, vector_jacobian
from ttr_numerics.convention import Layout
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS, MAGNIFIED_BITS, Contract, Format, throughout
from ttr_numerics.probes.failure import timed
from ttr_numerics.probes.pullback import pulled_back
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.tolerance import BIAS, REPLICAS, quantile, row_norms

__all__ = ["Derivative", "derivatives", "norms", "time_axis"]

Gradients = dict[str, np.ndarray]


@dataclass(frozen=True)
class Derivative:
    """The float64 gradient by one foreign array, and the tolerance on the norms of its rows (`norms`)."""

    reference: np.ndarray
    bound: np.ndarray


def derivatives(subject: Subject, case: Case, part: str, upstream: np.ndarray, seed: int) -> dict[str, Derivative]:
    """d<c, y>/dx for every foreign array x; y are the outputs (`part` "o") or the final state, c is `upstream`.

    c is in our layout, gradients in that of the foreign arrays.
    Raises LinAlgError where the layer itself has no gradient here.
    """
    arithmetic = _contract(subject)
    forms = (subject.row.layer, *subject.row.forms)
    rows = {n: _is_rows(subject, n, x) for n, x in case.foreign.items()}

    def tape(form: Callable, case: Case, dtype: str = "float64") -> dict[str, Any]:
        with quiet():
            return _tape(form, case, part, upstream, dtype)

    runs = [partial(tape, form) for form in forms]
    exact = runs[0](case)
    reference = _pulled(subject, case, exact, "float64")
    spread = [_spread(subject, form, case, arithmetic, exact, reference, rows, seed) for form in runs]
    shadow = [_shadow(subject, form, case, arithmetic, reference, rows) for form in runs]
    factor = quantile(sum(x.size for x in spread[0].values()))
    # float64 replicas are judged against a float64 reference that has errors of the same spread.
    own = np.sqrt(1 + (FORMATS["float64"].u / arithmetic.u) ** 2)
    underflow = arithmetic.floor * (1 + sum(float(np.sum(np.abs(x[np.isfinite(x)]))) for x in _arrays(case.ours)))
    bounds = {}
    for n, g in reference.items():
        widest = np.maximum.reduce([own * factor * s[n] for s in spread] + [BIAS * s[n] for s in shadow])
        bound = widest + arithmetic.u * norms(g, rows[n]) + underflow
        bound = np.where(np.isnan(bound), np.inf, bound)
        bounds[n] = Derivative(g, np.maximum(bound, _of_the_head(bound, norms(g, rows[n]), time_axis(subject, n))))
    return bounds


def time_axis(subject: Subject, name: str) -> int | None:
    """The axis of tokens of a foreign array (B, ·, ·, ...), None if it has none."""
    ours = dict(subject.convention.names).get(name, name)
    at = 2 if subject.convention.layout is Layout.HEADS_FIRST else 1
    return at if ours in timed(subject.row) else None


def _of_the_head(bound: np.ndarray, size: np.ndarray, time: int | None) -> np.ndarray:
    """The median tolerance of a head's tokens; the largest for those whose gradient is smaller than that.

    What cancels exactly in one form does not in another: the first query of attention has one key and no gradient.
    """
    if time is None:
        return bound
    typical, largest = (f(bound, axis=time, keepdims=True) for f in (np.median, np.max))
    return np.where(np.nan_to_num(size) < largest, largest, typical)


def norms(x: np.ndarray, rows: bool) -> np.ndarray:
    """‖x_t‖₂ of every row, or |x_t| where the last axis is no row."""
    return row_norms(x) if rows else np.abs(x)


def _contract(subject: Subject) -> Contract:
    declared = subject.arithmetic
    contract = throughout(declared) if isinstance(declared, Format) else declared
    return contract if contract.finest == contract.state == contract.residual else throughout(contract.coarsest)


def _arrays(arrays: Mapping[str, Any]) -> list[np.ndarray]:
    return [x for x in arrays.values() if isinstance(x, np.ndarray)]


def _is_rows(subject: Subject, name: str, x: Any) -> bool:
    """Whether the last axis of a foreign array is one of channels."""
    ours = dict(subject.convention.names).get(name, name)
    shapes = [a.shapes for a in (subject.row.queries, *subject.row.arguments) if a.name == ours]
    fitting = [s for s in (shapes[0] if shapes else ()) if s and len(s) + 2 == np.ndim(x)]
    return bool(fitting) and fitting[0][-1].startswith("d_")


def _tape(form: Callable, case: Case, part: str, c: np.ndarray, dtype: str) -> dict[str, Any]:
    """By every array of ours, as tensors; a replica axis in front of an array stays in front of its gradient."""
    leaves = {n: leaf(cast(x, "torch", dtype)) for n, x in case.ours.items() if isinstance(x, np.ndarray)}
    y = getattr(form(**{**case.ours, **leaves}), "o" if part == "o" else "state")
    found = vector_jacobian([y], [cast(np.broadcast_to(c, tuple(y.shape)), "torch", dtype)], list(leaves.values()))
    return {n: 0 * x.detach() if g is None else g for (n, x), g in zip(leaves.items(), found, strict=True)}


def _pulled(subject: Subject, case: Case, ours: Mapping[str, Any], dtype: str) -> Gradients:
    foreign = {n: cast(x, "torch", dtype) for n, x in case.foreign.items() if isinstance(x, np.ndarray)}
    pulled = pulled_back(subject.convention, subject.row, foreign, ours)
    return {n: np.asarray(to_numpy(g), dtype=np.float64) for n, g in pulled.items()}


def _running_sums(row: Pairing, arrays: Mapping[str, Any], g: Mapping[str, Any]) -> dict[str, Any]:
    """Σ_{s≥t} (q_s·q̄_s - k_s·k̄_s) for every gate: the terms that a chunked backward pass sums to its gradient.

    A layer in which a gate multiplies what q reads and k wrote has this for its gradient; where the true one is small,
    as at a gate of e^-50, the error is that of the sum.
    """
    sums = {}
    for name in {x.name for x in row.arguments if x.domain is Domain.LOG_GATE} & set(g):
        gate, xp = g[name], namespace(g[name])
        terms = [arrays[n] * g[n] for n in ("q", "k") if g[n].ndim >= gate.ndim]
        if gate.ndim < g["q"].ndim:
            terms = [xp.sum(xp.reshape(x, (*gate.shape, -1)), axis=-1) for x in terms]
        if all(x.shape == gate.shape for x in terms) and terms:
            axis = g["q"].ndim - 2
            sign = terms[0] - terms[-1] if len(terms) > 1 else terms[0]
            sums[name] = xp.flip(xp.cumulative_sum(xp.flip(sign, axis=axis), axis=axis), axis=axis)
    return sums


def _spread(
    subject: Subject,
    run: Callable[..., dict[str, Any]],
    case: Case,
    arithmetic: Contract,
    exact: Mapping[str, Any],
    reference: Gradients,
    rows: Mapping[str, bool],
    seed: int,
) -> Gradients:
    """√(Σ‖e_r‖²/R) of every row over stochastic replicas, gradients by gates with the error of a running sum too."""
    noise = arithmetic.replicas(np.random.default_rng(seed))
    ours = _replicated(subject.row, case.ours, noise, arithmetic)
    sums = _running_sums(subject.row, _tensors(case.ours), exact)
    try:
        with rounded_operations(noise):
            g = run(Case(ours, case.foreign))
            found = _running_sums(subject.row, _tensors(ours), g)
            g |= {n: g[n] + (found[n] - x) for n, x in sums.items() if _finite(x)}
            replicas = [
                _pulled(subject, case, {n: x[r, ...] for n, x in g.items()}, "float64") for r in range(REPLICAS)
            ]
    except LinAlgError:  # in this arithmetic a matrix is no longer definite: nothing is decided
        return {n: np.full(norms(g, rows[n]).shape, np.inf) for n, g in reference.items()}
    with quiet():
        errors = {n: norms(np.stack([x[n] for x in replicas]) - g, rows[n]) for n, g in reference.items()}
        spread = {n: np.sqrt(np.mean(e * e, axis=0)) / arithmetic.magnified for n, e in errors.items()}
    return {n: np.where(np.isfinite(s), s, np.inf) for n, s in spread.items()}


def _replicated(row: Pairing, arrays: Mapping[str, Any], noise: Rounding, arithmetic: Contract) -> dict[str, Any]:
    """The inputs R times, with an error where the format does not hold them, gates with that of their running sums.

    A decay over several tokens is the exponential of a difference of two sums, each rounded as it is accumulated.
    """
    gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE}
    axis, result = arrays["q"].ndim - 1, dict(arrays)
    for name, x in arrays.items():
        if isinstance(x, np.ndarray):
            inexact = not np.array_equal(arithmetic.finest.nearest(x), x)
            x = np.array(np.broadcast_to(x, (REPLICAS, *x.shape)))
            result[name] = noise.store(x) if inexact else x
            if name in gates and x.ndim > axis and np.isfinite(x).all():
                total = np.cumsum(x, axis=axis)
                result[name] = result[name] + np.diff(
                    noise.factor(total, np.abs(total)) - total, axis=axis, prepend=0.0
                )
    return result


def _tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {n: cast(arrays[n], "torch", "float64") for n in ("q", "k")}


def _finite(x: Any) -> bool:
    return bool(np.isfinite(to_numpy(x)).all())


def _shadow(
    subject: Subject,
    run: Callable[..., dict[str, Any]],
    case: Case,
    arithmetic: Contract,
    reference: Gradients,
    rows: Mapping[str, bool],
) -> Gradients:
    """‖e‖ of every row of the gradient in the format itself: torch's own, or each operation rounded to nearest."""
    try:
        if arithmetic == throughout(FORMATS["float32"]):
            found = _pulled(subject, case, run(case, "float32"), "float32")
        else:
            with rounded_operations(_nearest(arithmetic)):
                found = _pulled(subject, case, run(case), "float64")
    except LinAlgError:
        return {n: np.full(norms(g, rows[n]).shape, np.inf) for n, g in reference.items()}  # decides nothing
    with quiet():
        errors = {n: norms(found[n] - g, rows[n]) / arithmetic.magnified for n, g in reference.items()}
    return {n: np.nan_to_num(e, nan=np.inf, posinf=np.inf) for n, e in errors.items()}


def _nearest(arithmetic: Contract) -> Rounding:
    return Shortened(MAGNIFIED_BITS) if arithmetic.magnified > 1 else arithmetic.nearest()
