"""Faults in what comes back: outputs spoiled somewhere, unsteady or remembered, states handed over wrong, gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.verdicts.operands import Arrays, Run, transposed
from analysis.verdicts.places import HOW, WHEN, WHERE
from ttr_numerics.arrays import Array, namespace

__all__ = ["detached", "final_state", "gradient", "remembering", "spoiled", "unsteady"]


def spoiled(
    run: Run, where: str, how: str, when: str = "always", size: float = 0.0, at: float = 0.5, piece: int = 16
) -> Run:
    """The outputs at a place replaced, on calls for which a condition holds."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        o, state = run(a)
        if not WHEN[when](a, piece):
            return o, state
        xp = namespace(o)
        return xp.where(WHERE[where](o, at, piece), HOW[how](o, size), o), state

    return changed


def unsteady(run: Run, size: float) -> Run:
    """Outputs with a relative error that differs from call to call."""
    rng = np.random.default_rng(0)

    def changed(a: Arrays) -> tuple[Array, Any]:
        o, state = run(a)
        return o * (1 + size * float(rng.uniform(-1, 1))), state

    return changed


def remembering(run: Run, share: float) -> Run:
    """From the second call of a shape on, outputs are moved towards those of the first."""
    kept: dict[Any, Array] = {}

    def changed(a: Arrays) -> tuple[Array, Any]:
        o, state = run(a)
        key = tuple(o.shape)
        first = kept.setdefault(key, o.detach() if hasattr(o, "detach") else o)
        return (o + share * (first - o) if share else o), state

    return changed


def final_state(run: Run, how: str) -> Run:
    """The state handed over: undecayed, stale by a token, transposed, of the neighbouring head."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        o, state = run(a)
        return o, STATES[how](run, a, state)

    return changed


def _undecayed(run: Run, a: Arrays, state: Array) -> Array:
    """The last token's decay left out."""
    gate = a["log_decay"]
    last = gate[..., -1, :, None] if gate.ndim == a["q"].ndim else gate[..., -1, None, None]
    return state * namespace(gate).exp(-last) if bool(namespace(gate).all(last > -30)) else state


def _stale(run: Run, a: Arrays, state: Array) -> Array:
    axis, T = a["q"].ndim - 2, a["q"].shape[-2]
    if T < 2:
        return 0 * state

    def cut(x: Any) -> Any:
        timed = hasattr(x, "ndim") and x.ndim > axis and x.shape[axis] == T and x is not a.get("initial_state")
        return x[(slice(None),) * axis + (slice(0, T - 1),)] if timed else x

    return run({n: cut(x) for n, x in a.items()})[1]


STATES: dict[str, Callable[[Run, Arrays, Any], Any]] = {
    "kept": lambda run, a, S: S,
    "undecayed": _undecayed,
    "stale": _stale,
    "transposed": lambda run, a, S: transposed(S),
    "rolled": lambda run, a, S: namespace(S).roll(S, 1, axis=-3) if S.ndim > 2 else S,
    "zero": lambda run, a, S: 0 * S,
}


def gradient(
    run: Run, argument: str, factor: float = 1.0, power_of_d: float = 0.0, by: int = 0, entries: str = "kept"
) -> Run:
    """Right outputs, and a gradient by `argument` that is scaled, moved in time or spoiled; NumPy has none."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        x = a.get(argument)
        if x is None or not getattr(x, "requires_grad", False):
            return run(a)
        axis, size, same = a["q"].ndim - 2, factor * a["q"].shape[-1] ** power_of_d, x * 1
        same.register_hook(lambda g: HOW[entries](size * (g.roll(by, axis) if by else g), 0.0))
        return run({**a, argument: same})

    return changed


def detached(run: Run, argument: str, share: float) -> Run:
    """Part of the gradient by `argument` lost: x = (1 - share) x + share x₀, x₀ a constant."""

    def changed(a: Arrays) -> tuple[Array, Any]:
        x = a.get(argument)
        if x is None or not hasattr(x, "detach"):
            return run(a)
        return run({**a, argument: x.detach() + (1 - share) * (x - x.detach())})

    return changed
