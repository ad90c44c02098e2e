"""Where a layer's named arrays come from: a projection of every token, a learned array a head, a number given."""

from math import prod

import numpy as np
import torch

from ttr_numerics.arguments import Argument
from ttr_numerics.nn.maps import Map

__all__ = ["Given", "Learned", "LearnedNumber", "PerToken", "rows_of"]


def rows_of(x: torch.Tensor, heads: int, shape: tuple[int, ...]) -> torch.Tensor:
    """(B, T, heads ∏shape) as (B, heads, T, *shape)."""
    return x.reshape(*x.shape[:2], heads, *shape).movedim(2, 1)


def drawn(x: Argument, shape: tuple[int, ...]) -> torch.Tensor:
    """A generic value of the array, from torch's random numbers."""
    generator = np.random.default_rng(int(torch.randint(2**62, ())))
    return torch.as_tensor(np.asarray(x.draw(generator, shape)), dtype=torch.float64).expand(shape)


class PerToken(torch.nn.Module):
    """map(x A + b) of every token, (B, T, width) to (B, heads, T, *shape); at x = 0 a generic value of the array."""

    def __init__(self, x: Argument, shape: tuple[int, ...], width: int, heads: int, into: Map) -> None:
        super().__init__()
        self.heads, self.shape, self.into = heads, shape, into
        self.projection = torch.nn.Linear(width, heads * prod(shape))
        with torch.no_grad():
            # A row for several tokens, so that drawings by rows have one.
            start = drawn(x, (heads, 1, *shape))
            self.projection.bias.copy_(into.inverse(start).reshape(-1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The array for tokens x (B, T, width)."""
        return self.into.forward(rows_of(self.projection(x), self.heads, self.shape))


class Learned(torch.nn.Module):
    """One array (heads, *shape) for all tokens, as (B, heads, *shape); starts at a generic value."""

    def __init__(self, x: Argument, shape: tuple[int, ...], heads: int, into: Map) -> None:
        super().__init__()
        self.into = into
        start = into.inverse(drawn(x, (heads, *shape)))
        self.raw = torch.nn.Parameter(start.to(torch.get_default_dtype()).contiguous())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The array for a batch of the size of x's."""
        return self.into.forward(self.raw).expand(x.shape[0], *self.raw.shape)


class Given(torch.nn.Module):
    """A number that is not learned."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> float:
        """The number, whatever the tokens."""
        return self.value

    def extra_repr(self) -> str:
        """The number, in what torch prints of the module."""
        return f"{self.value:g}"


class LearnedNumber(torch.nn.Module):
    """One number for all heads, which starts at `value`."""

    def __init__(self, value: float, into: Map) -> None:
        super().__init__()
        self.into = into
        start = into.inverse(torch.tensor(value, dtype=torch.float64))
        self.raw = torch.nn.Parameter(start.to(torch.get_default_dtype()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The number, whatever the tokens."""
        return self.into.forward(self.raw)
