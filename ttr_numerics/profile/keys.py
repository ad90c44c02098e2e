"""What the covariance of one head's keys says before any layer sees them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ttr_numerics.measure import (
    centred,
    condition_number,
    effective_rank,
    mean_key_share,
    participation_ratio,
    spectrum,
)

__all__ = ["Keys", "described", "directions"]


@dataclass(frozen=True)
class Keys:
    """One head: norms of its keys (mean, and standard deviation over it), and of K and of K less its mean key:

    cond(K), the effective rank and the participation ratio of K'K/n; `mean_share` is ‖k̄‖² over the mean ‖k‖².
    `linear_attention` is 1 - PR/n of the unit keys: the recall error of linear attention with its best scale, in
    expectation over independent zero-mean values. `spectrum` holds the eigenvalues of K'K/n as shares of their sum,
    min(n, d) of them, descending; `spectrum_centred` those of K less its mean key, zeros where nothing is left.
    """

    norm: float
    norm_spread: float
    mean_share: float
    condition: float
    condition_centred: float
    effective_rank: float
    effective_rank_centred: float
    participation_ratio: float
    linear_attention: float
    spectrum: tuple[float, ...]
    spectrum_centred: tuple[float, ...]


def described(K: np.ndarray) -> list[Keys]:
    """One entry a head of K (heads, n, d), none of whose rows is zero."""
    norms = np.linalg.norm(K, axis=-1)
    unit, less = K / norms[..., None], centred(K)
    ratio = participation_ratio(unit)
    columns = (
        norms.mean(axis=-1),
        norms.std(axis=-1) / norms.mean(axis=-1),
        mean_key_share(K),
        condition_number(K),
        _of_rest(condition_number, less, np.inf),
        effective_rank(K),
        _of_rest(effective_rank, less, 0.0),
        participation_ratio(K),
        1 - ratio / K.shape[-2],
    )
    rest = _of_rest(spectrum, less, np.zeros(min(K.shape[-2:])))
    shares = (list(map(tuple, x.tolist())) for x in (spectrum(K), rest))
    return [Keys(*head) for head in zip(*(x.tolist() for x in columns), *shares, strict=True)]


def directions(shares: Sequence[float], part: float) -> int:
    """The least number of directions that hold `part` of the sum of `shares`, descending; 0 where all are zero.

    >>> directions((0.75, 0.125, 0.125), 0.5), directions((0.75, 0.125, 0.125), 0.8)
    (1, 2)
    """
    held = np.cumsum(shares)
    return int(np.searchsorted(held, part * held[-1])) + 1 if held[-1] > 0 else 0


def _of_rest(measure: Callable[[np.ndarray], np.ndarray], K: np.ndarray, nothing: float | np.ndarray) -> np.ndarray:
    """The measure of centred keys; `nothing` for a head whose keys are all the same."""
    return np.array([measure(head) if np.any(head) else nothing for head in K])
