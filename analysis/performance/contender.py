"""A contender: one way to an answer, what computes it, and which share of the work it does.

A method that is too slow to be run whole does a share: some heads, some positions, some columns of the values. Its
time is multiplied by whole/share, and its row says so. The error is judged at what it did, for every contender alike:
max ‖o - truth‖/‖truth‖ over the heads and positions checked.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from analysis.performance.problems import Size, Truth
from ttr_numerics.arrays import to_numpy

__all__ = [
    "NUMPY",
    "OURS",
    "REFERENCE",
    "THEIRS",
    "Contender",
    "Library",
    "error",
    "numpy_cpu",
    "share",
    "torch_cpu",
    "whole_over_share",
]

OURS, REFERENCE, THEIRS = "ours", "reference", "theirs"


class Library(NamedTuple):
    """How a NumPy array becomes an array of this library, on which device, and how to wait for its answers."""

    name: str
    device: str
    asarray: Callable[[np.ndarray], Any]
    synchronize: Callable[[], None] = lambda: None

    @property
    def version(self) -> str:
        return f"{self.name} {importlib.metadata.version(self.name)}"


@dataclass(frozen=True)
class Contender:
    """`run()` gives outputs (heads, positions, columns): of all of them where the field is None, else of the first
    `heads` heads, the given `positions`, the first `columns` columns."""

    name: str
    side: str
    versions: str
    routine: str
    truth: str
    run: Callable[[], Any]
    heads: int | None = None
    positions: tuple[int, ...] | None = None
    columns: int | None = None
    form: str = ""  # which of our forms an automatic choice takes
    dtype: str = ""  # its own, where it does not compute in that of the cell

    @property
    def sampled(self) -> bool:
        return (self.heads, self.positions, self.columns) != (None, None, None)


NUMPY = Library("numpy", "CPU", np.asarray)


def numpy_cpu() -> Library:
    """NumPy, which is always there."""
    return NUMPY


def torch_cpu() -> Library:
    """torch on the CPU; ImportError where it is not installed."""
    torch = importlib.import_module("torch")
    return Library("torch", "CPU", torch.from_numpy)


def whole_over_share(contender: Contender, size: Size) -> float:
    """By what the time of the share is multiplied: 1 for all of the work."""
    factor = 1.0 if contender.heads is None else size.heads / contender.heads
    factor *= 1.0 if contender.positions is None else size.T / len(contender.positions)
    return factor * (1.0 if contender.columns is None else size.d / contender.columns)


def share(contender: Contender, size: Size) -> str:
    """The share in words.

    >>> one = Contender("a", OURS, "", "", "", lambda: None, heads=1, columns=2)
    >>> share(one, Size(8, 4, 2)), whole_over_share(one, Size(8, 4, 2))
    ('1 of 2 heads, 2 of 4 columns', 4.0)
    """
    positions = None if contender.positions is None else len(contender.positions)
    parts = {"heads": contender.heads, "positions": positions, "columns": contender.columns}
    whole = {"heads": size.heads, "positions": size.T, "columns": size.d}
    return ", ".join(f"{part} of {whole[what]} {what}" for what, part in parts.items() if part is not None) or "all"


def error(
    contender: Contender, o: Any, truths: Mapping[str, Truth], heads: Sequence[int], positions: Sequence[int]
) -> float:
    """max ‖o_t - truth‖/‖truth‖ over the given heads and positions of a whole run, over all of a sampled one."""
    given = np.asarray(to_numpy(o), dtype=np.float64)
    truth, columns = truths[contender.truth], slice(contender.columns)
    heads = heads if contender.heads is None else range(contender.heads)
    at = {t: t for t in positions}
    if contender.positions is not None:
        few = contender.positions[:: max(1, len(contender.positions) // len(positions))]
        at = {t: contender.positions.index(t) for t in few}
    exact = {(h, t): truth(h, t)[columns] for h in heads for t in at}
    away = [np.linalg.norm(given[h, at[t]] - row) / np.linalg.norm(row) for (h, t), row in exact.items()]
    return float(np.max(away))
