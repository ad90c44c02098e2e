"""Forgetting within a chunk: rows that grow instead of a state that decays.

With everything relative to the first token of a chunk, its row i counts √(γ_1/γ_i) = exp(-½Σ_{1<s≤i} log_decay_s) times
as much; the factor γ_t that data and regulariser have in common cancels in the solution. Rows would grow without limit,
so a chunk ends where the decay since its first token would pass a stated number of nats.
"""

from collections.abc import Iterator

from ttr_numerics.arrays import Array, concat, namespace, to_numpy

__all__ = ["Growth", "pieces"]


class Growth:
    """Factors of a chunk from log_decay (..., C, 1): `first` for the state before, `rows`, `end` for all after."""

    def __init__(self, log_decay: Array) -> None:
        xp = namespace(log_decay)
        since = xp.cumulative_sum(log_decay[..., 1:, :], axis=-2)
        since = concat([xp.zeros_like(log_decay[..., :1, :]), since], -2)
        self.first = xp.exp(log_decay[..., :1, :] / 2)
        self.rows = xp.exp(-since / 2)
        self.end = xp.exp(since[..., -1:, :] / 2)


def pieces(T: int, chunk: int, log_decay: Array | None, nats: float) -> Iterator[slice]:
    """Chunks of at most `chunk` tokens; in no batch entry more than `nats` of decay after the first token of one.

    >>> import numpy as np
    >>> list(pieces(5, 4, np.array([[0.0], [-50.0], [-1.0], [-1.0], [-1.0]]), 2.0))
    [slice(0, 1, None), slice(1, 4, None), slice(4, 5, None)]
    """
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1, got {chunk}")
    if log_decay is None or 0 in log_decay.shape:
        yield from (slice(s, min(s + chunk, T)) for s in range(0, T, chunk))
        return
    start, passed = 0, 0.0
    for t, gate in enumerate(to_numpy(log_decay)[..., 0].reshape(-1, T).min(axis=0).tolist()):
        if t == start:
            continue
        passed += gate
        if t - start == chunk or passed < -nats:
            yield slice(start, t)
            start, passed = t, 0.0
    yield slice(start, T)
