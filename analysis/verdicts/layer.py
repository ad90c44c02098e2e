"""What a sound implementation of the corpus is: arrays, rules and the length of a chunk to outputs and a state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.verdicts.rules import Rules
from ttr_numerics.arrays import Array

__all__ = ["Arrays", "Compute", "Implementation"]

Arrays = dict[str, Any]
Compute = Callable[[Arrays, Rules, int], tuple[Array, Any]]


@dataclass(frozen=True)
class Implementation:
    """`compute` by pieces of each of `chunks` tokens (0: token by token, or all at once); optional arrays it takes."""

    compute: Compute
    chunks: tuple[int, ...] = (0,)
    optional: tuple[str, ...] = ()
