"""Test-time training of a perceptron: mini-batch gradient descent on both layers of f(x) = gelu(x W_1) W_2.

W ← W - η_t ∇_W ½‖v_t - f(k_t; W_b)‖²,   b the last token before t's mini-batch;   o_t = f(q_t; W_t)
"""

from typing import NamedTuple

from ttr_numerics.arrays import Array, as_residual, as_state, namespace
from ttr_numerics.axes import Output, check_sequence, initial_parts, per_token
from ttr_numerics.layers.ttt import check_batch, counted
from ttr_numerics.recurrence import sequential

__all__ = ["Perceptron", "gelu", "gelu_slope", "ttt_mlp"]


class Perceptron(NamedTuple):
    """W_1 (..., d_k, d_h) and W_2 (..., d_h, d_v) now, where the current mini-batch began, and its tokens so far."""

    W_1: Array
    W_2: Array
    start_1: Array
    start_2: Array
    count: Array


def ttt_mlp(
    q: Array,
    k: Array,
    v: Array,
    *,
    eta: Array,
    W_1: Array | None = None,
    W_2: Array | None = None,
    batch: int = 16,
    initial_state: Perceptron | None = None,
) -> Output:
    """W_i ← W_i - η_t ∂/∂W_i ½‖v_t - gelu(k_t W_1) W_2‖² at the weights where t's mini-batch began.

    eta (..., T); W_1 (..., d_k, d_h), W_2 (..., d_h, d_v) are the weights before the first token, carried by the state
    afterwards. gelu in its tanh form. A hidden bias is a 1 appended to q and k; a residual target v - k and layer
    norms are the caller's. Reference: Sun et al. (TTT-MLP), arXiv 2407.04620, section 2.7.
    """
    check_sequence(q, k, v)

    def step(W: Perceptron, q: Array, k: Array, v: Array, eta: Array) -> tuple[Perceptron, Array]:
        transposed, h = namespace(k).matrix_transpose, k @ W.start_1
        a = gelu(h)
        correction = eta * as_residual(v - a @ W.start_2)
        hidden = (correction @ transposed(W.start_2)) * gelu_slope(h)
        W_1, W_2 = as_state((W.W_1 + transposed(k) @ hidden, W.W_2 + transposed(a) @ correction))
        seen = (int(W.count) + 1) % batch
        start = (W.start_1, W.start_2) if seen else (W_1, W_2)
        return Perceptron(W_1, W_2, *start, counted(q, seen)), gelu(q @ W_1) @ W_2

    return sequential(step, _initial(W_1, W_2, initial_state, batch, q, v), q, k, v, per_token("eta", eta, q))


def gelu(x: Array) -> Array:
    """x (1 + tanh z)/2, z = √(2/π)(x + 0.044715 x³): the tanh form, as the standard array API has no error function.

    Reference: Hendrycks and Gimpel, arXiv 1606.08415.
    """
    return x * (1 + namespace(x).tanh(_argument(x))) / 2


def gelu_slope(x: Array) -> Array:
    """The derivative (1 + tanh z)/2 + x z' (1 - tanh² z)/2."""
    tanh = namespace(x).tanh(_argument(x))
    rate = _root(x) * (1 + 3 * (0.044715 * (x * x)))
    return (1 + tanh + x * rate * (1 - tanh * tanh)) / 2


def _argument(x: Array) -> Array:
    return _root(x) * (x + 0.044715 * (x * x * x))


def _root(x: Array) -> Array:
    """√(2/π) as a number of x's own arithmetic."""
    xp = namespace(x)
    return xp.sqrt(2 * xp.ones_like(x[..., :1]) / xp.pi)


def _initial(
    W_1: Array | None, W_2: Array | None, state: Perceptron | None, batch: int, q: Array, v: Array
) -> Perceptron:
    if state is None:
        if W_1 is None or W_2 is None:
            raise ValueError("W_1, W_2: expected both, or initial_state (which carries them), got neither or one")
        state = Perceptron(W_1, W_2, W_1, W_2, counted(q, 0))
    elif W_1 is not None or W_2 is not None:
        raise ValueError("W_1, W_2: expected either them or initial_state (which carries them), got both")
    state = initial_parts(state, Perceptron)
    check_batch(batch, state.count)
    first = *q.shape[:-2], q.shape[-1], state.W_1.shape[-1]
    second = *q.shape[:-2], state.W_1.shape[-1], v.shape[-1]
    return Perceptron(
        _weights("W_1", state.W_1, first, q),
        _weights("W_2", state.W_2, second, q),
        _weights("initial_state.start_1", state.start_1, first, q),
        _weights("initial_state.start_2", state.start_2, second, q),
        state.count,
    )


def _weights(name: str, x: Array, shape: tuple[int, ...], q: Array) -> Array:
    """x as `shape`; leading axes of length 1, or none, broadcast: weights are often shared by a batch."""
    aligned = zip(reversed(x.shape[:-2]), reversed(shape[:-2]), strict=False)
    if x.ndim > len(shape) or tuple(x.shape[-2:]) != shape[-2:] or any(n not in (1, m) for n, m in aligned):
        raise ValueError(f"{name}: expected shape {shape}, got {tuple(x.shape)}")
    if x.dtype != q.dtype:
        raise ValueError(f"{name}: expected dtype {q.dtype} as q, got {x.dtype}")
    return namespace(x).broadcast_to(x, shape)
