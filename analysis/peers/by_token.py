"""Peers that take one head: every head and prefix in turn, NumPy in and out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["by_head", "by_prefix"]


def by_head(one: Callable[..., tuple[np.ndarray, ...]], *arrays: Any) -> list[np.ndarray]:
    """`one(*arrays of a head)` for each of the (B, H) heads, its results stacked again."""
    batch = arrays[0].shape[:2]
    found = [one(*(x[at] for x in arrays)) for at in np.ndindex(*batch)]
    return [np.stack(x).reshape(*batch, *x[0].shape) for x in zip(*found, strict=True)]


def by_prefix(one: Callable[[Any, Any, Any], np.ndarray], a: Mapping[str, Any], first: int = 1) -> np.ndarray:
    """o (B, H, T, d_v) from `one(q_t (1, d_k), k, v of tokens 1..t)` (1, d_v), and 0 before token `first`."""

    def head(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray]:
        rows = [one(q[t - 1 : t], k[:t], v[:t])[0] for t in range(first, len(q) + 1)]
        return (np.stack([*(0 * v[: first - 1]), *rows]),)

    return by_head(head, a["q"], a["k"], a["v"])[0]
