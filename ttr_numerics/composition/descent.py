"""One gradient step a token on the whole weighted loss J_t, instead of on the newest association alone.

    U_t = exp(log_momentum_t) U_{t-1} - ∇J_t(θ_{t-1});   θ_t = exp(log_decay_t) θ_{t-1} + β_t U_t

with -∇J_t(θ) = Σ_i γ_i^(t) (∂m_θ(k_i)/∂θ)' (v_i - m_θ(k_i)) over what is remembered: of a window, its tokens.
"""

from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, namespace
from ttr_numerics.axes import Output, check_sequence, per_token
from ttr_numerics.choices import WindowedGradient
from ttr_numerics.composition.models import Model
from ttr_numerics.composition.weighting import Given
from ttr_numerics.exact import WeightedCache
from ttr_numerics.recurrence import sequential

__all__ = ["Descent", "arrays_of_descent", "descent"]


class Descent(NamedTuple):
    """Parameters, their velocity, and the associations remembered with their log weights."""

    parameters: Any
    velocity: Any
    memory: WeightedCache


def arrays_of_descent(optimiser: WindowedGradient) -> tuple[str, ...]:
    """Names of the arrays that the optimiser takes."""
    return ("beta", "log_decay", *(() if optimiser.momentum is None else ("log_momentum",)))


def descent(optimiser: WindowedGradient, model: Model, given: Given) -> Output:
    """The steps over q, k (..., T, d_k) and v (..., T, d_v)."""
    weighting, q, k, v = given.weighting, given.q, given.k, given.v
    check_sequence(q, k, v)
    gates = [per_token(name, given.arrays[name], q) for name in arrays_of_descent(optimiser)]

    def step(
        state: Descent,
        q: Array,
        k: Array,
        v: Array,
        age: Array,
        weight: Array,
        beta: Array,
        leak: Array,
        *inertia: Array,
    ) -> tuple[Descent, Array]:
        xp, (theta, velocity, memory) = namespace(q), state
        memory = weighting.remembered(memory, k, v, age, weight, given.arrays)
        x, gamma = model.rows(memory.k), xp.exp(weighting.logs(q, memory))[..., None]
        velocity_now = model.pullback(theta, x, gamma * (memory.v - model.value(theta, x)))
        for log_momentum in inertia:
            velocity_now = model.plus(model.scaled(xp.exp(log_momentum), velocity), velocity_now)
        theta = model.plus(model.scaled(xp.exp(leak), theta), model.scaled(beta, velocity_now))
        return Descent(theta, velocity_now, memory), model.read(theta, model.rows(q))

    rows = model.rows(q)
    start = Descent(model.start(rows, v, None), model.still(rows, v, None), weighting.nothing(k, v))
    return sequential(step, given.initial_state or start, q, k, v, *weighting.gates(q, given.arrays), *gates)
