"""Gradients: Σ c ∂y/∂x of a function on torch tensors against the float64 tape of the layer on the same numbers.

c is drawn, y the outputs or the final state. Each array is judged per token and head by a tolerance that includes the
backward pass (`probes.derivatives`). A function without a tape is not asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.arrays import LinAlgError, cast, namespace, untracked
from ttr_numerics.arrays.rounded_torch import operations
from ttr_numerics.pairs import Pairing
from ttr_numerics.precision import FORMATS
from ttr_numerics.probes.compared import Compared, judged
from ttr_numerics.probes.derivatives import derivatives, time_axis
from ttr_numerics.probes.probe import NotApplicable, Probe, check_domain, drawn
from ttr_numerics.probes.subject import Case, Subject
from ttr_numerics.verdict import Word

__all__ = ["GRADIENTS"]

# Layers whose derivative jumps: at a threshold, at a support's end, where a maximum changes sides.
JUMPING = (
    *("compact_kernel_attention", "entmax_attention", "entrywise_huber_delta_rule", "huber_delta_rule"),
    *("lp_delta_rule", "mlstm", "normalized_relu_attention"),
)

Arrays = dict[str, Any]
Found = tuple[Word, tuple[str, ...], float]


@dataclass(frozen=True)
class _Regime:
    """`change` makes the inputs of the layer; `part` is what is differentiated: "o" or "state".

    Fewer tokens are taken where the layer would make more than `operations` forward: replicas repeat each of them.
    """

    name: str
    claim: str
    fault: Callable[[Pairing], Callable[..., Any]]
    change: Callable[[Subject, Arrays, np.random.Generator], Arrays]
    part: str = "o"
    axes: tuple[tuple[str, int], ...] = (("T", 18), ("d_k", 8), ("d_v", 8))
    operations: int = 2000
    quick: bool = True


def _examine(regime: _Regime, subject: Subject, rng: np.random.Generator) -> Found:
    if subject.library != "torch":
        raise NotApplicable("asked of functions on torch tensors: NumPy's arrays have no tape")
    if subject.row.name in JUMPING and subject.arithmetic.u > FORMATS["float32"].u:
        said = f"the derivative of {subject.row.name} jumps, and a rounding in 16 bits may land on the other side"
        raise NotApplicable(said)
    axes = dict(regime.axes)
    axes["T"] = min(axes["T"], max(6, regime.operations // _per_token(subject, rng)))
    arrays = _with_options(subject, drawn(subject, rng, (1, 2), **axes), rng)
    case = _translated(subject, regime.change(subject, arrays, rng))
    check_domain(subject, case)
    c, theirs = _upstream(subject, case, regime.part, rng)
    if not np.isfinite(subject.answer(case).o).all():
        raise NotApplicable("its output itself is not finite here: see the probes of outputs")
    found = subject.caller.gradients(case.foreign, subject.library, subject.dtype, regime.part, theirs)
    if found.refusal:
        raise NotApplicable(found.refusal)
    try:
        expected = derivatives(subject, case, regime.part, c, int(rng.integers(2**31)))
    except LinAlgError as refusal:
        raise NotApplicable(f"{subject.row.name} itself has no gradient here: {refusal}") from refusal
    return judged([Compared(n, x, found.arrays[n], time_axis(subject, n)) for n, x in expected.items()])


def _per_token(subject: Subject, rng: np.random.Generator) -> int:
    """Operations of the layer a token."""
    cases = (_as_torch(drawn(subject, rng, T=T, d_k=2, d_v=2)) for T in (2, 4))
    few, more = (operations(partial(subject.row.layer, **x)) for x in cases)
    return max(1, (more - few) // 2)


def _as_torch(arrays: Arrays) -> Arrays:
    return {n: cast(x, "torch", "float64") if isinstance(x, np.ndarray) else x for n, x in arrays.items()}


def _with_options(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The optional arrays too that the subject takes, by its own names: gates, step sizes, an initial state."""
    row, theirs = subject.row, {ours: foreign for foreign, ours in subject.convention.names}
    sizes = {"T": arrays["q"].shape[-2], "d_k": arrays["k"].shape[-1], "d_v": arrays["v"].shape[-1]}
    carried = any(x.in_state for x in row.arguments if x.name in arrays)

    def wanted(x: Argument) -> bool:
        fits = bool(x.shapes[0]) and set(x.shapes[0]) <= set(sizes)
        return fits and not (carried and x.name == "initial_state") and subject.takes(theirs.get(x.name, x.name))

    batch = arrays["q"].shape[:2]
    return arrays | {x.name: x.draw(rng, (*batch, *x.sizes(sizes)[0])) for x in row.may_take if wanted(x)}


