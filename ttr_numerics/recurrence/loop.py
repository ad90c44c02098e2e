"""The time loop."""

from collections.abc import Callable
from typing import Any

from ttr_numerics.arrays import Array, as_state, concat
from ttr_numerics.axes import Output

__all__ = ["sequential"]


def sequential(
    step: Callable[..., tuple[Any, Array]], state: Any, q: Array, k: Array, v: Array, *gates: Array
) -> Output:
    """Run `step(state, q_t, k_t, v_t, *gates_t) -> (state, o_t)` over time; T steps, memory of one state.

    Every array has time at axis -2 and step sees single rows (..., 1, d); o_t is (..., 1, d_v).
    """
    outputs = []
    for t in range(q.shape[-2]):
        state, o = step(state, *(x[..., t : t + 1, :] for x in (q, k, v, *gates)))
        state = as_state(state)
        outputs.append(o)
    return Output(concat(outputs, -2) if outputs else v, state)
