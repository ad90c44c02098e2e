"""The tape of the one library that has one: leaves to differentiate by, and the product of a row with a Jacobian."""

from collections.abc import Sequence
from typing import Any

from ttr_numerics.arrays.library import Array

__all__ = ["leaf", "on_tape", "vector_jacobian"]


def leaf(x: Array) -> Array:
    """A torch tensor of the same numbers from which a tape begins."""
    return x.detach().clone().requires_grad_()


def on_tape(x: Any) -> bool:
    """Whether `x` is a torch tensor that a tape leads to."""
    return bool(getattr(x, "requires_grad", False))


def vector_jacobian(outputs: Sequence[Array], upstream: Sequence[Array], inputs: Sequence[Array]) -> list[Array | None]:
    """Σ_j c_j' ∂y_j/∂x for every x of `inputs`, c_j of `upstream`; None where no output depends on x."""
    import torch

    return list(torch.autograd.grad(list(outputs), list(inputs), grad_outputs=list(upstream), allow_unused=True))
