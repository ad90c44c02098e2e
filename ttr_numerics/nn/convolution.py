"""y_t = Σ_{j<w} weight_j x_{t-w+1+j}, channel by channel, with learned weights."""

import torch

from ttr_numerics.border import short_convolution

__all__ = ["ShortConvolution"]


class ShortConvolution(torch.nn.Module):
    """`border.short_convolution` of x (B, T, d) with a learned filter of width w a channel.

    Weights start uniform in ±1/√w, as those of torch's Conv1d; at 1 for width 1, which is no convolution.
    Raises ValueError for a width below 1.
    """

    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"convolution: expected a width of at least 1, got {width}")
        start = torch.empty(d, width).uniform_(-1, 1) / width**0.5 if width > 1 else torch.ones(d, 1)
        self.weight = torch.nn.Parameter(start)

    def forward(self, x: torch.Tensor, tail: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """y (B, T, d), and the last w - 1 rows of x, which the next piece takes as its `tail`."""
        y, tail = short_convolution(x, weight=self.weight, initial_state=tail)
        return y, tail
