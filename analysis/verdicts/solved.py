"""Memories that are solved at every token, and smoothers of one number a channel: plain loops.

mesa: o_t = q_t (H_t + λI)⁻¹ G_t;   kernel ridge: o_t = κ(q_t, K_t) (κ(K_t, K_t) + λI)⁻¹ V_t;   h_t = a h_{t-1} + w x
"""

from collections.abc import Callable
from typing import Any

from analysis.verdicts.recurrence import product
from analysis.verdicts.rules import GATES, Rules, stored
from ttr_numerics.arrays import Array, concat, eye, namespace, unit_roundoff, zeros

__all__ = ["conjugate_gradients", "kernel_ridge", "moments", "ridge_now", "smoother"]

Solve = Callable[[Array, Array], Array]


def moments(a: dict[str, Any], rules: Rules, solve: Solve | None = None) -> tuple[Array, Any]:
    """Decayed moments of keys, and of keys with values; `solve(A, q')` gives A⁻¹q', by the library's own if None."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    xp, T = namespace(q), q.shape[-2]
    solve = solve or xp.linalg.solve
    state = a.get("initial_state")
    d = q.shape[-1]
    H, G = (zeros(q, (*q.shape[:-2], d, n)) for n in (d, v.shape[-1])) if state is None else state
    outputs = []
    for t in range(T):
        key, value = k[..., t : t + 1, :], v[..., t : t + 1, :]
        decay = _factor(a.get("log_decay"), t, rules)
        write = key.mT if a.get("beta") is None else a["beta"][..., t, None, None] * key.mT
        lost = (rules.lost_every and t and t % rules.lost_every == 0) or (rules.lost_at and t == int(rules.lost_at * T))
        H, G = (0 * H, 0 * G) if lost else (H, G)
        before = H, G
        H, G = (stored(decay * x + write @ y, rules.state) for x, y in ((H, key), (G, value)))
        H_read, G_read = before if rules.read_moved or rules.shift < 0 else (H, G)
        A = H_read + ridge_now(a["ridge"], q, t + 1, rules)
        outputs.append(product(solve(A, q[..., t : t + 1, :].mT).mT, G_read, rules))
    return concat(outputs, -2), (H, G)


def conjugate_gradients(steps: int) -> Solve:
    """At most `steps` steps of Hestenes and Stiefel from zero, until every residual is at rounding."""

    def solve(A: Array, b: Array) -> Array:
        xp = namespace(b)
        x = xp.zeros_like(b)
        r, p = b, b
        size = xp.sum(r * r, axis=-2, keepdims=True)
        enough = unit_roundoff(b) ** 2 * size
        for _ in range(steps):
            live = size > enough
            if not bool(xp.any(live)):
                break
            Ap = A @ p
            length = _quotient(size, xp.sum(p * Ap, axis=-2, keepdims=True), live)
            x, r = x + length * p, r - length * Ap
            size, before = xp.sum(r * r, axis=-2, keepdims=True), size
            p = r + _quotient(size, before, live) * p
        return x

    return solve


def _quotient(x: Array, y: Array, live: Array) -> Array:
    """x/y where a system is not yet solved, else 0."""
    xp = namespace(x)
    live = live & (y > 0)
    return xp.where(live, x / xp.where(live, y, xp.ones_like(y)), xp.zeros_like(x))


def ridge_now(ridge: Any, q: Array, seen: int, rules: Rules) -> Array:
    """λI after `seen` tokens."""
    return (ridge * 1.0) ** rules.ridge_power * (seen if rules.ridge_per_token else 1) * eye(q, q.shape[-1])


def kernel_ridge(a: dict[str, Any], rules: Rules, chunk: int) -> tuple[Array, Any]:
    """κ = exp(x'y); every token solves its own system of all keys up to it."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    xp, outputs = namespace(q), []
    K, read = GATES[rules.gate](k @ k.mT), GATES[rules.gate](q @ k.mT)
    for t in range(1, q.shape[-2] + 1):
        n = max(1, t + min(rules.shift, 0))
        A = K[..., :n, :n] + ridge_now(a["ridge"], k[..., :n, :1] * 0 + eye(k, n), t, rules)
        outputs.append(product(read[..., t - 1 : t, :n], xp.linalg.solve(A, v[..., :n, :]), rules))
    return concat(outputs, -2), None


def smoother(a: dict[str, Any], rules: Rules, weight: Callable[[Any, Array], Array]) -> tuple[Array, Any]:
    """h_t = a_t h_{t-1} + weight(xp, log a_t) k_t v_t, o_t = q_t h_t, by channels."""
    q, k, v, gate = a["q"], a["k"], a["v"], a["log_decay"]
    xp, T = namespace(q), q.shape[-2]
    h = 0 * q[..., 0, :] if a.get("initial_state") is None else a["initial_state"]
    outputs = []
    for t in range(T):
        g = gate[..., t, :] if gate.ndim == q.ndim else gate[..., t, None]
        lost = (rules.lost_every and t and t % rules.lost_every == 0) or (rules.lost_at and t == int(rules.lost_at * T))
        skipped = rules.undecayed_every and t and t % rules.undecayed_every == 0
        factor = 1.0 if skipped else stored(GATES[rules.gate](g), rules.gates)
        after = stored(factor * (0 * h if lost else h) + weight(xp, g) * (k * v)[..., t, :], rules.state)
        outputs.append((q[..., t, :] * (h if rules.read_moved else after))[..., None, :])
        h = after
    return concat(outputs, -2), h


def _factor(gate: Any, t: int, rules: Rules) -> Any:
    if gate is None or (rules.undecayed_every and t and t % rules.undecayed_every == 0):
        return 1.0
    return stored(GATES[rules.gate](gate[..., t, None, None]), rules.gates)
