"""Matrix memories by a plain loop over tokens and by chunks of tokens: the corpus' own code, of no layer's.

    S̄ = a_t S_{t-1},   S_t = S̄ + k_t' (beta_t v_t - beta_t e_t S̄),   o_t = q_t S_t

The rows `e` erase, None where nothing is read back; `bonus` is what the token itself counts before it is written.
"""

from dataclasses import dataclass, replace
from typing import Any

from analysis.verdicts.rules import GATES, Rules, stored
from ttr_numerics.arrays import Array, concat, eye, namespace, positions, zeros

__all__ = ["Rows", "by_chunk", "by_token", "memory", "product"]


@dataclass(frozen=True)
class Rows:
    """q, k, e (..., T, d_k), v (..., T, d_v), beta (..., T, 1), gate (..., T, 1 or d_k), bonus (..., 1, d_k).

    `error_early`: the error is taken on S_{t-1} before it decays; `read_early`: o_t reads S_{t-1}.
    """

    q: Array
    k: Array
    v: Array
    gate: Array | None = None
    e: Array | None = None
    beta: Array | None = None
    bonus: Array | None = None
    error_early: bool = False
    read_early: bool = False


_FACTORS = ("itself", "first order")


def memory(rows: Rows, S: Any, rules: Rules, chunk: int) -> tuple[Array, Array]:
    """Outputs and final state, token by token for `chunk` 0, under the rules."""
    operands = {n: stored(getattr(rows, n), rules.operands) for n in ("q", "k", "v")}
    rows = replace(
        rows,
        **operands,
        error_early=rows.error_early != rules.error_moved,
        read_early=rows.read_early != (rules.read_moved or rules.shift < 0),
    )
    S = zeros(rows.q, (*rows.q.shape[:-2], rows.q.shape[-1], rows.v.shape[-1])) if S is None else S
    if rules.gate in _FACTORS:  # a product of such factors is no such factor of a sum
        return by_token(rows, S, rules)
    chunk = rules.leak or (chunk and (rules.lost_every or rules.undecayed_every or chunk))
    return by_chunk(rows, S, rules, chunk) if chunk else by_token(rows, S, rules)


def by_token(rows: Rows, S: Array, rules: Rules) -> tuple[Array, Array]:
    """One token after the other."""
    T, outputs, xp = rows.q.shape[-2], [], namespace(rows.q)
    for t in range(T):
        q, k, v = (x[..., t : t + 1, :] for x in (rows.q, rows.k, rows.v))
        S = 0 * S if _lost(t, T, rules, 1) else S
        before, S = S, _decay(rows, t, rules) * S
        write = v if rows.beta is None else rows.beta[..., t : t + 1, :] ** rules.write_power * v
        if rows.e is not None:
            seen = rows.e[..., t : t + 1, :] @ (before if rows.error_early else S)
            write = _residual(write, seen, _power(rows, t, rules), v, rules)
        after = stored(S + k.mT @ write, rules.state)
        o = product(q, before if rows.read_early else after, rules)
        outputs.append(o if rows.bonus is None else o + xp.sum(q * rows.bonus * k, axis=-1, keepdims=True) * v)
        S = after
    return concat(outputs, -2), S


def by_chunk(rows: Rows, S: Array, rules: Rules, chunk: int) -> tuple[Array, Array]:
    """Chunks of tokens at once: corrections of a chunk from one triangular system, gates summed from key to query."""
    T, outputs = rows.q.shape[-2], []
    for start in range(0, T, chunk):
        piece = slice(start, min(start + chunk, T))
        S = 0 * S if _lost(start, T, rules, chunk) else S
        o, S = _chunk(rows, piece, S, rules)
        S = stored(S, rules.state)
        outputs.append(o)
    return concat(outputs, -2), S


