"""Layers with a state of fixed size, from their definitions: memories of matrices and of channels."""

from collections.abc import Callable
from typing import Any

from analysis.verdicts.layer import Arrays, Compute
from analysis.verdicts.recurrence import Rows, memory, product
from analysis.verdicts.rules import GATES, Rules, stored
from analysis.verdicts.solved import conjugate_gradients, moments, smoother
from ttr_numerics.arrays import Array, concat, eye, namespace, zeros

__all__ = [
    *(
        "comba",
        "delta",
        "erase_write",
        "exponentiated",
        "hgrn",
        "huber",
        "intention",
        "kaczmarz",
        "linear",
        "longhorn",
        "lp",
    ),
    *("mesa", "mesa_cg", "mini_batches", "momentum", "normalised_linear", "rg_lru", "rwkv6", "several_a_token"),
]


def _gate(a: Arrays) -> Any:
    g = a.get("log_decay")
    return g if g is None or g.ndim == a["q"].ndim else g[..., None]


def _remembering(a: Arrays, rules: Rules, chunk: int, **rows: Any) -> tuple[Array, Array]:
    given = {"q": a["q"], "k": a["k"], "v": a["v"]} | rows
    return memory(Rows(**given), a.get("initial_state"), rules, chunk)


def linear(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return _remembering(a, rules, chunk, gate=_gate(a))


def normalised_linear(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    xp = namespace(a["q"])
    ones = xp.ones_like(a["v"][..., :1])
    o, S = _remembering(a, rules, chunk, v=concat([a["v"], ones], -1))
    below = o[..., -1:] + rules.added
    o = o[..., :-1] / xp.where(below == 0, xp.ones_like(below), below) if rules.normalised else o[..., :-1]
    return o, S


def rwkv6(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return _remembering(a, rules, chunk, gate=_gate(a), bonus=a["bonus"][..., None, :], read_early=True)


def delta(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return _remembering(a, rules, chunk, gate=_gate(a), e=a["k"], beta=a["beta"][..., None])


def comba(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return _remembering(a, rules, chunk, gate=_gate(a), e=a["p"], beta=a["beta"][..., None], error_early=True)


def erase_write(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return _remembering(a, rules, chunk, gate=_gate(a), e=a["erase"] * a["k"], v=a["write"] * a["v"])


def longhorn(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    beta = a["beta"][..., None]
    step = beta / (1 + beta * namespace(beta).sum(a["k"] ** 2, axis=-1, keepdims=True))
    return _remembering(a, rules, chunk, e=a["k"], beta=step)


def kaczmarz(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    square = namespace(a["k"]).sum(a["k"] ** 2, axis=-1, keepdims=True) + a.get("eps", 0.0) + rules.added
    zero = square == 0
    step = a["step"][..., None] / (square + zero * (1 + 0 * square))
    return _remembering(a, rules, chunk, gate=_gate(a), e=a["k"], beta=step)


def several_a_token(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """n associations a token are n tokens, of which the first forgets and the last is read."""
    n, batch = a["k"].shape[-2], a["q"].shape[:-2]
    k, v, beta = (
        x.reshape(*batch, -1, *x.shape[x.ndim - tail :]) for x, tail in ((a["k"], 1), (a["v"], 1), (a["beta"], 0))
    )
    gate = _gate(a)
    still = concat([gate[..., None, :], *[namespace(gate).zeros_like(gate[..., None, :])] * (n - 1)], -2)
    still = still.reshape(*batch, -1, still.shape[-1])
    q = concat([a["q"][..., None, :]] * n, -2).reshape(*batch, -1, a["q"].shape[-1])
    o, S = _remembering(a, rules, chunk * n, q=q, k=k, v=v, gate=still, e=k, beta=beta[..., None])
    return o[..., n - 1 :: n, :], S


def momentum(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """U_t = μ U_{t-1} + β k'(v - k S_{t-1}), S_t = a S_{t-1} + U_t."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    beta = 2 * a["theta"] if "theta" in a else a["beta"]
    S, U = a.get("initial_state") or [zeros(q, (*q.shape[:-2], q.shape[-1], v.shape[-1]))] * 2
    exp, outputs = GATES[rules.gate], []
    for t in range(q.shape[-2]):
        if rules.lost_every and t and t % rules.lost_every == 0:
            S, U = 0 * S, 0 * U
        row, before = slice(t, t + 1), S
        error = stored(v[..., row, :] - k[..., row, :] @ S, rules.residual)
        mu = stored(exp(a["log_momentum"][..., t, None, None]), rules.gates)
        U = stored(mu * U + k[..., row, :].mT @ (beta[..., t, None, None] * error), rules.state)
        decay = 1.0 if a.get("log_decay") is None else stored(exp(a["log_decay"][..., t, None, None]), rules.gates)
        S = stored(decay * S + U, rules.state)
        outputs.append(product(q[..., row, :], before if rules.read_moved else S, rules))
    return concat(outputs, -2), (S, U)


def _online(influence: Callable[..., Array], link: Callable[[Any, Array], Array]) -> Compute:
    """A_t = a A_{t-1} + β k'ψ(v - k g(A_{t-1})), o_t = q g(A_t)."""

    def compute(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
        q, k, v = (stored(a[n], rules.operands) for n in "qkv")
        xp, A = namespace(q), a.get("initial_state")
        A = zeros(q, (*q.shape[:-2], q.shape[-1], v.shape[-1])) if A is None else A
        outputs = []
        for t in range(q.shape[-2]):
            A = 0 * A if rules.lost_every and t and t % rules.lost_every == 0 else A
            row = slice(t, t + 1)
            error = stored(v[..., row, :] - k[..., row, :] @ link(xp, A), rules.residual)
            step = a["beta"][..., t, None, None] * influence(xp, error, a, t)
            gate = _gate(a)
            decay = 1.0 if gate is None else GATES[rules.gate](gate[..., t, :, None])
            before, A = A, stored(decay * A + k[..., row, :].mT @ step, rules.state)
            outputs.append(product(q[..., row, :], link(xp, before if rules.read_moved else A), rules))
        return concat(outputs, -2), A

    return compute


def _shortened(xp: Any, e: Array, a: Arrays, t: int) -> Array:
    delta = a["delta"][..., t, None, None]
    norm = xp.sqrt(xp.maximum(xp.sum(e * e, axis=-1, keepdims=True), delta * delta))
    return e * (delta / norm)


def _power(xp: Any, e: Array, a: Arrays, t: int) -> Array:
    return xp.sign(e) * xp.abs(e) ** (a["p"] - 1)


def _plain(xp: Any, x: Array, *_: Any) -> Array:
    return x


def _softmaxed(xp: Any, A: Array) -> Array:
    w = xp.exp(A - xp.max(A, axis=-2, keepdims=True))
    return w / xp.sum(w, axis=-2, keepdims=True)


def mini_batches(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """Gradients of a mini-batch at the state where it began."""
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    S, outputs, n = zeros(q, (*q.shape[:-2], q.shape[-1], v.shape[-1])), [], a.get("batch", 16)
    start = S
    for t in range(q.shape[-2]):
        start = S if t % n == 0 else start
        row, before = slice(t, t + 1), S
        error = stored(v[..., row, :] - k[..., row, :] @ start, rules.residual)
        S = stored(S + k[..., row, :].mT @ (a["eta"][..., t, None, None] * error), rules.state)
        outputs.append(product(q[..., row, :], before if rules.read_moved else S, rules))
    return concat(outputs, -2), None


def mesa(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return moments(a, rules)


def mesa_cg(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    return moments(a, rules, conjugate_gradients(max(1, a.get("steps", 30) - rules.steps_left_out)))


def intention(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    q, k, v = (stored(a[n], rules.operands) for n in "qkv")
    H = k.mT @ k + (a["ridge"] * 1.0) ** rules.ridge_power * eye(q, q.shape[-1])
    return product(q, namespace(q).linalg.solve(H, k.mT @ v), rules), None


def _unit_variance(xp: Any, g: Array) -> Array:
    return xp.sqrt(-xp.expm1(2 * g))


def _complement(xp: Any, g: Array) -> Array:
    return -xp.expm1(g)


def hgrn(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """h_t = f h_{t-1} + (1 - f) k_t v_t."""
    return smoother(a, rules, _complement)


def rg_lru(a: Arrays, rules: Rules, chunk: int) -> tuple[Array, Any]:
    """h_t = a h_{t-1} + √(1 - a²) k_t v_t."""
    return smoother(a, rules, _unit_variance)


huber = _online(_shortened, _plain)
lp = _online(_power, _plain)
exponentiated = _online(_plain, _softmaxed)
