"""How many pairs a layer stores: the number n at which its recall error crosses one half, head by head.

e_h(n), head h's error over its first n pairs, is measured at n = 1, 2, 4, ... and the file's end. Head h stores as many
as where e_h crosses 1/2 for the last time, interpolated linearly in log n.
"""

from dataclasses import dataclass

import numpy as np

from ttr_numerics.measure import Interval, geometric_interval

__all__ = ["HALF", "Capacity", "capacity", "sizes"]

HALF = 0.5  # recall error at which a memory counts as full


@dataclass(frozen=True)
class Capacity:
    """`heads`, the pairs that each head stores, and `open`, how many heads the file's end leaves without a crossing.

    `largest` of the measured n still has a mean error of at most 1/2.
    """

    largest: int
    heads: tuple[float, ...]
    open: int

    @property
    def interval(self) -> Interval:
        """The geometric mean over heads with its 95 % interval (Student's t of the logarithms); NaN ends for one head.

        With an open head the mean is from below, and the ends are NaN: a head that the file does not fill has no
        number to spread.
        """
        found = geometric_interval(np.array(self.heads))
        return found._replace(low=float("nan"), high=float("nan")) if self.open else found


def sizes(T: int) -> list[int]:
    """1, 2, 4, ... below T, and T."""
    return [2**i for i in range(T.bit_length()) if 2**i < T] + [T]


def capacity(n: list[int], errors: np.ndarray) -> Capacity:
    """From errors (len(n), heads) at n, ascending from 1.

    One head holds 4 pairs at error 1/4 and 8 at error 3/4, the other all 16:

    >>> capacity([1, 4, 8, 16], np.array([[0, 0], [0.25, 0], [0.75, 0.1], [0.9, 0.2]])).heads
    (5.656854249492381, 16.0)
    """
    fits = errors <= HALF
    last = np.where(fits.any(axis=0), len(n) - 1 - np.argmax(fits[::-1], axis=0), 0)
    heads = tuple(_crossing(n, errors[:, h], int(i)) for h, i in enumerate(last))
    largest = max((size for size, error in zip(n, errors, strict=True) if np.mean(error) <= HALF), default=0)
    return Capacity(largest, heads, int(np.sum(last == len(n) - 1)))


def _crossing(n: list[int], error: np.ndarray, i: int) -> float:
    """Between n[i], the last within one half, and n[i + 1]; n[i] where there is no crossing behind it."""
    if i == len(n) - 1 or error[i] > HALF:
        return float(n[i])
    share = (HALF - error[i]) / (error[i + 1] - error[i])
    return float(n[i] * (n[i + 1] / n[i]) ** share)