def _chunk(rows: Rows, piece: slice, S: Array, rules: Rules) -> tuple[Array, Array]:
    xp = namespace(rows.q)
    q, k, v = (x[..., piece, :] for x in (rows.q, rows.k, rows.v))
    n = q.shape[-2]
    gate = xp.zeros_like(q[..., :1]) if rows.gate is None else rows.gate[..., piece, :]
    if rules.undecayed_every and piece.start and piece.start % rules.undecayed_every == 0:
        gate = concat([xp.zeros_like(gate[..., :1, :]), gate[..., 1:, :]], -2)
    exp, at = GATES[rules.gate], positions(q, n)
    D, first = (stored(exp(x), rules.gates) for x in (_between(gate), xp.cumulative_sum(gate, axis=-2)))
    # One token earlier: what has decayed up to t - 1.
    late = concat([xp.ones_like(first[..., :1, :]), first[..., :-1, :]], -2)
    D_late = concat([xp.ones_like(D[..., :1, :, :]), D[..., :-1, :, :]], -3)
    below = at[:, None] > at
    write = v if rows.beta is None else rows.beta[..., piece, :] ** rules.write_power * v
    if rows.e is not None:
        e, power = rows.e[..., piece, :], 1.0 if rows.beta is None else rows.beta[..., piece, :] ** rules.erase_power
        since, of_state = (D_late, late) if rows.error_early else (D, first)
        A = xp.where(below, power * _weighted(e, k, since), xp.zeros_like(D[..., 0]))
        write = _solved(A, stored(write - power * ((of_state * e) @ S), rules.residual))
    seen, of_state, below = (D_late, late, below) if rows.read_early else (D, first, at[:, None] >= at)
    below = (below | (below == below)) if rules.leak else below
    inner = xp.where(below, _weighted(q, k, seen), xp.zeros_like(D[..., 0]))
    o = product(of_state * q, S, rules) + product(inner, write, rules)
    if rows.bonus is not None:
        o = o + xp.sum(q * rows.bonus * k, axis=-1, keepdims=True) * v
    return o, first[..., -1, :, None] * S + (D[..., -1, :, :] * k).mT @ write


def product(x: Array, y: Array, rules: Rules) -> Array:
    """x @ y, its partial sums over blocks of the shared axis stored in the accumulator's format."""
    if not rules.accumulator:
        return x @ y
    total = namespace(x).zeros_like(x[..., :1] @ y[..., :1, :])
    for i in range(0, x.shape[-1], rules.block):
        total = stored(total + x[..., i : i + rules.block] @ y[..., i : i + rules.block, :], rules.accumulator)
    return total


def _residual(write: Array, seen: Array, power: Any, v: Array, rules: Rules) -> Array:
    seen = seen.detach() if rules.residual_detached and hasattr(seen, "detach") else seen
    if rules.erase_power == rules.write_power:  # one subtraction, as a kernel does it: its rounding is what counts
        return power * stored(v - stored(seen, rules.residual), rules.residual)
    return stored(write - power * seen, rules.residual)


def _power(rows: Rows, t: int, rules: Rules) -> Any:
    return 1.0 if rows.beta is None else rows.beta[..., t : t + 1, :] ** rules.erase_power


def _decay(rows: Rows, t: int, rules: Rules) -> Any:
    if rows.gate is None or (rules.undecayed_every and t and t % rules.undecayed_every == 0):
        return 1.0
    return stored(GATES[rules.gate](rows.gate[..., t, :, None]), rules.gates)


def _lost(t: int, T: int, rules: Rules, unit: int) -> bool:
    """Whether token t, the first of a piece of `unit` tokens, finds no state."""
    if rules.lost_at and t == unit * max(1, int(rules.lost_at * T / unit)):
        return True
    return bool(rules.lost_every) and t > 0 and t % rules.lost_every == 0


def _between(gate: Array) -> Array:
    """Σ_{j<s≤i} gate_s (..., n, n, channels), 0 for i ≤ j: never a difference of two sums."""
    xp, at = namespace(gate), positions(gate, gate.shape[-2])
    rows = gate[..., :, None, :] + xp.zeros_like(gate[..., None, :, :])
    return xp.cumulative_sum(xp.where((at[:, None] > at)[..., None], rows, xp.zeros_like(rows)), axis=-3)


def _weighted(x: Array, k: Array, D: Array) -> Array:
    """Σ_c x_ic D_ijc k_jc (..., n, n)."""
    if D.shape[-1] == 1:
        return (x @ k.mT) * D[..., 0]
    return namespace(x).sum(x[..., :, None, :] * D * k[..., None, :, :], axis=-1)


def _solved(A: Array, b: Array) -> Array:
    """(I + A)⁻¹ b for A strictly lower triangular."""
    return namespace(A).linalg.solve(eye(A, A.shape[-1]) + A, b)
