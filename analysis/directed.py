"""Stored keys without the tokens that have no direction: what scales keys and queries to unit norm needs one."""

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.tasks import Captured

__all__ = ["directed"]


def directed(name: str) -> tuple[Captured, dict[str, int]]:
    """`tasks.stored(name)` without the tokens whose key or query is 0 in some head, and what a row says of them.

    That is {"left_out": how many}, and nothing where there are none. Raises ValueError where no token is left.
    """
    found = tasks.stored(name)
    zero = np.any(np.all(found.k == 0, axis=-1), axis=0) | np.any(np.all(found.q == 0, axis=-1), axis=0)
    if not np.any(zero):
        return found, {}
    if np.all(zero):
        raise ValueError(f"k: expected a token of {name} with no key and no query of norm 0, got none")
    q, k, v = (x[:, ~zero] for x in (found.q, found.k, found.v))
    return Captured(found.name, q, k, v, None), {"left_out": int(np.count_nonzero(zero))}
