"""What a layer's numbers are for: marks that name the role, for arithmetic whose precision depends on it.

A layer's code knows no formats. It marks what it hands on from token to token and the residual it forms; on the
arrays of every library the marks are the identity, on `RoundedArray` they round. Reference: the precision contract of
a kernel (state, operands, gate, residual, accumulator).
"""

import enum
from typing import Any

__all__ = ["Role", "as_residual", "as_state"]


class Role(enum.Enum):
    """The places where a kernel may round more coarsely than it computes."""

    STATE = "state"  # what the recurrence carries from token to token, or from chunk to chunk
    OPERANDS = "operands"  # what enters a matrix product
    GATE = "gate"  # what exp gives: decays, input gates, weights of a softmax
    RESIDUAL = "residual"  # v_t - e_t S, before its step size


def as_state(x: Any, tokens: int = 1) -> Any:
    """`x`, or every array in the tuple `x`, as the recurrence stores it after `tokens` tokens."""
    if isinstance(x, tuple):
        parts = [as_state(y, tokens) for y in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x.as_state(tokens) if hasattr(x, "as_state") else x


def as_residual(x: Any) -> Any:
    """`x`, values less their prediction, as stored."""
    return x.as_residual() if hasattr(x, "as_residual") else x
