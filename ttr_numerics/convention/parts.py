"""The parts of a convention, each a choice with a translation to the layers' own and back."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

__all__ = ["Gate", "L2Norm", "Layout", "Read", "StateLayout", "inverse_root", "mean_square"]


class Layout(Enum):
    """Where the head axis stands."""

    HEADS_FIRST = "(B, H, T, d)"
    TIME_FIRST = "(B, T, H, d)"

    def ours(self, x: np.ndarray, at: int, name: str = "q") -> np.ndarray:
        """Heads before time, where the two stand at axes `at` and `at` + 1."""
        if self is Layout.HEADS_FIRST:
            return x
        if at < 0 or x.ndim < at + 2:
            raise ValueError(f"{name}: expected shape {self.value} or the like, got {x.shape}")
        return np.swapaxes(x, at, at + 1)

    theirs = ours  # a swap undoes itself


class StateLayout(Enum):
    """Which axis of a state matrix belongs to the keys."""

    KEYS_FIRST = "(d_k, d_v)"
    VALUES_FIRST = "(d_v, d_k)"

    def ours(self, x: np.ndarray) -> np.ndarray:
        """Keys before values."""
        return x if self is StateLayout.KEYS_FIRST else np.swapaxes(x, -1, -2)

    theirs = ours


class Gate(Enum):
    """The space a gate is given in."""

    NATURAL_LOG = "ln a"
    LOG2 = "log2 a"
    LINEAR = "a"

    def ours(self, x: np.ndarray) -> np.ndarray:
        """The natural logarithm; a linear gate of 0 is a reset, one outside [0, 1] is left for the border to refuse."""
        if self is Gate.LOG2:
            return x * np.log(2.0)
        if self is Gate.LINEAR:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log(x)
        return x

    def theirs(self, x: np.ndarray) -> np.ndarray:
        """The gate in this space from its natural logarithm."""
        return {Gate.NATURAL_LOG: x, Gate.LOG2: x / np.log(2.0), Gate.LINEAR: np.exp(x)}[self]


class Read(Enum):
    """Whether token t reads the state with its own association written, or the one before."""

    AFTER_WRITE = "o_t = q_t S_t"
    BEFORE_WRITE = "o_t = q_t S_{t-1}"


@dataclass(frozen=True)
class L2Norm:
    """x / √(‖x‖² + eps), which the foreign function applies to q and k itself; eps inside the root."""

    eps: float = 1e-6

    def ours(self, x: np.ndarray) -> np.ndarray:
        """Rows normalised in float64."""
        return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + self.eps)

    def theirs(self, x: np.ndarray) -> np.ndarray:
        """Rows of norm below 1 that become `x`; rows of norm 1 and more have no such origin and stay as they are."""
        square = np.sum(x * x, axis=-1, keepdims=True)
        return np.where(square < 1, x * np.sqrt(self.eps / np.where(square < 1, 1 - square, 1.0)), x)


def inverse_root(d_k: int) -> float:
    """The scale 1/√d_k; 1 where d_k is 0 and nothing is scaled."""
    return float(d_k) ** -0.5 if d_k else 1.0


def mean_square(d_v: int) -> float:
    """The gradient factor 2/d_v of a squared loss averaged over the d_v channels."""
    return 2.0 / d_v