def _translated(subject: Subject, arrays: Arrays) -> Case:
    try:
        return subject.case(arrays)
    except ValueError as refusal:
        raise NotApplicable(f"the convention has no such input: {refusal}") from refusal


def _upstream(subject: Subject, case: Case, part: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """c in our layout and in theirs: multiples of 1/8 below 4, which every format holds."""
    y = getattr(subject.row.layer(**case.ours), part)
    if not hasattr(y, "shape"):
        raise NotApplicable(f"the final state of {subject.row.name} is no single array")
    c = np.clip(np.round(8 * rng.standard_normal(y.shape)) / 8, -4, 4)
    convention = subject.convention
    if part == "state":
        return c, convention.state.theirs(c) if c.ndim >= 4 else c
    return c, (convention.output_layout or convention.layout).theirs(c, c.ndim - 3)


def _generic(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    return arrays


def _gates(subject: Subject, arrays: Arrays) -> list[str]:
    """Names of the gates among `arrays` that change with time."""
    gates = [x.name for x in subject.row.arguments if x.domain is Domain.LOG_GATE and x.name in arrays]
    return [name for name in gates if arrays[name].ndim > 2]


def _hostile(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Gates of 0 and -50 between others, nearly parallel keys in the second head.

    On equal keys the queries of attention have no gradient at all, and nothing to be judged by.
    """
    T, changed = arrays["q"].shape[2], {}
    for name in _gates(subject, arrays):
        gate, at = arrays[name].copy(), rng.permutation(T)
        gate[:, :, at[: T // 4]], gate[:, :, at[T // 4 : T // 3]] = 0.0, -50.0
        changed[name] = gate
    k = arrays["k"].copy()
    k[:, 1:] = k[:, 1:, :1] + 0.3 * k[:, 1:]
    return arrays | changed | {"k": k}


def _resets(subject: Subject, arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Gates of -inf at the fourth and the last token but one."""
    gates = _gates(subject, arrays)
    if not gates:
        raise NotApplicable(f"{subject.row.name} has no gate here that changes with time")
    changed = {n: arrays[n].copy() for n in gates}
    for gate in changed.values():
        gate[:, :, [3, -2]] = -np.inf
    return arrays | changed


def _weighed(name: str, weight: float, row: Pairing) -> Callable[..., Any]:
    """The layer with the same outputs, and `weight` times the gradient by one array."""

    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        arrays = {"q": q, "k": k, "v": v, **named}
        x = arrays[name]
        return row.layer(**arrays | {name: x + (weight - 1) * (x - untracked(x))})

    return faulty


def _logarithm_of_gates(row: Pairing) -> Callable[..., Any]:
    """Gates taken to their exponentials and back: 0 times infinity where one is a reset."""
    gates = {x.name for x in row.arguments if x.domain is Domain.LOG_GATE}

    def faulty(q: Any, k: Any, v: Any, **named: Any) -> Any:
        xp = namespace(q)
        return row.layer(q, k, v, **{n: xp.log(xp.exp(x)) if n in gates else x for n, x in named.items()})

    return faulty


_TABLE = (
    _Regime("gradients", "gradients of outputs are those of the layer", partial(_weighed, "q", 0.5), _generic),
    _Regime(
        "state gradients",
        "gradients of the final state are those of the layer",
        partial(_weighed, "v", 0.5),
        _generic,
        "state",
    ),
    _Regime(
        "gradients at resets",
        "gradients are finite and right where a gate forgets everything",
        _logarithm_of_gates,
        _resets,
        axes=(("T", 8), ("d_k", 4), ("d_v", 4)),
    ),
    _Regime(
        "hostile gradients",
        "gradients over 67 tokens of parallel keys, gates of 1 and of e^-50 are those of the layer",
        partial(_weighed, "v", 0.5),
        _hostile,
        axes=(("T", 67), ("d_k", 8), ("d_v", 8)),
        operations=6000,
        quick=False,
    ),
)

GRADIENTS = tuple(Probe(r.name, r.claim, partial(_examine, r), r.fault, r.quick, ("gradient",)) for r in _TABLE)
