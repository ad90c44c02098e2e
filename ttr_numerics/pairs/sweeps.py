"""Exact partners and targets of online learners, with the layers' own arguments."""

from ttr_numerics import exact
from ttr_numerics.arrays import Array, concat, namespace, zeros
from ttr_numerics.axes import Output
from ttr_numerics.pairs.pairing import LinearMap
from ttr_numerics.pairs.targets import aged_keys_least_squares, weighted_least_squares

__all__ = [
    "aged_least_squares_of_several",
    "comba",
    "erase_and_write",
    "least_squares_of_several",
    "normalized",
    "several_a_token",
]


def _decay(log_decay: Array, k: Array) -> Array:
    """exp log_decay (..., T, 1 or d_k)."""
    return namespace(k).exp(log_decay if log_decay.ndim == k.ndim else log_decay[..., None])


def erase_and_write(
    q: Array, k: Array, v: Array, *, erase: Array, write: Array, log_decay: Array, initial_state: Array | None = None
) -> Output:
    row = erase * k * _decay(log_decay, k)
    return exact.mismatched_kaczmarz_prefixes(
        q, k, write * v, erase=row, log_decay=log_decay, initial_state=initial_state
    )


def comba(
    q: Array, k: Array, v: Array, *, p: Array, log_decay: Array, beta: Array, initial_state: Array | None = None
) -> Output:
    step = beta[..., None]
    return exact.mismatched_kaczmarz_prefixes(
        q, k, step * v, erase=step * p, log_decay=log_decay, initial_state=initial_state
    )


def several_a_token(
    q: Array, k: Array, v: Array, *, log_decay: Array, beta: Array, initial_state: Array | None = None
) -> Output:
    """A Kaczmarz sweep over n associations a token, aged at the first of them, read at the last."""
    xp, n = namespace(q), k.shape[-2]

    def in_order(x: Array, width: tuple[int, ...]) -> Array:
        return xp.reshape(x, (*q.shape[:-2], q.shape[-2] * n, *width))

    gate = log_decay if log_decay.ndim == q.ndim else log_decay[..., None]
    aged = concat([gate[..., None, :], zeros(q, (*q.shape[:-1], n - 1, gate.shape[-1]))], -2)
    o, S = exact.kaczmarz_prefixes(
        in_order(q[..., None, :] + 0 * k, q.shape[-1:]),
        in_order(k, k.shape[-1:]),
        in_order(v, v.shape[-1:]),
        beta=in_order(beta, ()),
        log_decay=in_order(aged, gate.shape[-1:])[..., 0 if gate.shape[-1] == 1 else slice(None)],
        initial_state=initial_state,
    )
    return Output(o[..., n - 1 :: n, :], S)


def normalized(
    q: Array,
    k: Array,
    v: Array,
    *,
    step: Array,
    eps: float = 0.0,
    log_decay: Array | None = None,
    initial_state: Array | None = None,
) -> Output:
    """A Kaczmarz sweep with the steps of NLMS; a step on a zero key is any step."""
    xp = namespace(k)
    size = xp.sum(k**2, axis=-1) + eps
    beta = step / xp.where(size == 0, xp.ones_like(size), size)
    return exact.kaczmarz_prefixes(q, k, v, beta=beta, log_decay=log_decay, initial_state=initial_state)


def least_squares_of_several(k: Array, v: Array, log_decay: Array, beta: Array) -> LinearMap:
    """Weighted least squares of all associations, those of a token as old as the token."""
    return weighted_least_squares(*_told(k, v, log_decay))


def aged_least_squares_of_several(k: Array, v: Array, log_decay: Array, beta: Array) -> LinearMap:
    """Least squares of all values on their aged keys, those of a token as old as the token."""
    return aged_keys_least_squares(*_told(k, v, log_decay))


def _told(k: Array, v: Array, log_decay: Array) -> tuple[Array, Array, Array]:
    """Keys, values and gates (..., T n, ·) one association after the other, aged at the first of each token."""
    xp = namespace(k)
    rows = [xp.reshape(x, (*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])) for x in (k, v)]
    gate = log_decay if log_decay.ndim == k.ndim - 1 else log_decay[..., None]
    gate = concat([gate[..., None, :], zeros(k, (*k.shape[:-1], gate.shape[-1]))[..., 1:, :]], -2)
    gate = xp.reshape(gate, (*rows[0].shape[:-1], gate.shape[-1]))
    return rows[0], rows[1], gate if gate.shape[-1] > 1 else gate[..., 0]
