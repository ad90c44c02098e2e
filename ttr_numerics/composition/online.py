"""Optimisers of one pass at work: θ_t from θ_{t-1} and the associations of token t, whatever the class and the rule.

    θ̄ = exp(log_decay_t) θ_{t-1};   U_t = exp(log_momentum_t) U_{t-1} + size · (∂m(k_t)/∂θ)' ψ(m(k_t), v_t)
    θ_t = θ̄ + U_t

with the derivative and the error at θ̄, at θ_{t-1} (leak after the error), or where the mini-batch began.
"""

from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.choices import Leak
from ttr_numerics.composition.models import Model
from ttr_numerics.composition.rules import Rule
from ttr_numerics.composition.weighting import Given
from ttr_numerics.recurrence import sequential

__all__ = ["Learner", "arrays_of", "one_pass"]


class Learner(NamedTuple):
    """Parameters now, their velocity, those at the start of the mini-batch, and how many of its tokens were seen."""

    parameters: Any
    velocity: Any
    start: Any
    seen: int


def arrays_of(rule: Rule) -> tuple[str, ...]:
    """Names of the arrays that the rule takes."""
    leak = () if rule.leak is Leak.NONE else ("log_decay",)
    return (*rule.arrays, *leak, *(() if rule.momentum is None else ("log_momentum",)))


def one_pass(rule: Rule, model: Model, given: Given) -> Output:
    """One pass over q, k (..., T, d_k) and v (..., T, d_v); of several a token k (..., T, n, d_k), v (..., T, n, d_v).

    The state is the parameters where the rule needs nothing else, else a `Learner`.
    """
    q, d_k, d_v = given.q, given.k.shape[-1], given.v.shape[-1]
    k, v, sizes = _side_by_side(rule, q, given.k, given.v, given.arrays[rule.arrays[0]])
    numbers, named = _rows(rule, model, given)

    def step(state: Any, q: Array, k: Array, v: Array, sizes: Array, *tokens: Array) -> tuple[Any, Array]:
        rows, before = numbers | dict(zip(named, tokens, strict=True)), _opened(rule, state)
        theta = model.scaled(namespace(q).exp(rows["log_decay"]), before.parameters)
        at, velocity = _point(rule, before, theta), before.velocity
        for j in range(sizes.shape[-1]):
            x, y = model.rows(k[..., j * d_k : (j + 1) * d_k]), v[..., j * d_v : (j + 1) * d_v]
            size = rule.size(model, x, rows | {rule.arrays[0]: sizes[..., j : j + 1]})
            direction = model.pullback(at, x, size * rule.influence(model.value(at, x), y, rows))
            if rule.momentum is not None:
                inertia = namespace(q).exp(rows["log_momentum"])
                direction = velocity = model.plus(model.scaled(inertia, velocity), direction)
            theta = model.plus(theta, direction)
            at = theta if rule.batch == 1 else at
        return _closed(rule, before, theta, velocity), model.read(theta, model.rows(q))

    initial = _initial(rule, model, model.rows(q), v[..., :d_v], given.initial_state)
    o, state = sequential(step, initial, q, k, v, sizes, *named.values())
    return Output(o[..., :d_v], state)


def _side_by_side(rule: Rule, q: Array, k: Array, v: Array, sizes: Array) -> tuple[Array, Array, Array]:
    """k (..., T, n d_k), v (..., T, n d_v) and step sizes (..., T, n) of the n associations of a token."""
    name = rule.arrays[0]
    if rule.steps == 1:
        check_sequence(q, k, v)
        return k, v, per_token(name, sizes, q)
    n = k.shape[-2]
    if k.ndim != q.ndim + 1 or n != (rule.steps or n):
        expected = (*q.shape[:-1], rule.steps or "n", q.shape[-1])
        raise ValueError(f"k: expected shape ({', '.join(map(str, expected))}), got {tuple(k.shape)}")
    check_sequence(q, k[..., 0, :], v[..., 0, :])
    for other, x, shape in (("v", v, v.shape[:-1]), (name, sizes, sizes.shape)):
        if tuple(shape) != tuple(k.shape[:-1]) or x.dtype != q.dtype:
            raise ValueError(f"{other}: expected {n} a token as k, of dtype {q.dtype}, got {tuple(x.shape)}, {x.dtype}")
    flat = [namespace(x).reshape(x, (*x.shape[:-2], n * x.shape[-1])) for x in (k, v)]
    return flat[0], flat[1], sizes


def _rows(rule: Rule, model: Model, given: Given) -> tuple[dict[str, Any], dict[str, Array]]:
    """Numbers by name, and arrays (..., T, 1 or d) by name: what the rule asks for, gate and sample weight included."""
    q, arrays = given.q, given.arrays
    gate = namespace(q).zeros_like(q[..., :1])
    if rule.leak is not Leak.NONE:
        gate = per_token("log_decay", arrays["log_decay"], model.rows(q), channels=model.channels)
    tokens = {"log_decay": gate, "weight": given.weighting.gates(q, arrays)[1]}
    numbers = {name: arrays[name] for name in rule.arrays[1:] if not getattr(arrays[name], "ndim", 0)}
    inertia = () if rule.momentum is None else ("log_momentum",)
    for name in (*rule.arrays[1:], *inertia):
        if name not in numbers:
            tokens[name] = per_token(name, arrays[name], q)
    return numbers, tokens


def _initial(rule: Rule, model: Model, q: Array, v: Array, given: Any) -> Any:
    """The state before the first token."""
    if rule.momentum is None and rule.batch == 1:
        return model.start(q, v, given)
    now, velocity, start, seen = (None, None, None, 0) if given is None else given
    parameters = model.start(q, v, now)
    return Learner(parameters, model.still(q, v, velocity), parameters if start is None else start, seen)


def _opened(rule: Rule, state: Any) -> Learner:
    return state if isinstance(state, Learner) else Learner(state, None, None, 0)


def _point(rule: Rule, before: Learner, faded: Any) -> Any:
    """Where error and derivative are taken."""
    if rule.batch > 1:
        return before.start
    return before.parameters if rule.leak is Leak.AFTER_ERROR else faded


def _closed(rule: Rule, before: Learner, theta: Any, velocity: Any) -> Any:
    """The state after a token: a mini-batch that is full ends there."""
    if rule.momentum is None and rule.batch == 1:
        return theta
    seen = (before.seen + 1) % rule.batch
    return Learner(theta, velocity, before.start if seen else theta, seen)
