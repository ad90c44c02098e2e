"""Stored keys without the tokens that have no direction: scaling keys, queries and values to unit norm needs one."""

import numpy as np

from ttr_numerics import tasks
from ttr_numerics.tasks import Captured

__all__ = ["directed", "valued"]


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
    return _without(found, zero), {"left_out": int(np.count_nonzero(zero))}


def valued(name: str) -> tuple[Captured, dict[str, int]]:
    """`directed` without the tokens whose value is 0 in some head: no inner product ranks such a value first.

    What a row says of them is {"without_value": how many}, and nothing where there are none.
    """
    found, left_out = directed(name)
    zero = np.any(np.all(found.v == 0, axis=-1), axis=0)
    if not np.any(zero):
        return found, left_out
    if np.all(zero):
        raise ValueError(f"v: expected a token of {name} with no value of norm 0, got none")
    return _without(found, zero), left_out | {"without_value": int(np.count_nonzero(zero))}


def _without(found: Captured, tokens: np.ndarray) -> Captured:
    q, k, v = (x[:, ~tokens] for x in (found.q, found.k, found.v))
    return Captured(found.name, q, k, v, None)
