"""Sample weights that age: γ_i^(t) = Π_{i<s≤t} exp(log_decay_s) for i ≤ t, and 0 for i > t.

Logs are summed from i to t for each pair, never taken as a difference of two long sums, so that -inf (a hard
reset) and -50 a token are both exact.
"""

from ttr_numerics.arrays import Array, concat, namespace, positions
from ttr_numerics.axes import per_token

__all__ = ["Ageing", "log_ages", "prefix_weights", "root_weights"]


def prefix_weights(log_decay: Array) -> Array:
    """The matrix (..., T, T) of γ_i^(t), row t and column i, from log_decay (..., T).

    >>> import numpy as np
    >>> prefix_weights(np.log(np.array([1.0, 0.5, 0.5])))
    array([[1.  , 0.  , 0.  ],
           [0.5 , 1.  , 0.  ],
           [0.25, 0.5 , 1.  ]])
    """
    return _pairwise(log_decay[..., None])[..., 0]


def root_weights(weights: Array | None, q: Array) -> Array | None:
    """√w (..., T, 1), by which the rows of a weighted least-squares problem are scaled; None where all are 1."""
    return None if weights is None else namespace(q).sqrt(per_token("weights", weights, q))


class Ageing:
    """Scalar or per-channel forgetting as matrices, for solvers that see the whole sequence at once."""

    def __init__(self, log_decay: Array | None, q: Array) -> None:
        xp = namespace(q)
        gate = xp.zeros_like(q[..., 0]) if log_decay is None else log_decay
        logs = per_token("log_decay", gate, q, channels=True)
        self.gamma = _pairwise(logs)  # (..., T, T, 1 or d_k)
        self.start = xp.exp(xp.cumulative_sum(logs, axis=-2))  # (..., T, 1 or d_k), the age of what came before

    def products(self, x: Array, k: Array) -> Array:
        """The lower triangular matrix (..., T, T) of x_t' diag(γ_i^(t)) k_i."""
        xp = namespace(x)
        if self.gamma.shape[-1] == 1:
            return self.gamma[..., 0] * (x @ xp.matrix_transpose(k))
        return xp.sum(x[..., :, None, :] * self.gamma * k[..., None, :, :], axis=-1)

    def products_before(self, x: Array, k: Array) -> Array:
        """The strictly lower triangular matrix (..., T, T) of x_t' diag(γ_i^(t-1)) k_i: rows read before they decay."""
        xp = namespace(x)
        return xp.tril(xp.roll(self.products(xp.roll(x, -1, axis=-2), k), 1, axis=-2), k=-1)

    def start_before(self, x: Array) -> Array:
        """The rows diag(γ_0^(t-1)) x_t (..., T, d_k), by which tokens read an initial state before they decay it."""
        return concat([x[..., :1, :], self.start[..., :-1, :] * x[..., 1:, :]], -2)

    def last(self, k: Array) -> Array:
        """The rows diag(γ_i^(T)) k_i (..., T, d_k): keys as old as they are at the end."""
        return self.gamma[..., -1, :, :] * k if k.shape[-2] else k

    def carried(self, S: Array) -> Array:
        """What is left at the end of an initial state S (..., d_k, d_v)."""
        return self.start[..., -1, :, None] * S if self.start.shape[-2] else S


def log_ages(log_decay: Array) -> Array:
    """log γ_i^(t) = Σ_{i<s≤t} log_decay_s (..., T, T, c) from log_decay (..., T, c), -inf for i > t."""
    xp = namespace(log_decay)
    t = positions(log_decay, log_decay.shape[-2])
    later = (t[:, None] > t[None, :])[..., None]
    row = log_decay[..., :, None, :]
    logs = xp.cumulative_sum(xp.where(later, row, xp.zeros_like(row)), axis=-3)
    return xp.where((t[:, None] >= t[None, :])[..., None], logs, -xp.inf * xp.ones_like(logs))


def _pairwise(log_decay: Array) -> Array:
    """γ (..., T, T, c) from log_decay (..., T, c)."""
    return namespace(log_decay).exp(log_ages(log_decay))
