"""Smoothers over a list of keys: the whole matrix of weights, or blocks of keys with a running maximum.

o_t = Σ_{i≤t} w_ti v_i / Σ_{i≤t} w_ti,   w = exp(q_t·k_i + bias_ti) or (q_t·k_i - threshold)_+^n
"""

from dataclasses import dataclass
from typing import Any

from analysis.verdicts.recurrence import product
from analysis.verdicts.rules import GATES, Rules, stored
from ttr_numerics.arrays import Array, namespace, positions

__all__ = ["Seen", "powers", "smoothed"]


@dataclass(frozen=True)
class Seen:
    """Which keys a query sees: the last `window` tokens up to its own (0: all); with `causal` False the future too.

    `earlier` keys of an initial state come before the first query.
    """

    window: int = 0
    causal: bool = True
    earlier: int = 0

    def visible(self, q: Array, k: Array, rules: Rules) -> Array:
        """Truth values (T, n)."""
        t = positions(q, q.shape[-2])[:, None] + self.earlier
        i = positions(q, k.shape[-2])[None, :]
        last = t + (rules.shift if self.causal else k.shape[-2])
        seen = i <= last
        if rules.leak:
            seen = seen | (i // rules.leak <= t // rules.leak)
        return seen & (i > last - self.window) if self.window else seen


def smoothed(
    q: Array, k: Array, v: Array, seen: Seen, rules: Rules, block: int, bias: Any = None, sink: Any = None
) -> Array:
    """Weights exp(q·k + bias), normalised unless the rules say otherwise; `sink` is a logit without a value."""
    xp, exp = namespace(q), GATES[rules.gate]
    q, k, v = (stored(x, rules.operands) for x in (q, k, v))
    n, visible = k.shape[-2], seen.visible(q, k, rules)
    lowest = 0.0 if not rules.stabilised else -xp.inf if sink is None else sink
    m = xp.zeros_like(q[..., :1]) + lowest
    total, o = xp.zeros_like(m), xp.zeros_like(q[..., :1] * v[..., :1, :])
    for start in range(0, n, block or n):
        piece = slice(start, min(start + (block or n), n))
        z = q @ k[..., piece, :].mT
        z = z if bias is None else z + bias[..., piece]
        z = xp.where(visible[:, piece], z, -xp.inf * xp.ones_like(z))
        new = xp.maximum(m, xp.max(z, axis=-1, keepdims=True)) if rules.stabilised else m
        unit = xp.where(xp.isfinite(new), new, xp.zeros_like(new))
        weights, old = stored(exp(z - unit), rules.gates), xp.exp(m - unit)
        o = stored(old * o + product(weights, v[..., piece, :], rules), rules.accumulator)
        total, m = old * total + xp.sum(weights, axis=-1, keepdims=True), new
    unit = xp.where(xp.isfinite(m), m, xp.zeros_like(m))
    if not rules.normalised:
        return xp.exp(unit) * o
    total = total + rules.added + (0.0 if sink is None else xp.exp(sink - unit))
    return o / xp.where(total == 0, xp.ones_like(total), total)


def powers(z: Array, v: Array, seen: Array, n: int, rules: Rules) -> Array:
    """Weights z_+^n of the visible entries of z (..., T, n)."""
    xp = namespace(z)
    weights = stored(xp.where(seen, xp.maximum(z, xp.zeros_like(z)), xp.zeros_like(z)) ** n, rules.gates)
    total = xp.sum(weights, axis=-1, keepdims=True) + rules.added
    o = product(weights, v, rules)
    return o / total if rules.normalised else o
