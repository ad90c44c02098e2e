"""Reverse-mode derivatives given in closed form, for the one library that has a tape.

A function y = f(x) with a known adjoint x̄ = (∂y/∂x)' ȳ needs no recording of its steps: the tape keeps x alone.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import array_api_compat

from ttr_numerics.arrays.library import Array

__all__ = ["Adjoint", "untracked", "with_adjoint"]

# adjoint(arrays, needed, upstream): gradients, one an array, of the arrays that are `needed`. None stands for zero.
Adjoint = Callable[[Sequence[Any], Sequence[bool], Sequence[Array | None]], Sequence[Array | None]]


def with_adjoint(forward: Callable[..., tuple[Array, ...]], adjoint: Adjoint, *arrays: Any) -> tuple[Array, ...]:
    """`forward(*arrays)`, differentiable by `adjoint` where a torch tensor among `arrays` requires a gradient.

    The tape keeps `arrays` and nothing of what `forward` computes. Entries that are None or plain numbers pass
    through. First derivatives only: the derivative of a gradient raises RuntimeError. On every other library, and
    where gradients are off, it is `forward` alone.
    """
    tensors = [x for x in arrays if array_api_compat.is_torch_array(x)]
    if not any(x.requires_grad for x in tensors):
        return forward(*arrays)
    return _function().apply(forward, adjoint, *arrays)


def untracked(x: Any) -> Any:
    """The numbers of `x` without its tape: for choices, which have no derivative. Other arrays stay as they are."""
    return x.detach() if array_api_compat.is_torch_array(x) else x


@cache
def _function() -> Any:
    """The torch function, made when the first tensor asks: torch is no dependency."""
    import torch

    class FirstDerivative(torch.autograd.Function):
        @staticmethod
        def forward(gradient: Array, *arrays: Any) -> Array:
            return gradient.view_as(gradient)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, *upstream: Array) -> Any:
            raise RuntimeError("with_adjoint: expected a first derivative, got the derivative of a gradient")

    class ClosedForm(torch.autograd.Function):
        @staticmethod
        def forward(forward: Any, adjoint: Any, *arrays: Any) -> tuple[Array, ...]:
            # An array handed through would be input and output at once: the tape needs two.
            return tuple(y.view_as(y) if any(y is x for x in arrays) else y for y in forward(*arrays))

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            _, ctx.adjoint, *arrays = inputs
            ctx.set_materialize_grads(False)  # None says zero, and costs nothing
            ctx.save_for_backward(*(x if torch.is_tensor(x) else None for x in arrays))
            ctx.numbers = [None if torch.is_tensor(x) else x for x in arrays]

        @staticmethod
        def backward(ctx: Any, *upstream: Array | None) -> tuple[Array | None, ...]:
            arrays = [n if x is None else x for x, n in zip(ctx.saved_tensors, ctx.numbers, strict=True)]
            with torch.no_grad():
                gradients = ctx.adjoint(arrays, ctx.needs_input_grad[2:], upstream)
                gradients = [g if g is None else g.to(x) for g, x in zip(gradients, arrays, strict=True)]
            if torch.is_grad_enabled():  # the tape is asked to record the gradient itself
                gradients = [g if g is None else FirstDerivative.apply(g, *arrays, *upstream) for g in gradients]
            return None, None, *gradients

    return ClosedForm
