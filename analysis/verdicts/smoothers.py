"""Layers that keep every key, from their definitions: attention and its kin, mLSTM by its weights, local fits."""

from dataclasses import replace
from typing import Any

from analysis.verdicts.attention import Seen, powers, smoothed
from analysis.verdicts.layer import Arrays, Compute
from analysis.verdicts.recurrence import product
from analysis.verdicts.rules import GATES, Rules, stored
from ttr_numerics.arrays import Array, concat, eye, namespace

__all__ = ["attention", "compact", "forgetting", "hopfield", "local_linear", "mlstm", "relu"]


def _cached(a: Arrays) -> tuple[Array, Array, int]:
    """Keys and values with those of an initial state before them, and how many those are."""
    if a.get("initial_state") is None:
        return a["k"], a["v"], 0
    k, v = a["initial_state"]
    return concat([k, a["k"]], -2), concat([v, a["v"]], -2), k.shape[-2]


def attention(causal: bool = True, normalised: bool = True) -> Compute:
    def compute(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
        k, v, earlier = _cached(a)
        seen = Seen(a.get("window", 0), causal, earlier)
        rules = replace(rules, normalised=rules.normalised and normalised)
        return smoothed(a["q"], k, v, seen, rules, chunk, sink=a.get("sink")), (k, v)

    return compute


def forgetting(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """The bias Σ_{i<s≤t} log_decay_s, summed from key to query."""
    gate = a["log_decay"]
    xp = namespace(gate)
    zero = xp.zeros_like(a["q"][..., :1] @ a["q"][..., :1].mT)
    later = xp.tril(1 + zero, k=-1) > 0
    bias = xp.cumulative_sum(xp.where(later, gate[..., :, None] + zero, zero), axis=-2)
    return smoothed(a["q"], a["k"], a["v"], Seen(), rules, chunk, bias=bias), None


def hopfield(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    q, k, v = a["q"], a["k"], a["v"]
    for _ in range(a.get("steps", 1) - 1 - rules.steps_left_out):
        q = smoothed(a["beta"] * q, k, k, Seen(), rules, chunk)
    return smoothed(a["beta"] * q, k, v, Seen(), rules, chunk), None


def relu(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    z = q @ k.mT - a["threshold"]
    return powers(z, v, Seen().visible(q, k, rules), a.get("order", 1) + rules.order_off, rules), None


def compact(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    apart = q[..., :, None, :] - k[..., None, :, :]
    z = 1 - namespace(q).sum(apart * apart, axis=-1) / a["bandwidth"] ** 2
    return powers(z, v, Seen().visible(q, k, rules), a.get("order", 1) + rules.order_off, rules), None


def local_linear(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """A weighted fit of [1, k_i - q_t] per query, the constant unpenalised, read at the query."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    xp, d, outputs = namespace(q), q.shape[-1], []
    penalty = (a["ridge"] * 1.0) ** rules.ridge_power * eye(q, d + 1)
    free = concat([xp.zeros_like(penalty[:1]), penalty[1:]], 0)
    for t in range(q.shape[-2]):
        z = k[..., : t + 1, :] - q[..., t : t + 1, :]
        X = concat([xp.ones_like(z[..., :1]), z], -1)
        logits = xp.sum(q[..., t : t + 1, :] * k[..., : t + 1, :], axis=-1, keepdims=True)
        largest = xp.max(logits, axis=-2, keepdims=True)  # weights, and the ridge beside them, in units of the largest
        w = GATES[rules.gate](logits - largest)
        A = (w * X).mT @ X + free * xp.exp(xp.minimum(-largest, 80 * xp.ones_like(largest)))
        fit = xp.linalg.solve(A, (w * X).mT @ v[..., : t + 1, :])
        outputs.append(fit[..., :1, :])
    return concat(outputs, -2), None


def mlstm(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """Weights exp(log_input_i + Σ log_forget) (q·k), over max(|their sum|, 1), in units of each row's largest."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    gate, xp = a["log_forget"], namespace(q)
    zero = xp.zeros_like(q[..., :1] @ k[..., :1].mT)
    later = xp.tril(1 + zero, k=-1) > 0
    D = xp.cumulative_sum(xp.where(later, gate[..., :, None] + zero, zero), axis=-2) + a["log_input"][..., None, :]
    D = xp.where(Seen().visible(q, k, rules), D, zero - xp.inf)
    m = xp.max(D, axis=-1, keepdims=True) if rules.stabilised else 0 * D[..., :1]
    m = xp.where(xp.isfinite(m), m, 0 * q[..., :1])
    weights = xp.exp(D - m) * (q @ k.mT)
    size = xp.maximum(xp.abs(xp.sum(weights, axis=-1, keepdims=True)), xp.exp(-m))
    o = product(weights, v, rules)
    return o / size if rules.normalised else o, None
