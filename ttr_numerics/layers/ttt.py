"""Test-time training of a linear memory: mini-batch LMS, gradients of a mini-batch at the state where it began.

    S_t = S_{t-1} + k_t' η_t r(k_t S_b, v_t),   b the last token before t's mini-batch;   o_t = q_t S_t

with r the negative gradient of the loss by its prediction. Writes count at once, for the outputs of their own
mini-batch too; only the point at which gradients are taken waits for the border.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ttr_numerics.arrays import Array, as_residual, as_state, namespace, positions
from ttr_numerics.axes import Output, check_sequence, initial_matrix, initial_parts, per_head, per_token
from ttr_numerics.recurrence import sequential

__all__ = ["MiniBatch", "layer_norm_ttt_linear", "ttt_linear"]


class MiniBatch(NamedTuple):
    """The memory (..., d_k, d_v) where the current mini-batch began and now, and how many of its tokens were seen."""

    start: Array
    now: Array
    count: Array


def ttt_linear(
    q: Array, k: Array, v: Array, *, eta: Array, batch: int = 16, initial_state: MiniBatch | None = None
) -> Output:
    """S_t = S_{t-1} + k_t' η_t (v_t - k_t S_b), b the last token before t's mini-batch of `batch`, o_t = q_t S_t.

    eta (..., T). `batch` 1 is the delta rule; gradients of a mini-batch add up, so a step is stable where
    η K'K of a mini-batch has no eigenvalue above 2. A residual target v - k and a bias (1 appended to q and k) are
    the caller's. Some code takes the η of the token that reads, and of the last token for the state: equal to this
    where η is constant in a mini-batch. Reference: Sun et al. (TTT), arXiv 2407.04620, section 2.5, loss ½‖·‖².
    """
    return _mini_batches(_error, q, k, v, eta, batch, initial_state)


def layer_norm_ttt_linear(
    q: Array,
    k: Array,
    v: Array,
    *,
    eta: Array,
    gain: Array,
    shift: Array,
    epsilon: float = 1e-6,
    batch: int = 16,
    initial_state: MiniBatch | None = None,
) -> Output:
    """`ttt_linear` on the loss ½‖v_t - LN(k_t S_b)‖², LN(z) = gain (z - z̄)/√(var z + ε) + shift; o_t = q_t S_t.

    gain, shift (..., d_v); the gradient passes through LN, the output does not: the caller applies LN, and a residual.
    Reference: Sun et al. (TTT-Linear), arXiv 2407.04620, section 2.7.
    """
    check_sequence(q, k, v)
    gain, shift = per_head("gain", gain, v), per_head("shift", shift, v)
    return _mini_batches(lambda z, v: _pulled_back(z, v, gain, shift, epsilon), q, k, v, eta, batch, initial_state)


def _mini_batches(
    correction: Callable[[Array, Array], Array],
    q: Array,
    k: Array,
    v: Array,
    eta: Array,
    batch: int,
    initial: MiniBatch | None,
) -> Output:
    """The recursion of the module with r = `correction(prediction, v)`."""
    check_sequence(q, k, v)

    def step(state: MiniBatch, q: Array, k: Array, v: Array, eta: Array) -> tuple[MiniBatch, Array]:
        write = namespace(k).matrix_transpose(k) @ (eta * as_residual(correction(k @ state.start, v)))
        now = state.now + write
        return advanced(state, now, batch, q), q @ as_state(now)

    return sequential(step, initial_mini_batch(initial, batch, q, v), q, k, v, per_token("eta", eta, q))


def advanced(state: MiniBatch, now: Array, batch: int, like: Array, tokens: int = 1) -> MiniBatch:
    """The state after more tokens of its mini-batch: at the end of that the next begins from `now`."""
    seen = (int(state.count) + tokens) % batch
    return MiniBatch(state.start if seen else now, now, counted(like, seen))


def counted(like: Array, n: int) -> Array:
    """The number n as an array of no axes, where `like` is."""
    return positions(like, n + 1)[n]


def check_batch(batch: int, count: Any) -> None:
    """Raise ValueError unless `batch` is a length, of which a state has seen less than all."""
    if batch < 1:
        raise ValueError(f"batch: expected at least 1, got {batch}")
    if not 0 <= int(count) < batch:
        raise ValueError(f"initial_state.count: expected below batch = {batch}, got {int(count)}")


def initial_mini_batch(state: MiniBatch | None, batch: int, q: Array, v: Array) -> MiniBatch:
    """The state to begin with: `state` after a check, a zero memory and no tokens if None."""
    start, now, count = (None, None, counted(q, 0)) if state is None else initial_parts(state, MiniBatch)
    check_batch(batch, count)
    start = initial_matrix(start, q, v, "initial_state.start")
    return MiniBatch(start, initial_matrix(now, q, v, "initial_state.now"), count)


def _error(z: Array, v: Array) -> Array:
    return v - z


def _pulled_back(z: Array, v: Array, gain: Array, shift: Array, epsilon: float) -> Array:
    """The error v - LN(z) through the transposed Jacobian of LN: (g - ḡ - ẑ mean(ẑ g))/σ with g = gain (v - LN(z))."""
    xp, d = namespace(z), z.shape[-1]

    def mean(x: Array) -> Array:
        return xp.sum(x, axis=-1, keepdims=True) / d

    centred = z - mean(z)
    deviation = xp.sqrt(mean(centred * centred) + epsilon)
    unit = centred / deviation
    g = gain * (v - (gain * unit + shift))
    return (g - mean(g) - unit * mean(unit * g)) / deviation
