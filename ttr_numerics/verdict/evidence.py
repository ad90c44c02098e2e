"""What a search for causes may use: the layer, its arrays, the output, and where that is wrong."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ttr_numerics.arguments import Argument, Domain
from ttr_numerics.pairs import Pairing

__all__ = ["Evidence", "along_time"]

_ROWS = ("q", "k", "v")


@dataclass(frozen=True)
class Evidence:
    """`arrays` (float64, or numbers) of the layer of `row`, the output `o`, and `wrong` (..., T), where it errs.

    Where it is but the beginning of a sequence, `longer` is all of it.
    """

    row: Pairing
    arrays: dict[str, Any]
    o: np.ndarray
    wrong: np.ndarray
    longer: "Evidence | None" = None

    @property
    def at(self) -> int:
        """The axis of time, the same in every array that has one."""
        return int(self.o.ndim - 2)

    @property
    def T(self) -> int:
        """Tokens."""
        return int(self.o.shape[-2])

    @property
    def whole(self) -> "Evidence":
        """The whole sequence."""
        return self.longer or self

    @property
    def first(self) -> int:
        """The earliest wrong token of any head."""
        return int(np.argmax(self.wrong.reshape(-1, self.T).any(axis=0)))

    @property
    def heads(self) -> np.ndarray:
        """Which heads (...) are wrong somewhere: only there is a hypothesis compared."""
        return np.asarray(self.wrong.any(axis=-1))

    @property
    def timed(self) -> set[str]:
        """Names of the arrays with a time axis."""
        return {"q", "k", "v"} | {x.name for x in self.row.arguments if "T" in x.shapes[0]}

    @property
    def gates(self) -> list[str]:
        """Names of the arrays given that hold logarithms of gates."""
        return [x.name for x in self._given if x.domain is Domain.LOG_GATE]

    @property
    def steps(self) -> list[str]:
        """Names of the arrays given that hold step sizes and weights of tokens, or of their channels."""
        return [x.name for x in self._given if _is_step(x)]

    @property
    def counts(self) -> list[str]:
        """Names of the whole numbers given."""
        return [x.name for x in self._given if x.domain is Domain.COUNT]

    @property
    def _given(self) -> list[Argument]:
        return [x for x in self.row.arguments if x.name in self.arrays]

    def changed(self, **arrays: Any) -> dict[str, Any]:
        """The arrays with some replaced."""
        return {**self.arrays, **arrays}

    def without(self, name: str) -> dict[str, Any]:
        """The arrays but one."""
        return {n: x for n, x in self.arrays.items() if n != name}

    def between(self, start: int, stop: int | None) -> dict[str, Any]:
        """The arrays at tokens start..stop alone."""
        return {n: along_time(x, self.at, slice(start, stop)) if n in self.timed else x for n, x in self.arrays.items()}

    def beginning(self, T: int) -> "Evidence":
        """The first T tokens of it."""
        begun = replace(self, arrays=self.between(0, T), o=self.o[..., :T, :], wrong=self.wrong[..., :T])
        return replace(begun, longer=self.whole) if T < self.T else begun

    def row_factor(self, x: np.ndarray) -> np.ndarray:
        """A scalar or channel gate as a factor of rows (..., T, d_k)."""
        return x if x.ndim == self.o.ndim else x[..., None]


def along_time(x: np.ndarray, at: int, tokens: slice) -> np.ndarray:
    """x at some tokens."""
    return x[(slice(None),) * at + (tokens,)]


def _is_step(x: Argument) -> bool:
    if x.name in _ROWS or "T" not in x.shapes[0] or x.domain in (Domain.LOG_GATE, Domain.LOG_WEIGHT):
        return False
    return x.shapes[0][-1] != "d_k" or x.name == "erase"
